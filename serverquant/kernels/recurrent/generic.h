/* The loops, written once and included for every instruction set with SQ_SUFFIX set: the compiler vectorises them. */
#define SQ_NAME(op) SQ_CONCAT(sq_##op, SQ_SUFFIX)

static void SQ_NAME(lstm_unit_f32)(const void* job, long long begin, long long end) {
    const sq_cell_job j = *(const sq_cell_job*)job;
    for (long long row = begin; row < end; row++) {
        const long long at = row * j.d;
        const float* c_before = j.c_before + at;
        const float* gate = j.gates + 4 * at;
        float* c = j.c + at;
        float* h = j.h + at;
        if (j.lengths && j.step >= j.lengths[row]) {
            sq_state_over(c_before, c, j.d, j.drop);
            sq_state_over(j.h_before + at, h, j.d, j.drop);
            continue;
        }
#pragma GCC ivdep
        for (long long i = 0; i < j.d; i++)
            c[i] = sq_lstm_cell(gate[i], gate[j.d + i] + j.forget_bias, gate[3 * j.d + i], c_before[i]);
#pragma GCC ivdep
        for (long long i = 0; i < j.d; i++) h[i] = sq_cell_sigmoid(gate[2 * j.d + i]) * sq_cell_tanh(c[i]);
    }
}

static void SQ_NAME(gru_unit_f32)(const void* job, long long begin, long long end) {
    const sq_cell_job j = *(const sq_cell_job*)job;
    for (long long row = begin; row < end; row++) {
        const long long at = row * j.d;
        const float* before = j.h_before + at;
        const float* gate = j.gates + 3 * at;
        float* h = j.h + at;
        if (j.lengths && j.step >= j.lengths[row]) {
            sq_state_over(before, h, j.d, j.drop);
            continue;
        }
#pragma GCC ivdep
        for (long long i = 0; i < j.d; i++) h[i] = sq_gru_state(gate[j.d + i], gate[2 * j.d + i], before[i]);
    }
}

#undef SQ_NAME
#undef SQ_SUFFIX
