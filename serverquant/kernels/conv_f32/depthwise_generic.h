/* Depthwise bodies, written once. The including header defines, for its instruction set,
 *   SQ_V, SQ_LANES, SQ_ZERO(), SQ_LOAD(p), SQ_STORE(p, v), SQ_STORE_PART(p, v, count), SQ_SPREAD(p), SQ_FMA(a, b, c),
 *   SQ_ADD(a, b), SQ_CLIP(v, lo, hi), SQ_NAME(suffix), and for what begins before a line or ends behind it
 *   SQ_MASK, SQ_MASK_OF(first, last) (lanes first <= i < last), SQ_LOAD_MASKED(p, mask) (zeros in the other lanes,
 *   whose memory is not touched), SQ_EVEN(a, b) (lanes 0, 2, ... of a, then of b).
 * No include guard: it is included once an instruction set. */

#define SQ_BODY SQ_INLINE
#define SQ_EACH _Pragma("GCC unroll 8") for (int j = 0; j < nv; j++)
#define SQ_SOME(lo, hi, r) _Pragma("GCC unroll 4") for (int r = (lo); r < (hi); r++)
/* Vectors of an accumulator that shares its loads with up to three others: registers are left for vectors of x. */
#define SQ_SHARED (SQ_LANES == 16 ? 4 : 3)
#define SQ_TIMES(n, i) _Pragma("GCC unroll 16") for (int i = 0; i < (n); i++)

/* nv vectors of the flat row at `x`. */
SQ_BODY void SQ_NAME(_flat_block)(const float* x, const int64_t* offset, int64_t taps, const float* w,
                                  const float* bias, const sq_bounds* bounds, float* out, const int nv) {
    SQ_V acc[8];
    SQ_EACH acc[j] = SQ_ZERO();
    for (int64_t t = 0; t < taps; t++) {
        const float* at = x + offset[t];
        SQ_V weight = SQ_SPREAD(w + t);
        SQ_EACH acc[j] = SQ_FMA(weight, SQ_LOAD(at + j * SQ_LANES), acc[j]);
    }
    if (bias) {
        SQ_EACH acc[j] = SQ_ADD(acc[j], SQ_SPREAD(bias));
    }
    if (bounds) {
        SQ_V lo = SQ_SPREAD(&bounds->lo), hi = SQ_SPREAD(&bounds->hi);
        SQ_EACH acc[j] = SQ_CLIP(acc[j], lo, hi);
    }
    SQ_EACH SQ_STORE(out + j * SQ_LANES, acc[j]);
}

static void SQ_NAME(_flat)(const float* x, const int64_t* offset, int64_t taps, const float* w, const float* bias,
                           const sq_bounds* bounds, int64_t length, float* out) {
    int64_t q = 0;
    /* Two multiply-adds a cycle of four cycles each: eight chains keep the units busy. */
    for (; q + 7 * SQ_LANES < length; q += 8 * SQ_LANES)
        SQ_NAME(_flat_block)(x + q, offset, taps, w, bias, bounds, out + q, 8);
    for (; q + 3 * SQ_LANES < length; q += 4 * SQ_LANES)
        SQ_NAME(_flat_block)(x + q, offset, taps, w, bias, bounds, out + q, 4);
    if (q + SQ_LANES < length) {
        SQ_NAME(_flat_block)(x + q, offset, taps, w, bias, bounds, out + q, 2);
        q += 2 * SQ_LANES;
    }
    if (q < length) SQ_NAME(_flat_block)(x + q, offset, taps, w, bias, bounds, out + q, 1);
}

/* The taps of nv vectors at x into the accumulators lo <= r < hi, which share every load; r's weights: w + r * step. */
SQ_BODY void SQ_NAME(_shared_taps)(SQ_V acc[4][SQ_SHARED], const float* x, const int64_t* offset, int64_t taps,
                                   const float* w, int64_t step, const int lo, const int hi, const int nv) {
    for (int64_t t = 0; t < taps; t++) {
        SQ_V v[SQ_SHARED];
        SQ_EACH v[j] = SQ_LOAD(x + offset[t] + j * SQ_LANES);
        SQ_SOME(lo, hi, r) {
            SQ_V weight = SQ_SPREAD(w + r * step + t);
            SQ_EACH acc[r][j] = SQ_FMA(weight, v[j], acc[r][j]);
        }
    }
}

