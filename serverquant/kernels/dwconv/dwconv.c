/* The table of depthwise kernels, packing, and the loop over blocks of channels. Threads are in _dwconv.pyx. */
#include "dwconv.h"

#include "../../_base/isa.h"
#include "scalar.h"
#if SQ_X86
#include "avx2.h"
#include "avx512vnni.h"
#endif

#define SQ_DW_KERNEL(isa, name, block) {#name, SQ_ISA_##isa, block, name, name##_block_bytes, name##_pack},
static const sq_dw_row table[] = {
#include "kernels.inc"
};
#undef SQ_DW_KERNEL

int sq_dw_rows(void) { return (int)(sizeof(table) / sizeof(table[0])); }
const sq_dw_row* sq_dw_row_at(int index) { return &table[index]; }

int64_t sq_dw_packed_bytes(const sq_dw_row* row, int32_t channels, int32_t taps) {
    return (channels + row->block - 1) / row->block * row->block_bytes(taps);
}

void sq_dw_pack(const sq_dw_row* row, const int8_t* weights, const int32_t* zero_points, int32_t channels, int32_t taps,
                int8_t* out) {
    for (int32_t c = 0; c < channels; c += row->block, out += row->block_bytes(taps))
        row->pack(weights, zero_points, taps, c, channels - c < row->block ? channels - c : row->block, out);
}

void sq_dw_block(const sq_gemm_job* job, int64_t m0, int64_t m1, uint8_t* scratch) {
    const sq_packed* w = job->packed;
    const sq_dw_row* row = &table[w->row];
    int64_t size = job->ep->kind >= SQ_RAW_S32 ? 4 : 1, bytes = row->block_bytes(w->taps);
    const uint8_t** rows = (const uint8_t**)(void*)scratch;
    for (int64_t m = m0; m < m1; m += SQ_DW_CHUNK) {
        int64_t count = m1 - m < SQ_DW_CHUNK ? m1 - m : SQ_DW_CHUNK;
        job->source->fill(job->source, m, m + count, 0, rows, NULL);
        for (int32_t c = 0; c < w->groups; c += row->block) {
            sq_dw_tile t = {.a = rows, .a_stride = count, .offset = c, .ep = job->ep, .ldc = job->ldc, .column = c};
            t.w = w->data + c / row->block * bytes;
            t.zero_points = w->zero_points ? w->zero_points + c : NULL;
            t.c = (uint8_t*)job->c + (m * job->ldc + c) * size;
            t.taps = w->taps;
            t.pixels = (int32_t)count;
            t.n = w->groups - c < row->block ? w->groups - c : row->block;
            row->tile(&t);
        }
        sq_rows_done(job->ep, m, m + count, 0, w->groups, job->ldc);
    }
}

#include "flat.h"
