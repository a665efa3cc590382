"""From float to Int8 tensors and back."""
