/* Packing of weights into panels; see sq_packed for the layout. */
#ifndef SERVERQUANT_GEMM_PACK_H
#define SERVERQUANT_GEMM_PACK_H

#include <stdlib.h>
#include <string.h>

#include "gemm.h"
#include "narrow.h"

/* Columns that panel p stores: nr, the last one what is left, in whole vectors. */
static inline int32_t sq_panel_width(const sq_gemm_row* row, int32_t n, int32_t p) {
    int32_t left = n - p * row->nr;
    if (left >= row->nr) return row->nr;
    return (left + row->lanes - 1) / row->lanes * row->lanes;
}

static inline int64_t sq_round_up(int64_t v, int64_t to) { return (v + to - 1) / to * to; }

/* One panel: columns c0 .. c0 + width of weights[n][k] to [k/kr][width][kr]; zeros where there is no weight. */
static void sq_pack_panel(const int8_t* weights, int32_t n, int64_t k, int32_t c0, int32_t width, int32_t kr,
                          int8_t* out) {
    for (int64_t k0 = 0; k0 < k; k0 += kr) {
        int32_t some = k - k0 < kr ? (int32_t)(k - k0) : kr;
        for (int32_t j = 0; j < width; j++, out += kr) {
            memset(out, 0, (size_t)kr);
            if (c0 + j < n) memcpy(out, weights + (c0 + j) * k + k0, (size_t)some);
        }
    }
}

/* The panel of columns c0 .. c0 + width as int16, [k/2][width][2]: for vpmaddwd, whose sums need no bound. */
static void sq_pack_wide_panel(const int8_t* weights, int32_t n, int64_t k, int32_t c0, int32_t width, int8_t* out) {
    sq_pack_panel(weights, n, k, c0, width, 2, out);
    for (int64_t i = sq_round_up(k, 2) * width - 1; i >= 0; i--) {
        const int16_t w = out[i];
        memcpy(out + 2 * i, &w, 2);
    }
}

/* Bounds one packed panel for int16 sums. begin[v] becomes the first extra of its vector column v. */
static void sq_narrow_panel(int8_t* panel, int32_t width, int32_t lanes, int32_t taps, int32_t kc, int32_t depth,
                            sq_extra_list* list, int32_t* begin) {
    for (int32_t v = 0; v < width / lanes; v++) {
        if (begin) begin[v] = list->count;
        sq_narrow_column(panel + v * SQ_NARROW_BYTES, (int64_t)width * 4, taps, kc, depth, list);
    }
}

/* Extra vectors that weights[groups * n][taps * kc] need at this depth; -1 without memory. */
static int64_t sq_count_extras(const sq_gemm_row* row, const int8_t* weights, int32_t groups, int32_t n, int32_t taps,
                               int32_t kc, int32_t depth) {
    int64_t k = (int64_t)taps * kc;
    int8_t* panel = (int8_t*)malloc((size_t)(sq_round_up(k, 4) * row->nr + 1));
    if (!panel) return -1;
    sq_extra_list list = {NULL, NULL, 0};
    for (int32_t g = 0; g < groups; g++, weights += n * k)
        for (int32_t c = 0; c < n; c += row->nr) {
            int32_t width = sq_panel_width(row, n, c / row->nr);
            sq_pack_panel(weights, n, k, c, width, 4, panel);
            sq_narrow_panel(panel, width, row->lanes, taps, kc, depth, &list, NULL);
        }
    free(panel);
    return list.count;
}

#endif
