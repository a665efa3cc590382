"""Losses, scores and distances: what compares predictions with labels, or rows with rows."""