/* n accumulators of nv vectors, of which `left` values are there, to out + r * pitch; r's bias: bias[r * bias_step]. */
SQ_BODY void SQ_NAME(_shared_finish)(SQ_V acc[4][SQ_SHARED], const float* bias, int64_t bias_step,
                                     const sq_bounds* bounds, int64_t left, float* out, int64_t pitch, const int n,
                                     const int nv) {
    if (bias) {
        SQ_SOME(0, n, r) SQ_EACH acc[r][j] = SQ_ADD(acc[r][j], SQ_SPREAD(bias + r * bias_step));
    }
    if (bounds) {
        SQ_V lo = SQ_SPREAD(&bounds->lo), hi = SQ_SPREAD(&bounds->hi);
        SQ_SOME(0, n, r) SQ_EACH acc[r][j] = SQ_CLIP(acc[r][j], lo, hi);
    }
    SQ_SOME(0, n, r) SQ_EACH {
        if (left - j * SQ_LANES < SQ_LANES)
            SQ_STORE_PART(out + r * pitch + j * SQ_LANES, acc[r][j], left - j * SQ_LANES);
        else
            SQ_STORE(out + r * pitch + j * SQ_LANES, acc[r][j]);
    }
}

SQ_BODY void SQ_NAME(_outputs_block)(const float* x, const int64_t* offset, int64_t taps, const float* w,
                                     const float* bias, const sq_bounds* bounds, int64_t left, float* out,
                                     int64_t pitch, const int n, const int nv) {
    SQ_V acc[4][SQ_SHARED];
    SQ_SOME(0, n, r) SQ_EACH acc[r][j] = SQ_ZERO();
    SQ_NAME(_shared_taps)(acc, x, offset, taps, w, taps, 0, n, nv);
    SQ_NAME(_shared_finish)(acc, bias, 1, bounds, left, out, pitch, n, nv);
}

#define SQ_OUTPUTS(n)                                                                                                  \
    static void SQ_NAME(_outputs_##n)(const float* x, const int64_t* offset, int64_t taps, const float* w,             \
                                      const float* bias, const sq_bounds* bounds, int64_t length, float* out,          \
                                      int64_t pitch) {                                                                 \
        int64_t q = 0;                                                                                                 \
        for (; q + SQ_SHARED * SQ_LANES <= length; q += SQ_SHARED * SQ_LANES)                                          \
            SQ_NAME(_outputs_block)(x + q, offset, taps, w, bias, bounds, length - q, out + q, pitch, n, SQ_SHARED);   \
        for (; q < length; q += SQ_LANES)                                                                              \
            SQ_NAME(_outputs_block)(x + q, offset, taps, w, bias, bounds, length - q, out + q, pitch, n, 1);           \
    }
SQ_OUTPUTS(2) SQ_OUTPUTS(3) SQ_OUTPUTS(4)

/* An input line that several lines of the window see is loaded once for up to three output lines; the taps of each
 * output keep their order. */
SQ_BODY void SQ_NAME(_three_lines_block)(const float* x, const int64_t* offset, int64_t taps, int64_t lines,
                                         int64_t pitch, const float* w, const float* bias, const sq_bounds* bounds,
                                         int64_t left, float* out, const int nv) {
    SQ_V acc[4][SQ_SHARED];
    SQ_SOME(0, 3, r) SQ_EACH acc[r][j] = SQ_ZERO();
    for (int64_t i = 0; i < lines + 2; i++, w += taps) {
        if (i == 0)
            SQ_NAME(_shared_taps)(acc, x, offset, taps, w, -taps, 0, 1, nv);
        else if (i == 1)
            SQ_NAME(_shared_taps)(acc, x, offset, taps, w, -taps, 0, 2, nv);
        else if (i < lines)
            SQ_NAME(_shared_taps)(acc, x, offset, taps, w, -taps, 0, 3, nv);
        else if (i == lines)
            SQ_NAME(_shared_taps)(acc, x, offset, taps, w, -taps, 1, 3, nv);
        else
            SQ_NAME(_shared_taps)(acc, x, offset, taps, w, -taps, 2, 3, nv);
        /* The window's last line, one and two output lines further. */
        if (i < lines - 1)
            offset += taps;
        else
            x += pitch;
    }
    SQ_NAME(_shared_finish)(acc, bias, 0, bounds, left, out, pitch, 3, nv);
}

static void SQ_NAME(_three_lines)(const float* x, const int64_t* offset, int64_t taps, int64_t lines, int64_t pitch,
                                  const float* w, const float* bias, const sq_bounds* bounds, int64_t length,
                                  float* out) {
    int64_t q = 0;
    for (; q + (SQ_SHARED - 1) * SQ_LANES < length; q += SQ_SHARED * SQ_LANES)
        SQ_NAME(_three_lines_block)(x + q, offset, taps, lines, pitch, w, bias, bounds, length - q, out + q, SQ_SHARED);
    for (; q + SQ_LANES < length; q += 2 * SQ_LANES)
        SQ_NAME(_three_lines_block)(x + q, offset, taps, lines, pitch, w, bias, bounds, length - q, out + q, 2);
    for (; q < length; q += SQ_LANES)
        SQ_NAME(_three_lines_block)(x + q, offset, taps, lines, pitch, w, bias, bounds, length - q, out + q, 1);
}

