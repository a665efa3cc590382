/* The loops, written once and included for every instruction set with SQ_SUFFIX set: the compiler vectorises them. */
#define SQ_NAME(op) SQ_CONCAT(sq_##op, SQ_SUFFIX)

static void SQ_NAME(segment_add)(const sq_segment_job* j, long long s, float* y) {
    const long long columns = j->columns;
    memset(y, 0, columns * sizeof(float));
    for (long long i = j->offsets[s]; i < j->offsets[s + 1]; i++) {
        const long long entry = sq_segment_entry(j, i);
        const float* x = sq_segment_row(j, entry);
        if (!j->weights) {
#pragma GCC ivdep
            for (long long c = 0; c < columns; c++) y[c] += x[c];
        } else {
            const float w = j->weights[entry];
#pragma GCC ivdep
            for (long long c = 0; c < columns; c++) y[c] += w * x[c]; /* rounded twice */
        }
    }
}

static void SQ_NAME(segment_sum_f32)(const void* job, long long begin, long long end) {
    const sq_segment_job* j = job;
    for (long long s = begin; s < end; s++) SQ_NAME(segment_add)(j, s, j->y + s * j->columns);
}

static void SQ_NAME(segment_mean_f32)(const void* job, long long begin, long long end) {
    const sq_segment_job* j = job;
    for (long long s = begin; s < end; s++) {
        float* y = j->y + s * j->columns;
        const long long count = j->offsets[s + 1] - j->offsets[s];
        SQ_NAME(segment_add)(j, s, y);
        if (count == 0) continue;
        const float scale = (float)(1.0 / (double)count);
        for (long long c = 0; c < j->columns; c++) y[c] *= scale;
    }
}

static void SQ_NAME(segment_max_f32)(const void* job, long long begin, long long end) {
    const sq_segment_job* j = job;
    for (long long s = begin; s < end; s++) {
        float* y = j->y + s * j->columns;
        const long long first = j->offsets[s], last = j->offsets[s + 1];
        if (first == last)
            memset(y, 0, j->columns * sizeof(float));
        else
            memcpy(y, sq_segment_row(j, sq_segment_entry(j, first)), j->columns * sizeof(float));
        for (long long i = first + 1; i < last; i++) {
            const float* x = sq_segment_row(j, sq_segment_entry(j, i));
#pragma GCC ivdep
            for (long long c = 0; c < j->columns; c++) y[c] = y[c] < x[c] ? x[c] : y[c];
        }
    }
}

static void SQ_NAME(segment_range_mean_f32)(const void* job, long long begin, long long end) {
    const sq_segment_job* j = job;
    for (long long s = begin; s < end; s++) {
        float* y = j->y + s * j->columns;
        const float count = (float)(j->offsets[s + 1] - j->offsets[s]);
        memset(y, 0, j->columns * sizeof(float));
        for (long long i = j->offsets[s]; i < j->offsets[s + 1]; i++) {
            const float* x = sq_segment_row(j, sq_segment_entry(j, i));
#pragma GCC ivdep
            for (long long c = 0; c < j->columns; c++) y[c] += x[c] / count;
        }
    }
}

static void SQ_NAME(segment_range_max)(const sq_segment_job* j, long long s, float* y) {
    for (long long c = 0; c < j->columns; c++) y[c] = -FLT_MAX;
    for (long long i = j->offsets[s]; i < j->offsets[s + 1]; i++) {
        const float* x = sq_segment_row(j, sq_segment_entry(j, i));
#pragma GCC ivdep
        for (long long c = 0; c < j->columns; c++) y[c] = y[c] < x[c] ? x[c] : y[c];
    }
}

static void SQ_NAME(segment_range_max_f32)(const void* job, long long begin, long long end) {
    const sq_segment_job* j = job;
    for (long long s = begin; s < end; s++) SQ_NAME(segment_range_max)(j, s, j->y + s * j->columns);
}

static void SQ_NAME(segment_log_exp)(const sq_segment_job* j, long long s, int mean) {
    float* y = j->y + s * j->columns;
    const float count = (float)(j->offsets[s + 1] - j->offsets[s]);
    SQ_NAME(segment_range_max)(j, s, y);
    for (long long c = 0; c < j->columns; c++) {
        float sum = 0;
        for (long long i = j->offsets[s]; i < j->offsets[s + 1]; i++)
            sum += sq_exp(sq_segment_row(j, sq_segment_entry(j, i))[c] - y[c]);
        if (mean) sum /= count;
        y[c] += sq_log(sum);
    }
}

static void SQ_NAME(segment_log_sum_exp_f32)(const void* job, long long begin, long long end) {
    for (long long s = begin; s < end; s++) SQ_NAME(segment_log_exp)(job, s, 0);
}

static void SQ_NAME(segment_log_mean_exp_f32)(const void* job, long long begin, long long end) {
    for (long long s = begin; s < end; s++) SQ_NAME(segment_log_exp)(job, s, 1);
}

#undef SQ_NAME
#undef SQ_SUFFIX
