"""The geometry of convolutions and pools in one to three dimensions."""
from serverquant._base.errors import ArgumentError, ShapeError


cdef _spread(name: str, values, int dims, int64_t least, int64_t* out):
    """Write the values of 1 to 3 axes behind leading ones; `least` is the smallest that makes sense."""
    if len(values) != dims:
        raise ArgumentError(f"{name} has {len(values)} entries for {dims} spatial dimensions")
    for i, v in enumerate(values):
        if not least <= v < 2**31:
            raise ArgumentError(f"{name} must be {least} or more, and below 2^31, in every dimension, "
                                f"not {tuple(values)}")
        out[3 - dims + i] = v


cdef class Window:
    """A window that slides over 1 to 3 spatial dimensions. Never changed after it was made.

    in_sizes, kernel, strides, dilations: an entry a dimension; pads: all starts, then all ends; negative ones leave out
    pixels at the edges.
    out_sizes: given by operators whose rule is not `floor((in + pads - extent) / stride) + 1`.
    """

    def __init__(self, in_sizes, kernel, strides=None, pads=None, dilations=None, out_sizes=None):
        cdef int dims = len(in_sizes), a
        if not 1 <= dims <= 3:
            raise ShapeError(f"a window slides over 1, 2 or 3 dimensions, not {dims}")
        pads = pads or (0,) * (2 * dims)
        for a in range(3):
            self.raw.in_[a] = self.raw.out[a] = self.raw.kernel[a] = self.raw.stride[a] = self.raw.dilation[a] = 1
            self.raw.pad[a] = 0
        _spread("the input size", in_sizes, dims, 0, self.raw.in_)
        _spread("kernel", kernel, dims, 1, self.raw.kernel)
        _spread("stride", strides or (1,) * dims, dims, 1, self.raw.stride)
        _spread("dilation", dilations or (1,) * dims, dims, 1, self.raw.dilation)
        if len(pads) != 2 * dims:
            raise ArgumentError(f"pads has {len(pads)} entries for {dims} spatial dimensions; it takes {2 * dims}")
        _spread("pad", pads[:dims], dims, -2**31, self.raw.pad)
        self.in_sizes = tuple(in_sizes)
        self.out_sizes = tuple(out_sizes) if out_sizes is not None else self._floor_sizes(pads[dims:])
        _spread("the output size", self.out_sizes, dims, 0, self.raw.out)

    cdef tuple _floor_sizes(self, ends):
        cdef int dims = len(ends), a
        sizes = []
        for a in range(3 - dims, 3):
            extent = (self.raw.kernel[a] - 1) * self.raw.dilation[a] + 1
            padded = self.raw.in_[a] + self.raw.pad[a] + ends[a - 3 + dims]
            if padded < extent:
                raise ShapeError(f"a window of {extent} does not fit into {padded} "
                                 f"(input {self.in_sizes}, with padding)")
            sizes.append((padded - extent) // self.raw.stride[a] + 1)
        return tuple(sizes)
