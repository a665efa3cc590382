/* The channels-last loops, included once for each type of value (SQ_VALUE, SQ_TYPED). */

/* All groups of the tap (kz, ky, *) of columns (oz, oy, *) into one line. */
static void SQ_TYPED(add_taps)(const sq_col2im_job* job, int64_t image, int64_t row, int64_t tap0, SQ_VALUE* line) {
    const sq_window* w = job->window;
    const int64_t taps = sq_volume(w->kernel), columns = sq_volume(w->out), channels = job->channels;
    for (int64_t kx = 0; kx < w->kernel[2]; kx++) {
        int64_t first, last, shift;
        sq_columns_inside(w, 2, kx, &first, &last, &shift);
        for (int64_t g = 0; g < job->groups; g++) {
            const SQ_VALUE* c = (const SQ_VALUE*)job->cols +
                                (((g * job->images + image) * columns + row * w->out[2]) * taps + tap0 + kx) * channels;
            for (int64_t o = first; o < last; o++) {
                const SQ_VALUE* from = c + o * taps * channels;
                SQ_VALUE* to = line + ((o * w->stride[2] + shift) * job->groups + g) * channels;
#pragma GCC ivdep
                for (int64_t j = 0; j < channels; j++) to[j] += from[j];
            }
        }
    }
}

static void SQ_TYPED(col2im_pixels)(const void* arg, long long begin, long long end) {
    const sq_col2im_job job = *(const sq_col2im_job*)arg;
    const sq_window* w = job.window;
    const SQ_VALUE* bias = job.bias;
    const int64_t all = job.groups * job.channels, lines = w->in[0] * w->in[1];
    for (long long item = begin; item < end; item++) {
        const int64_t image = item / lines, z = item % lines / w->in[1], y = item % w->in[1];
        SQ_VALUE* line = (SQ_VALUE*)job.y + item * w->in[2] * all;
        for (int64_t i = 0; i < w->in[2]; i++)
            for (int64_t j = 0; j < all; j++) line[i * all + j] = bias ? bias[j] : 0;
        for (int64_t kz = 0; kz < w->kernel[0]; kz++) {
            const int64_t oz = sq_column_at(w, 0, kz, z);
            for (int64_t ky = 0; ky < w->kernel[1] && oz >= 0; ky++) {
                const int64_t oy = sq_column_at(w, 1, ky, y);
                if (oy >= 0)
                    SQ_TYPED(add_taps)(&job, image, oz * w->out[1] + oy, (kz * w->kernel[1] + ky) * w->kernel[2], line);
            }
        }
    }
}

#undef SQ_TYPED
#undef SQ_VALUE
