"""Adding up columns into an image, the second half of a transposed convolution: see col2im.h."""
