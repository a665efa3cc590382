"""Cells of recurrent nets: see recurrent.h."""
