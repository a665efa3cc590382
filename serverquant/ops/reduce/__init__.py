"""Sums, means, extremes and norms over axes; the places of extremes; histograms and quantiles."""
