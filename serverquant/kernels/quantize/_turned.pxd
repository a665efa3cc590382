"""Float images, channels first, to bytes, channels last."""
from libc.stdint cimport int64_t, uint8_t

# y[batch][pixels][channels] from x[batch][channels][pixels]. bits: 8, or other widths of the server set; 0: the mobile set.
cdef void quantize_turned(const float* x, uint8_t* y, int64_t batch, int64_t channels, int64_t pixels, float scale,
                          int zero_point, int bits) noexcept nogil
