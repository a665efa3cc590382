/* Row sources of convolutions. Both walk runs of output pixels that share an image row. */
#include "serverquant/vectorise.h"

#include "conv.h"

#include <string.h>

#include "serverquant/copy.h"

/* Output pixels of one image row: begin <= x < end of row (b, z, y). */
typedef struct run {
    int64_t image;   /* b */
    int32_t z, y;
    int32_t begin, end;
} run;

/* The run that starts with pixel m and ends before pixel m1. */
static run run_at(const sq_conv_geometry* g, int64_t m, int64_t m1) {
    run r;
    int64_t row = m / g->out[2];
    r.begin = (int32_t)(m % g->out[2]);
    r.end = m1 - m < g->out[2] - r.begin ? (int32_t)(r.begin + m1 - m) : g->out[2];
    r.y = (int32_t)(row % g->out[1]);
    r.z = (int32_t)(row / g->out[1] % g->out[0]);
    r.image = row / g->out[1] / g->out[0];
    return r;
}

/* The input row that taps (kz, ky) of the run read, or NULL where it is padding. */
static const uint8_t* input_row(const sq_conv_source* s, const run* r, int32_t kz, int32_t ky) {
    const sq_conv_geometry* g = s->geometry;
    int64_t z = (int64_t)r->z * g->stride[0] - g->pad[0] + (int64_t)kz * g->dilation[0];
    int64_t y = (int64_t)r->y * g->stride[1] - g->pad[1] + (int64_t)ky * g->dilation[1];
    if (z < 0 || z >= g->in[0] || y < 0 || y >= g->in[1]) return NULL;
    return s->x + (((r->image * g->in[0] + z) * g->in[1] + y) * g->in[2]) * g->in_channels;
}

/* Column that tap kx of output column `x` reads; outside 0 .. in[2] it is padding. */
static inline int64_t input_column(const sq_conv_geometry* g, int32_t x, int32_t kx) {
    return (int64_t)x * g->stride[2] - g->pad[2] + (int64_t)kx * g->dilation[2];
}

/* Pointers of one tap for a run: padding, the pixels of the row, padding. */
static void point_tap(const sq_conv_source* s, const run* r, const uint8_t* row, int32_t kx, const uint8_t** to) {
    const sq_conv_geometry* g = s->geometry;
    const int64_t step = g->stride[2], column = input_column(g, r->begin, kx), count = r->end - r->begin;
    const int64_t outside = column < 0 ? (-column + step - 1) / step : 0;
    const int64_t end = row && column < g->in[2] ? (g->in[2] - 1 - column) / step + 1 : 0;
    const int64_t last = end < count ? end : count, first = outside < last ? outside : last;
    int64_t i = 0;
    for (; i < first; i++) to[i] = s->padding;
    const uint8_t* at = row ? row + (column + i * step) * g->in_channels : NULL;
    for (; i < last; i++, at += step * g->in_channels) to[i] = at;
    for (; i < count; i++) to[i] = s->padding;
}

static void fill_pointers(const sq_source* source, int64_t m0, int64_t m1, int32_t group, const uint8_t** rows,
                          uint8_t* copy) {
    (void)group, (void)copy;
    const sq_conv_source* s = (const sq_conv_source*)source;
    const sq_conv_geometry* g = s->geometry;
    run r;
    for (int64_t m = m0; m < m1; m += r.end - r.begin) {
        const uint8_t** to = rows + (m - m0);
        r = run_at(g, m, m1);
        for (int32_t kz = 0; kz < g->kernel[0]; kz++)
            for (int32_t ky = 0; ky < g->kernel[1]; ky++) {
                const uint8_t* row = input_row(s, &r, kz, ky);
                for (int32_t kx = 0; kx < g->kernel[2]; kx++, to += m1 - m0) point_tap(s, &r, row, kx, to);
            }
    }
}

/* The output columns begin <= x < end of the run whose taps are all inside the image. */
static void inside_columns(const sq_conv_geometry* g, const run* r, int32_t* begin, int32_t* end) {
    int64_t step = g->stride[2], first = (g->pad[2] + step - 1) / step;
    int64_t room = (int64_t)g->in[2] - 1 - (int64_t)(g->kernel[2] - 1) * g->dilation[2] + g->pad[2];
    int64_t last = room < 0 ? 0 : room / step + 1;
    *begin = (int32_t)(first < r->begin ? r->begin : first > r->end ? r->end : first);
    *end = (int32_t)(last < *begin ? *begin : last > r->end ? r->end : last);
}

/* Pixels whose taps are all inside the image lie `step` bytes apart. */
static int64_t run_pixels(const sq_source* source, int64_t m, int64_t most, const uint8_t** rows) {
    const sq_conv_source* s = (const sq_conv_source*)source;
    const sq_conv_geometry* g = s->geometry;
    const run r = run_at(g, m, m + most);
    int32_t begin, end;
    inside_columns(g, &r, &begin, &end);
    if (begin > r.begin || end == begin) return r.begin - (end > begin ? begin : r.end);
    for (int32_t kz = 0; kz < g->kernel[0]; kz++)
        for (int32_t ky = 0; ky < g->kernel[1]; ky++) {
            const uint8_t* row = input_row(s, &r, kz, ky);
            if (!row) return r.begin - r.end;
            for (int32_t kx = 0; kx < g->kernel[2]; kx++) *rows++ = row + input_column(g, begin, kx) * g->in_channels;
        }
    return end - begin;
}

