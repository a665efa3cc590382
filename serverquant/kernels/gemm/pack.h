/* Packing of weights into panels; see sq_packed for the layout. */
#ifndef SERVERQUANT_GEMM_PACK_H
#define SERVERQUANT_GEMM_PACK_H

#include <string.h>

#include "gemm.h"

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

#endif
