"""Images in other sizes: picked rows and columns, bilinear interpolation."""
