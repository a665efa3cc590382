/* Columns added up into an image: every element of the image is bias + the columns' values for it, taps ascending.
 *
 * A column holds what the taps of one window make: column o's value of tap t belongs to image pixel o * stride +
 * t * dilation - pad, if there is one. The window's `in` sizes are the image's, `out` the number of columns.
 *
 *   col2im_planes_f32   items: planes (image, channel); cols [plane][taps][columns], y [plane][pixels]
 *   col2im_pixels_f32, col2im_pixels_s32 (modulo 2^32)
 *                       items: lines (image, z, y) of the image; y [pixel][groups * channels],
 *                       cols [group][image][column][taps][channels]
 *   im2col_planes_f32   the inverse of the first: cols from y; padding gives zeros
 *   im2col_pixels_f32   items: columns (image, column); y [pixel][channels], cols [column][taps][channels]
 */
#ifndef SERVERQUANT_COL2IM_H
#define SERVERQUANT_COL2IM_H

#include "serverquant/rows.h"
#include "serverquant/window.h"

typedef struct sq_col2im_job {
    const sq_window* window;
    void* cols;             /* of the type that the op is named for; y and bias too */
    void* y;
    const void* bias;       /* [groups * channels], or NULL */
    int64_t channels;       /* of a group */
    int64_t groups, images;
} sq_col2im_job;

extern const sq_row sq_col2im_rows[];
extern const int sq_col2im_row_count;

#endif
