"""Operator type -> its modules. Written by make_index.py."""

MODULES: dict[str, tuple[str, ...]] = {}
