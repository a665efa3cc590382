/* RoIAlign of bytes, NHWC, the mobile set's fixed point: the definition, which the compiler vectorises over channels. */
/* Whole numbers that stand for a point's four weights; they need not add up to 255. */
static inline void sq_roi_byte_weights(const sq_roi_point* p, int32_t* w) {
    for (int k = 0; k < 4; k++) w[k] = (int32_t)rintf(p->weight[k] * 255.0f);
}

/* acc * multiplier * 2^-(31 + shift): the product halved upwards, then halves away from zero. */
static inline int64_t sq_roi_scale(int32_t acc, int32_t multiplier, int shift) {
    const int64_t product = (int64_t)acc * multiplier;
    const int64_t high = (product + (product >= 0 ? 1ll << 30 : 1 - (1ll << 30))) / (1ll << 31);
    const int64_t mask = (1ll << shift) - 1, remainder = high & mask;
    return (high >> shift) + (remainder > (mask >> 1) + (high < 0));
}

enum { SQ_ROI_CHANNELS = 64 };

/* Channels first .. first + count of one bin. A point outside of the map counts as the byte 0, as in Caffe2. */
static void sq_roi_byte_bin(const sq_roi_u8_job* j, const sq_roi_place* place, int ph, int pw, long long first, int count,
                            uint8_t* y) {
    const sq_roi_job* base = &j->base;
    const uint8_t* x = j->x + place->image * base->channels * base->height * base->width + first;
    int64_t sums[SQ_ROI_CHANNELS] = {0};
    for (long long i = 0; i < place->grid_h * place->grid_w; i++) {
        sq_roi_point p;
        int32_t w[4], part[SQ_ROI_CHANNELS];
        if (!sq_roi_sample(base, place, ph, pw, i, &p)) memset(&p, 0, sizeof p);
        sq_roi_byte_weights(&p, w);
        const uint8_t *x0 = x + p.at[0] * base->channels, *x1 = x + p.at[1] * base->channels;
        const uint8_t *x2 = x + p.at[2] * base->channels, *x3 = x + p.at[3] * base->channels;
        for (int c = 0; c < count; c++) part[c] = w[0] * x0[c] + w[1] * x1[c] + w[2] * x2[c] + w[3] * x3[c];
        for (int c = 0; c < count; c++) sums[c] += part[c] - j->x_zero_point * 255;
    }
    for (int c = 0; c < count; c++) {
        const int64_t sum = sums[c] < INT32_MIN ? INT32_MIN : sums[c] > INT32_MAX ? INT32_MAX : sums[c];
        const int64_t q = sq_roi_scale((int32_t)sum, j->multiplier, j->shift) + (int64_t)j->y_zero_point;
        y[c] = (uint8_t)(q < 0 ? 0 : q > 255 ? 255 : q);
    }
}

static void sq_roi_align_u8_scalar(const void* job, long long begin, long long end) {
    const sq_roi_u8_job* j = (const sq_roi_u8_job*)job;
    const sq_roi_job* base = &j->base;
    for (long long n = begin; n < end; n++) {
        sq_roi_place place;
        sq_roi_locate(base, n, &place);
        for (int bin = 0; bin < base->pooled_h * base->pooled_w; bin++) {
            uint8_t* y = j->y + (n * base->pooled_h * base->pooled_w + bin) * base->channels;
            for (long long c = 0; c < base->channels; c += SQ_ROI_CHANNELS) {
                const long long left = base->channels - c;
                sq_roi_byte_bin(j, &place, bin / base->pooled_w, bin % base->pooled_w, c,
                                left < SQ_ROI_CHANNELS ? (int)left : SQ_ROI_CHANNELS, y + c);
            }
        }
    }
}
