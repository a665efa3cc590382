"""Operators between sparse and dense forms: scattered values, one-hot codes, unique elements."""
