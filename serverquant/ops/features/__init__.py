"""Features of examples: merged into maps, put into buckets, normalised. Python steps: numpy over whole arrays."""
