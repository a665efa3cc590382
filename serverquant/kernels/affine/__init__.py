"""Products and channel-wise linear maps of bytes."""
