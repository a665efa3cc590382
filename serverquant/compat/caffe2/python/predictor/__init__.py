"""Predictors in one file."""