static inline void fill_bytes(uint8_t* to, uint8_t value, int64_t n) {
    for (int64_t i = 0; i < n; i++) to[i] = value;
}

/* All kx taps of one output pixel when they lie side by side: the part inside the image is one copy. */
static void gather_span(const sq_conv_source* s, const uint8_t* row, int64_t column, uint8_t* to) {
    const sq_conv_geometry* g = s->geometry;
    int64_t c = s->channels, width = g->kernel[2];
    int64_t first = column < 0 ? (-column < width ? -column : width) : 0;
    int64_t last = g->in[2] - column < width ? g->in[2] - column : width;
    if (last < first) last = first;
    fill_bytes(to, *s->padding, first * c);
    sq_copy_short(to + first * c, row + (column + first) * c, (last - first) * c);
    fill_bytes(to + last * c, *s->padding, (width - last) * c);
}

/* The kx taps of one output pixel one by one: dilation, or channels of one group among several. */
static void gather_taps(const sq_conv_source* s, const uint8_t* row, int64_t column, int64_t offset, uint8_t* to) {
    const sq_conv_geometry* g = s->geometry;
    for (int32_t kx = 0; kx < g->kernel[2]; kx++, column += g->dilation[2], to += s->channels) {
        if (column >= 0 && column < g->in[2])
            sq_copy_short(to, row + column * g->in_channels + offset, s->channels);
        else
            fill_bytes(to, *s->padding, s->channels);
    }
}

/* Spans of `count` pixels that lie inside the image, `step` bytes apart. Short spans get loops of two moves. */
static void gather_inside(uint8_t* to, int64_t stride, const uint8_t* from, int64_t step, int64_t span, int64_t count) {
    if (span > 16 && span <= 32) {
        for (; count > 0; count--, to += stride, from += step) {
            memcpy(to, from, 16);
            memcpy(to + span - 16, from + span - 16, 16);
        }
    } else if (span >= 8 && span <= 16) {
        for (; count > 0; count--, to += stride, from += step) {
            memcpy(to, from, 8);
            memcpy(to + span - 8, from + span - 8, 8);
        }
    } else {
        for (; count > 0; count--, to += stride, from += step) sq_copy_short(to, from, span);
    }
}

/* One tap row of a run whose kx taps lie side by side. */
static void gather_spans(const sq_conv_source* s, const run* r, const uint8_t* row, int64_t stride, uint8_t* to) {
    const sq_conv_geometry* g = s->geometry;
    int64_t c = s->channels;
    int32_t begin, end;
    inside_columns(g, r, &begin, &end);
    for (int32_t x = r->begin; x < begin; x++)
        gather_span(s, row, input_column(g, x, 0), to + (x - r->begin) * stride);
    if (end > begin)
        gather_inside(to + (begin - r->begin) * stride, stride, row + input_column(g, begin, 0) * c, g->stride[2] * c,
                      g->kernel[2] * c, end - begin);
    for (int32_t x = end; x < r->end; x++)
        gather_span(s, row, input_column(g, x, 0), to + (x - r->begin) * stride);
}

static void gather_run(const sq_conv_source* s, const run* r, int64_t offset, int64_t stride, uint8_t* to) {
    const sq_conv_geometry* g = s->geometry;
    int64_t span = (int64_t)g->kernel[2] * s->channels;
    int contiguous = s->channels == g->in_channels && (g->dilation[2] == 1 || g->kernel[2] == 1);
    for (int32_t kz = 0; kz < g->kernel[0]; kz++)
        for (int32_t ky = 0; ky < g->kernel[1]; ky++, to += span) {
            const uint8_t* row = input_row(s, r, kz, ky);
            if (row && contiguous) {
                gather_spans(s, r, row, stride, to);
                continue;
            }
            for (int32_t x = r->begin; x < r->end; x++) {
                uint8_t* at = to + (x - r->begin) * stride;
                if (row)
                    gather_taps(s, row, input_column(g, x, 0), offset, at);
                else
                    fill_bytes(at, *s->padding, span);
            }
        }
}

static void fill_copies(const sq_source* source, int64_t m0, int64_t m1, int32_t group, const uint8_t** rows,
                        uint8_t* copy) {
    const sq_conv_source* s = (const sq_conv_source*)source;
    int64_t stride = sq_copy_stride(sq_conv_taps(s->geometry) * s->channels);
    run r;
    for (int64_t m = m0; m < m1; m++) rows[m - m0] = copy + (m - m0) * stride;
    for (int64_t m = m0; m < m1; m += r.end - r.begin) {
        r = run_at(s->geometry, m, m1);
        gather_run(s, &r, (int64_t)group * s->channels, stride, copy + (m - m0) * stride);
    }
}

void sq_conv_source_init(sq_conv_source* source, const sq_conv_geometry* geometry, const sq_packed* weight,
                         const uint8_t* x, const uint8_t* padding) {
    source->geometry = geometry;
    source->x = x;
    source->padding = padding;
    source->channels = geometry->in_channels / weight->groups;
    source->base.copies = weight->taps != sq_conv_taps(geometry);
    source->base.fill = source->base.copies ? fill_copies : fill_pointers;
    source->base.run = source->base.copies ? NULL : run_pixels;
    source->base.step = (int64_t)geometry->stride[2] * geometry->in_channels;
}
