/* One step of recurrent cells. Items: rows of the batch, `d` values of state each.
 *
 *   sigmoid(x) = 1 / (1 + e^-x),  one rounding an operation; tanh(x) = 2 sigmoid(2 x) - 1
 *   lstm_unit_f32   gates [4 d]: i, f, o, g
 *     c = f32(f32(sigmoid(f32(f + forget_bias)) * c_before) + f32(sigmoid(i) * tanh(g)));  h = f32(sigmoid(o) * tanh(c))
 *   gru_unit_f32    gates [3 d]: reset (not used), update, output;  u = sigmoid(update)
 *     h = f32(f32(h_before * u) + f32(tanh(output) * f32(1 - u)))
 *
 * A row whose length is at most `step` is over: its states become 0 (drop), or stay.
 */
#ifndef SERVERQUANT_RECURRENT_H
#define SERVERQUANT_RECURRENT_H

#include "serverquant/rows.h"

typedef struct {
    const float* h_before;
    const float* c_before; /* LSTM */
    const float* gates;
    const int* lengths;    /* [rows], or NULL: no row is over */
    float* h;
    float* c;              /* LSTM */
    long long d;
    int step, drop;
    float forget_bias;
} sq_cell_job;

extern const sq_row sq_recurrent_rows[];
extern const int sq_recurrent_row_count;

#endif
