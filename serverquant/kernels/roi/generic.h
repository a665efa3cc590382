/* The loops, written once and included for every instruction set with SQ_SUFFIX set: the compiler vectorises them. */
#define SQ_NAME(op) SQ_CONCAT(sq_##op, SQ_SUFFIX)

static void SQ_NAME(roi_add_nchw)(const sq_roi_part* part) {
    const sq_roi_job* j = part->job;
    const long long pixels = j->height * j->width, all = (long long)j->pooled_h * j->pooled_w;
    for (long long c = 0; c < j->channels; c++) {
        const float* plane = part->x + c * pixels;
        float* y = part->y + c * all + part->bin;
        int i = 0;
        for (int b = 0; b < part->bins; b++) {
            float sum = part->first ? 0.0f : y[b];
            for (; i < part->ends[b]; i++) {
                const sq_roi_point* p = &part->points[i];
                sum += p->weight[0] * plane[p->at[0]] + p->weight[1] * plane[p->at[1]] + p->weight[2] * plane[p->at[2]] +
                       p->weight[3] * plane[p->at[3]];
            }
            y[b] = part->last ? sum * part->scale : sum;
        }
    }
}

static void SQ_NAME(roi_add_nhwc)(const sq_roi_part* part) {
    const long long channels = part->job->channels;
    int i = 0;
    for (int b = 0; b < part->bins; b++) {
        float* y = part->y + (part->bin + b) * channels;
        if (part->first) memset(y, 0, channels * sizeof(float));
        for (; i < part->ends[b]; i++) {
            const sq_roi_point* p = &part->points[i];
            const float *x0 = part->x + p->at[0] * channels, *x1 = part->x + p->at[1] * channels;
            const float *x2 = part->x + p->at[2] * channels, *x3 = part->x + p->at[3] * channels;
            const float w0 = p->weight[0], w1 = p->weight[1], w2 = p->weight[2], w3 = p->weight[3];
#pragma GCC ivdep
            for (long long c = 0; c < channels; c++) y[c] += w0 * x0[c] + w1 * x1[c] + w2 * x2[c] + w3 * x3[c];
        }
        if (part->last)
            for (long long c = 0; c < channels; c++) y[c] *= part->scale;
    }
}

static void SQ_NAME(roi_align_nchw_f32)(const void* job, long long begin, long long end) {
    sq_roi_walk(job, begin, end, SQ_NAME(roi_add_nchw));
}

static void SQ_NAME(roi_align_nhwc_f32)(const void* job, long long begin, long long end) {
    sq_roi_walk(job, begin, end, SQ_NAME(roi_add_nhwc));
}

#undef SQ_NAME
#undef SQ_SUFFIX