/* nv vectors of channels from c on; the last one holds `last`. */
SQ_BODY void SQ_NAME(_channel_block)(const float* const* x, int64_t taps, const float* w, const float* bias,
                                     const sq_bounds* bounds, int64_t length, int64_t c, int64_t last, float* out,
                                     const int nv) {
    SQ_V acc[4];
    SQ_EACH acc[j] = SQ_ZERO();
    for (int64_t t = 0; t < taps; t++) {
        const float* at = x[t] + c;
        const float* weight = w + t * length + c;
        SQ_EACH acc[j] = SQ_FMA(SQ_LOAD(weight + j * SQ_LANES), SQ_LOAD(at + j * SQ_LANES), acc[j]);
    }
    if (bias) {
        SQ_EACH acc[j] = SQ_ADD(acc[j], SQ_LOAD(bias + c + j * SQ_LANES));
    }
    if (bounds) {
        SQ_V lo = SQ_SPREAD(&bounds->lo), hi = SQ_SPREAD(&bounds->hi);
        SQ_EACH acc[j] = SQ_CLIP(acc[j], lo, hi);
    }
    SQ_EACH {
        if (j == nv - 1 && last < SQ_LANES)
            SQ_STORE_PART(out + c + j * SQ_LANES, acc[j], last);
        else
            SQ_STORE(out + c + j * SQ_LANES, acc[j]);
    }
}

static void SQ_NAME(_channels)(const float* const* x, int64_t taps, const float* w, const float* bias, const sq_bounds* bounds,
                               int64_t length, float* out) {
    int64_t c = 0;
    for (; c + 4 * SQ_LANES <= length; c += 4 * SQ_LANES)
        SQ_NAME(_channel_block)(x, taps, w, bias, bounds, length, c, SQ_LANES, out, 4);
    for (; c < length; c += SQ_LANES)
        SQ_NAME(_channel_block)(x, taps, w, bias, bounds, length, c, length - c, out, 1);
}

/* The lanes of the vector at pixel `at` of a line that lie inside it. */
SQ_BODY SQ_MASK SQ_NAME(_inside)(int64_t at, int64_t width) {
    const int64_t first = at < 0 ? -at : 0, last = width - at;
    return SQ_MASK_OF(first < SQ_LANES ? first : SQ_LANES, last < 0 ? 0 : last < SQ_LANES ? last : SQ_LANES);
}

/* `count` output lines of a 3x3 window, whose inputs are the lines x[0] .. x[(count - 1) * step + 2]. An input is
 * loaded once for the up to three lines that read it; the taps of each output keep their order. */
SQ_BODY void SQ_NAME(_some_lines)(const float* const* x, const sq_window* window, const float* weights,
                                  const float* bias, const sq_bounds* bounds, float* out, const int count,
                                  const int step) {
    const int64_t width = window->out[2];
    SQ_V w[9];
    SQ_TIMES(9, t) w[t] = SQ_SPREAD(weights + t);
    for (int64_t column = 0; column < width; column += SQ_LANES) {
        const int64_t at = column * step - window->pad[2];
        SQ_MASK inside[2][3];
        SQ_TIMES(3, k) {
            inside[0][k] = SQ_NAME(_inside)(at + k, window->in[2]);
            if (step == 2) inside[1][k] = SQ_NAME(_inside)(at + k + SQ_LANES, window->in[2]);
        }
        SQ_V acc[SQ_LINES];
        SQ_TIMES(count, j) acc[j] = SQ_ZERO();
        SQ_TIMES((count - 1) * step + 3, i) {
            SQ_TIMES(3, k) {
                const float* p = x[i] + at + k;
                SQ_V v = SQ_LOAD_MASKED(p, inside[0][k]);
                if (step == 2) v = SQ_EVEN(v, SQ_LOAD_MASKED(p + SQ_LANES, inside[1][k]));
                SQ_TIMES(count, j) {
                    const int line = i - j * step; /* of the window */
                    if (line >= 0 && line < 3) acc[j] = SQ_FMA(w[line * 3 + k], v, acc[j]);
                }
            }
        }
        if (bias) {
            SQ_TIMES(count, j) acc[j] = SQ_ADD(acc[j], SQ_SPREAD(bias));
        }
        if (bounds) {
            SQ_V lo = SQ_SPREAD(&bounds->lo), hi = SQ_SPREAD(&bounds->hi);
            SQ_TIMES(count, j) acc[j] = SQ_CLIP(acc[j], lo, hi);
        }
        SQ_TIMES(count, j) {
            if (width - column < SQ_LANES)
                SQ_STORE_PART(out + j * width + column, acc[j], width - column);
            else
                SQ_STORE(out + j * width + column, acc[j]);
        }
    }
}

