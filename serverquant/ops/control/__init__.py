"""Operators that run nets, and those that keep a state between runs."""
