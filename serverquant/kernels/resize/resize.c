#include "serverquant/vectorise.h"

#include "resize.h"

#include "../../_base/isa.h"
#include "scalar.h"

#define SQ_SUFFIX scalar
#include "generic.h"

#if SQ_X86
SQ_TARGET_AVX2_BEGIN
#define SQ_SUFFIX avx2
#include "generic.h"
SQ_TARGET_END

SQ_TARGET_AVX512VNNI_BEGIN
#define SQ_SUFFIX avx512vnni
#include "generic.h"
SQ_TARGET_END
#endif

static void sq_remap_block_scalar(const void* job, long long begin, long long end) {
    const sq_remap_job j = *(const sq_remap_job*)job;
    const int64_t width = j.to[2], bytes = j.elem_bytes;
    int64_t before = -1;
    for (long long item = begin; item < end; item++) {
        char* y = (char*)j.y + item * width * bytes;
        const int64_t row = sq_source_row(&j, item);
        const char *x = (const char*)j.x + row * j.from[2] * bytes, *fill = (const char*)j.fill;
        if (row < 0) memcpy(y, fill, (size_t)(width * bytes));
        else if (row == before) memcpy(y, y - width * bytes, (size_t)(width * bytes));
        else {
            for (int64_t i = 0; i < width;) {
                const int is_run = i == j.run[0] && j.run[1] > i;
                const int64_t n = is_run ? j.run[1] - i : 1, from = j.map[2][i];
                memcpy(y + i * bytes, from < 0 ? fill + i * bytes : x + from * bytes, (size_t)(n * bytes));
                i += n;
            }
        }
        before = row;
    }
}

const sq_row sq_resize_rows[] = {
#include "kernels.inc"
};
const int sq_resize_row_count = sizeof sq_resize_rows / sizeof sq_resize_rows[0];

void sq_remap_prepare(sq_remap_job* job) {
    const int32_t* map = job->map[2];
    const int64_t width = job->to[2];
    job->run[0] = job->run[1] = 0;
    job->doubled = width % 2 == 0;
    for (int64_t i = 0, start = 0; i < width; i++) {
        if (map[i] != i / 2) job->doubled = 0;
        if (i == 0 || map[i - 1] < 0 || map[i] != map[i - 1] + 1) start = i;
        if (map[i] >= 0 && i + 1 - start > job->run[1] - job->run[0]) {
            job->run[0] = start;
            job->run[1] = i + 1;
        }
    }
}
