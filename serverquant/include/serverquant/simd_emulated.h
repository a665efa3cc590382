/* What simde 0.8.2 lacks of the intrinsics used here. Test builds only: correctness counts, speed does not. */
#ifndef SERVERQUANT_SIMD_EMULATED_H
#define SERVERQUANT_SIMD_EMULATED_H

#endif
