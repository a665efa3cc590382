/* Depthwise kernel table, and the choice among the forms; the contract is in conv_f32.h. */
#include "conv_f32.h"

#include <math.h>
#include <string.h>

#include "../../_base/isa.h"
#include "depthwise_scalar.h"
#if SQ_X86
#include "depthwise_avx2.h"
#include "depthwise_avx512vnni.h"
#endif

#include "channels.h"
#include "depthwise.h"
#include "pixels.h"
#include "planes.h"

#define SQ_DEPTHWISE_F32_KERNEL(isa, name, lanes)                                                             \
    {#name, SQ_ISA_##isa, lanes, name##_flat, {name##_outputs_2, name##_outputs_3, name##_outputs_4},           \
     name##_three_lines, name##_channels, name##_lines, {name##_gather_1, name##_gather_2}},
static const sq_depthwise_f32_row table[] = {
#include "kernels.inc"
};
#undef SQ_DEPTHWISE_F32_KERNEL

int sq_depthwise_f32_rows(void) { return (int)(sizeof(table) / sizeof(table[0])); }
const sq_depthwise_f32_row* sq_depthwise_f32_row_at(int index) { return &table[index]; }

/* Share of a vector's lanes that `count` values fill. */
static double fill(int64_t count, int64_t lanes) {
    return count ? (double)count / (double)sq_f32_round_up(count, lanes) : 1.0;
}

int32_t sq_conv_f32_choose_form(const sq_conv_f32* c) {
    const int64_t lanes = c->row->lanes;
    if (reads_in_place(c)) return SQ_CONV_F32_PLANES;
    if (c->channels == c->groups && (!c->nhwc || c->out_channels == c->channels)) return SQ_CONV_F32_DEPTHWISE;
    if (takes_planes(c)) return SQ_CONV_F32_PLANES;
    if (c->nhwc) return SQ_CONV_F32_CHANNELS;
    /* Transposing costs something: pixels are preferred where they fill their vectors nearly as well. */
    return fill(sq_volume(c->window.out), lanes) < 0.8 * fill(c->out_channels / c->groups, lanes) ? SQ_CONV_F32_CHANNELS
                                                                                                 : SQ_CONV_F32_PIXELS;
}

int64_t sq_conv_f32_scratch(const sq_conv_f32* c, int64_t team) {
    if (c->form == SQ_CONV_F32_PIXELS) return team * pixels_share_bytes(c, team);
    if (c->form == SQ_CONV_F32_PLANES) return team * plan_bands(c).bytes;
    if (c->form == SQ_CONV_F32_DEPTHWISE) return depthwise_zero_bytes(c) + team * depthwise_share_bytes(c);
    channel_plan p = plan_channels(c, team);
    return p.shares_at + team * p.share_bytes;
}

void sq_conv_f32_prepare(const sq_conv_f32_job* job) {
    const sq_conv_f32* c = job->conv;
    int64_t zeros = c->form == SQ_CONV_F32_CHANNELS    ? plan_channels(c, job->team).input_at
                    : c->form == SQ_CONV_F32_DEPTHWISE ? depthwise_zero_bytes(c)
                                                       : 0;
    memset(job->scratch, 0, (size_t)zeros);
}

sq_conv_f32_step sq_conv_f32_first_step(const sq_conv_f32* c) {
    return c->form == SQ_CONV_F32_CHANNELS && plan_channels(c, 1).transposes_in ? transpose_input : NULL;
}

sq_conv_f32_step sq_conv_f32_main_step(const sq_conv_f32* c) {
    static const sq_conv_f32_step steps[] = {
        [SQ_CONV_F32_PIXELS] = run_pixels,
        [SQ_CONV_F32_CHANNELS] = run_channels,
        [SQ_CONV_F32_DEPTHWISE] = run_depthwise,
        [SQ_CONV_F32_PLANES] = run_planes,
    };
    return steps[c->form];
}
