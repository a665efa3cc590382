/* Keeping int16 sums exact: what vpmaddubsw would saturate goes into extra weight vectors, known when packing.
 *
 * An int16 sum covers the two weights of a pair, or with depth 2 the pairs of two neighbouring steps. Activations are
 * 0..255, so the sum cannot leave int16 if the positive weights add up to at most 128 and the negative ones to at
 * least -128: 255 * 128 = 32640. Weights beyond that are reduced until they fit, and the difference is multiplied by
 * an extra vector of its own at the same k (of depth 1, under the same bound).
 */
#ifndef SERVERQUANT_GEMM_NARROW_H
#define SERVERQUANT_GEMM_NARROW_H

#include <string.h>

#include "gemm.h"

enum { SQ_NARROW_BOUND = 128, SQ_NARROW_BYTES = 32 /* of one vector: 8 columns x 4 k */ };

/* Extra vectors as they are found; with extras == NULL they are only counted. */
typedef struct sq_extra_list {
    sq_extra* extras;
    int8_t* data;
    int32_t count;
} sq_extra_list;

/* Moves from *weight to *excess what must go so that `room` of weights of the given sign is not overdrawn. */
static inline void sq_narrow_weight(int8_t* weight, int16_t* excess, int sign, int32_t* room) {
    int32_t size = *weight * sign;
    if (size <= 0) return;
    int32_t kept = size < *room ? size : *room;
    *excess = (int16_t)(*excess + (size - kept) * sign);
    *weight = (int8_t)(kept * sign);
    *room -= kept;
}

/* Bounds the sums of `steps` (1 or 2) vectors that lie `stride` bytes apart. Returns whether anything was moved. */
static int sq_narrow_group(int8_t* w, int32_t steps, int64_t stride, int16_t excess[2][SQ_NARROW_BYTES]) {
    int moved = 0;
    memset(excess, 0, sizeof(int16_t) * 2 * SQ_NARROW_BYTES);
    for (int32_t pair = 0; pair < SQ_NARROW_BYTES; pair += 2)
        for (int sign = -1; sign <= 1; sign += 2) {
            int32_t room = SQ_NARROW_BOUND, total = 0;
            for (int32_t s = 0; s < steps; s++)
                for (int32_t i = pair; i < pair + 2; i++)
                    total += w[s * stride + i] * sign > 0 ? w[s * stride + i] * sign : 0;
            if (total <= room) continue;
            moved = 1;
            for (int32_t s = 0; s < steps; s++)
                for (int32_t i = pair; i < pair + 2; i++) sq_narrow_weight(w + s * stride + i, &excess[s][i], sign, &room);
        }
    return moved;
}

/* One extra vector at k, with as much of the excess as its own bound allows. Returns whether some is left. */
static int sq_narrow_emit(int16_t* excess, int32_t k, sq_extra_list* list) {
    int8_t vector[SQ_NARROW_BYTES];
    int left = 0;
    for (int32_t pair = 0; pair < SQ_NARROW_BYTES; pair += 2) {
        int32_t room[2] = {SQ_NARROW_BOUND, SQ_NARROW_BOUND - 1};
        for (int32_t i = pair; i < pair + 2; i++) {
            int negative = excess[i] < 0;
            int32_t size = negative ? -excess[i] : excess[i];
            int32_t taken = size < room[!negative] ? size : room[!negative];
            room[!negative] -= taken;
            vector[i] = (int8_t)(negative ? -taken : taken);
            excess[i] = (int16_t)(excess[i] - vector[i]);
            left |= excess[i] != 0;
        }
    }
    if (list->extras) {
        list->extras[list->count] = (sq_extra){k, list->count};
        memcpy(list->data + (int64_t)list->count * SQ_NARROW_BYTES, vector, SQ_NARROW_BYTES);
    }
    list->count++;
    return left;
}

/* One vector column of a packed panel: reduces its weights in place and lists the extra vectors by rising k. */
static void sq_narrow_column(int8_t* w, int64_t stride, int32_t taps, int32_t kc, int32_t depth, sq_extra_list* list) {
    int32_t steps = (kc + 3) / 4;
    int16_t excess[2][SQ_NARROW_BYTES];
    for (int32_t tap = 0; tap < taps; tap++)
        for (int32_t s = 0; s < steps; s += depth, w += stride * depth) {
            int32_t here = steps - s < depth ? steps - s : depth;
            int moved = sq_narrow_group(w, here, stride, excess);
            for (int32_t i = 0; moved && i < here; i++) {
                int16_t any = 0;
                for (int32_t b = 0; b < SQ_NARROW_BYTES; b++) any |= excess[i][b];
                while (any) any = (int16_t)sq_narrow_emit(excess[i], tap * kc + 4 * (s + i), list);
            }
            if (here < depth) w -= stride * (depth - here);
        }
}

#endif
