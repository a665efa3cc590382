/* Rows of the kernel tables whose kernels work on a range of items.
 *
 * A family lists its ops in kernels.inc as SQ_KERNEL(op). Each has one row per instruction set, fastest first, the last
 * one scalar, named sq_<op>_<isa>: so choosing a level reaches every row. Most bodies are loops that the family's
 * generic.h writes once; where intrinsics win, <isa>.h holds the body.
 */
#ifndef SERVERQUANT_ROWS_H
#define SERVERQUANT_ROWS_H

#include <string.h>

#include "serverquant/simd.h"

/* Does items begin <= i < end of a job. Ranges write disjoint outputs and may run in any order. */
typedef void (*sq_range_fn)(const void* job, long long begin, long long end);

typedef struct {
    const char* op;
    const char* name;
    int isa; /* SQ_ISA_* of _base/isa.h */
    sq_range_fn run;
} sq_row;

/* The fastest row of `op` that a machine of this level runs. */
static inline sq_range_fn sq_row_find(const sq_row* rows, int count, const char* op, int level) {
    for (int i = 0; i < count; i++)
        if (rows[i].isa <= level && strcmp(rows[i].op, op) == 0) return rows[i].run;
    return NULL;
}

/* An op that has nothing to gain from an instruction set. */
#define SQ_PORTABLE_KERNEL(op) {#op, "sq_" #op "_scalar", SQ_ISA_SCALAR, sq_##op##_scalar},

#if SQ_X86
#define SQ_KERNEL(op)                                                                   \
    {#op, "sq_" #op "_avx512vnni", SQ_ISA_AVX512VNNI, sq_##op##_avx512vnni},            \
    {#op, "sq_" #op "_avx2", SQ_ISA_AVX2, sq_##op##_avx2},                              \
    {#op, "sq_" #op "_scalar", SQ_ISA_SCALAR, sq_##op##_scalar},
#else
#define SQ_KERNEL(op) SQ_PORTABLE_KERNEL(op)
#endif

#define SQ_CONCAT_(a, b) a##_##b
#define SQ_CONCAT(a, b) SQ_CONCAT_(a, b)

#endif