#define SQ_LINES_OF(count, step)                                                                                      \
    static void SQ_NAME(_lines_##count##_##step)(const float* const* x, const sq_window* window, const float* w,     \
                                                 const float* bias, const sq_bounds* bounds, float* out) {           \
        SQ_NAME(_some_lines)(x, window, w, bias, bounds, out, count, step);                                           \
    }
SQ_LINES_OF(7, 1) SQ_LINES_OF(4, 1) SQ_LINES_OF(2, 1) SQ_LINES_OF(1, 1)
SQ_LINES_OF(7, 2) SQ_LINES_OF(4, 2) SQ_LINES_OF(2, 2) SQ_LINES_OF(1, 2)

static void SQ_NAME(_lines)(const float* x, const float* zeros, const sq_window* window, const float* w,
                            const float* bias, const sq_bounds* bounds, float* y) {
    static const sq_some_lines bodies[2][4] = {
        {SQ_NAME(_lines_7_1), SQ_NAME(_lines_4_1), SQ_NAME(_lines_2_1), SQ_NAME(_lines_1_1)},
        {SQ_NAME(_lines_7_2), SQ_NAME(_lines_4_2), SQ_NAME(_lines_2_2), SQ_NAME(_lines_1_2)}};
    static const int counts[4] = {SQ_LINES, 4, 2, 1};
    const int64_t step = window->stride[1];
    const int far = window->in[1] * window->in[2] > SQ_NEAR_FLOATS;
    for (int64_t line = 0; line < window->out[1];) {
        const float* rows[2 * SQ_LINES + 1];
        int size = 0;
        while (counts[size] > window->out[1] - line) size++;
        for (int64_t i = 0; i < (counts[size] - 1) * step + 3; i++) {
            const int64_t at = line * step + i - window->pad[1];
            rows[i] = at >= 0 && at < window->in[1] ? x + at * window->in[2] : zeros;
        }
        const int64_t block = counts[size] * step * window->in[2];
        if (far) sq_prefetch_floats(x + line * step * window->in[2] + block, block);
        bodies[step - 1][size](rows, window, w, bias, bounds, y + line * window->out[2]);
        line += counts[size];
    }
}

SQ_BODY void SQ_NAME(_gather)(const sq_pixel_run* runs, int count, const float* x, int64_t plane, int64_t planes,
                              float* out, int64_t width, const int step) {
    for (int64_t j = 0; j < planes; j++, x += plane, out += width)
        for (int r = 0; r < count; r++) {
            const int64_t pixels = runs[r].count;
            const float* from = x + runs[r].source;
            float* to = out + runs[r].at;
            for (int64_t i = 0; i < pixels; i += SQ_LANES) {
                if (runs[r].source < 0) {
                    SQ_STORE(to + i, SQ_ZERO());
                } else if (step == 1) {
                    SQ_STORE(to + i, SQ_LOAD(from + i));
                } else {
                    const int64_t at = 2 * i, end = 2 * pixels - 1;
                    const SQ_V a = SQ_LOAD_MASKED(from + at, SQ_NAME(_inside)(at, end));
                    const SQ_V b = SQ_LOAD_MASKED(from + at + SQ_LANES, SQ_NAME(_inside)(at + SQ_LANES, end));
                    SQ_STORE(to + i, SQ_EVEN(a, b));
                }
            }
        }
}

static void SQ_NAME(_gather_1)(const sq_pixel_run* runs, int count, const float* x, int64_t plane, int64_t planes,
                               float* out, int64_t width) {
    SQ_NAME(_gather)(runs, count, x, plane, planes, out, width, 1);
}

static void SQ_NAME(_gather_2)(const sq_pixel_run* runs, int count, const float* x, int64_t plane, int64_t planes,
                               float* out, int64_t width) {
    SQ_NAME(_gather)(runs, count, x, plane, planes, out, width, 2);
}

#undef SQ_BODY
#undef SQ_EACH
#undef SQ_SOME
#undef SQ_SHARED
#undef SQ_TIMES
#undef SQ_OUTPUTS
#undef SQ_LINES_OF
#undef SQ_MASK
#undef SQ_MASK_OF
#undef SQ_LOAD_MASKED
#undef SQ_EVEN
#undef SQ_V
#undef SQ_LANES
#undef SQ_ZERO
#undef SQ_LOAD
#undef SQ_STORE
#undef SQ_STORE_PART
#undef SQ_SPREAD
#undef SQ_FMA
#undef SQ_ADD
#undef SQ_CLIP
#undef SQ_NAME
