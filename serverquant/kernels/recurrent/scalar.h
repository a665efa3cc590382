/* The definitions, one element at a time. */
#ifndef SERVERQUANT_RECURRENT_SCALAR_H
#define SERVERQUANT_RECURRENT_SCALAR_H

#include "serverquant/elementary.h"

/* The exponential rounded once, as the C library's nearly always is: Caffe2's bytes hang on the last bit. */
SQ_INLINE float sq_cell_sigmoid(float x) { return 1.0f / (1.0f + (float)sq_exp_d(-(double)x)); }

/* As Caffe2's cells have it: absolute accuracy is that of a number near 1. */
SQ_INLINE float sq_cell_tanh(float x) { return 2.0f * sq_cell_sigmoid(2.0f * x) - 1.0f; }

SQ_INLINE float sq_lstm_cell(float i, float f, float g, float c_before) {
    const float kept = sq_cell_sigmoid(f) * c_before, added = sq_cell_sigmoid(i) * sq_cell_tanh(g);
    return kept + added;
}

SQ_INLINE float sq_gru_state(float update, float output, float h_before) {
    const float u = sq_cell_sigmoid(update), kept = h_before * u, fresh = sq_cell_tanh(output) * (1.0f - u);
    return kept + fresh;
}

/* A state of a row that is over. */
SQ_INLINE void sq_state_over(const float* before, float* now, long long d, int drop) {
    if (drop)
        memset(now, 0, (size_t)d * sizeof(float));
    else
        memmove(now, before, (size_t)d * sizeof(float));
}

#endif
