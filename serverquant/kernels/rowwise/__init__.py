"""Tables of embeddings whose rows are quantized by themselves: to and from float."""
