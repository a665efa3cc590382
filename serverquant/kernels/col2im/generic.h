/* The loops, written once and included for every instruction set with SQ_SUFFIX set: the compiler vectorises them. */
#define SQ_NAME(op) SQ_CONCAT(sq_##op, SQ_SUFFIX)

/* y[i * stride] += c[i] */
static void SQ_NAME(add_line)(float* y, const float* c, int64_t count, int64_t stride) {
    if (stride == 1) {
#pragma GCC ivdep
        for (int64_t i = 0; i < count; i++) y[i] += c[i];
    } else {
        for (int64_t i = 0; i < count; i++) y[i * stride] += c[i];
    }
}

/* One tap's columns into (or out of, if `gather`) a plane. */
static void SQ_NAME(tap_of_plane)(const sq_window* w, const int64_t tap[3], float* cols, float* plane, int gather) {
    int64_t first[3], last[3], shift[3];
    for (int a = 0; a < 3; a++) sq_columns_inside(w, a, tap[a], first + a, last + a, shift + a);
    const int64_t count = last[2] - first[2], stride = w->stride[2];
    if (gather) memset(cols, 0, (size_t)sq_volume(w->out) * sizeof(float));
    for (int64_t oz = first[0]; oz < last[0]; oz++)
        for (int64_t oy = first[1]; oy < last[1]; oy++) {
            float* c = cols + (oz * w->out[1] + oy) * w->out[2] + first[2];
            const int64_t z = oz * w->stride[0] + shift[0], y = oy * w->stride[1] + shift[1];
            float* line = plane + (z * w->in[1] + y) * w->in[2] + first[2] * stride + shift[2];
            if (gather)
                for (int64_t i = 0; i < count; i++) c[i] = line[i * stride];
            else
                SQ_NAME(add_line)(line, c, count, stride);
        }
}

static void SQ_NAME(col2im_planes_f32)(const void* arg, long long begin, long long end) {
    const sq_col2im_job job = *(const sq_col2im_job*)arg;
    const sq_window* w = job.window;
    const int64_t taps = sq_volume(w->kernel), columns = sq_volume(w->out), pixels = sq_volume(w->in);
    for (long long plane = begin; plane < end; plane++) {
        const float start = job.bias ? job.bias[plane % (job.groups * job.channels)] : 0.0f;
        float* y = job.y + plane * pixels;
        for (int64_t i = 0; i < pixels; i++) y[i] = start;
        for (int64_t t = 0; t < taps; t++) {
            int64_t tap[3];
            sq_coordinates(t, w->kernel, tap);
            SQ_NAME(tap_of_plane)(w, tap, job.cols + (plane * taps + t) * columns, y, 0);
        }
    }
}

static void SQ_NAME(im2col_planes_f32)(const void* arg, long long begin, long long end) {
    const sq_col2im_job job = *(const sq_col2im_job*)arg;
    const sq_window* w = job.window;
    const int64_t taps = sq_volume(w->kernel), columns = sq_volume(w->out), pixels = sq_volume(w->in);
    for (long long plane = begin; plane < end; plane++)
        for (int64_t t = 0; t < taps; t++) {
            int64_t tap[3];
            sq_coordinates(t, w->kernel, tap);
            SQ_NAME(tap_of_plane)(w, tap, job.cols + (plane * taps + t) * columns, job.y + plane * pixels, 1);
        }
}

/* All groups of the tap (kz, ky, *) of columns (oz, oy, *) into one line. */
static void SQ_NAME(add_taps)(const sq_col2im_job* job, int64_t image, int64_t row, int64_t tap0, float* line) {
    const sq_window* w = job->window;
    const int64_t taps = sq_volume(w->kernel), columns = sq_volume(w->out), channels = job->channels;
    for (int64_t kx = 0; kx < w->kernel[2]; kx++) {
        int64_t first, last, shift;
        sq_columns_inside(w, 2, kx, &first, &last, &shift);
        for (int64_t g = 0; g < job->groups; g++) {
            const float* c = job->cols +
                             (((g * job->images + image) * columns + row * w->out[2]) * taps + tap0 + kx) * channels;
            for (int64_t o = first; o < last; o++) {
                const float* from = c + o * taps * channels;
                float* to = line + ((o * w->stride[2] + shift) * job->groups + g) * channels;
#pragma GCC ivdep
                for (int64_t j = 0; j < channels; j++) to[j] += from[j];
            }
        }
    }
}

static void SQ_NAME(col2im_pixels_f32)(const void* arg, long long begin, long long end) {
    const sq_col2im_job job = *(const sq_col2im_job*)arg;
    const sq_window* w = job.window;
    const int64_t all = job.groups * job.channels, lines = w->in[0] * w->in[1];
    for (long long item = begin; item < end; item++) {
        const int64_t image = item / lines, z = item % lines / w->in[1], y = item % w->in[1];
        float* line = job.y + item * w->in[2] * all;
        for (int64_t i = 0; i < w->in[2]; i++)
            for (int64_t j = 0; j < all; j++) line[i * all + j] = job.bias ? job.bias[j] : 0.0f;
        for (int64_t kz = 0; kz < w->kernel[0]; kz++) {
            const int64_t oz = sq_column_at(w, 0, kz, z);
            for (int64_t ky = 0; ky < w->kernel[1] && oz >= 0; ky++) {
                const int64_t oy = sq_column_at(w, 1, ky, y);
                if (oy >= 0)
                    SQ_NAME(add_taps)(&job, image, oz * w->out[1] + oy, (kz * w->kernel[1] + ky) * w->kernel[2], line);
            }
        }
    }
}

static void SQ_NAME(im2col_pixels_f32)(const void* arg, long long begin, long long end) {
    const sq_col2im_job job = *(const sq_col2im_job*)arg;
    const sq_window* w = job.window;
    const int64_t taps = sq_volume(w->kernel), columns = sq_volume(w->out);
    const size_t pixel = (size_t)job.channels * sizeof(float);
    for (long long item = begin; item < end; item++) {
        int64_t at[3];
        const float* image = job.y + item / columns * sq_volume(w->in) * job.channels;
        float* col = job.cols + item * taps * job.channels;
        sq_coordinates(item % columns, w->out, at);
        for (int64_t t = 0; t < taps; t++, col += job.channels) {
            int64_t tap[3], from = 0;
            sq_coordinates(t, w->kernel, tap);
            for (int a = 0; a < 3 && from >= 0; a++) {
                const int64_t i = at[a] * w->stride[a] + tap[a] * w->dilation[a] - w->pad[a];
                from = i < 0 || i >= w->in[a] ? -1 : from * w->in[a] + i;
            }
            if (from < 0)
                memset(col, 0, pixel);
            else
                memcpy(col, image + from * job.channels, pixel);
        }
    }
}

#undef SQ_NAME
#undef SQ_SUFFIX
