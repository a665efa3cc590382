"""Recurrent nets: cells, and the operator that runs a cell over a sequence."""
