/* Blocks repeated by the preprocessor, for arrays of vectors that must become registers.
 *
 * SQ_EACH_I(n, block) is the block for i = 0 .. n - 1, n at most 16, SQ_EACH_J the same for j, n at most 4; n is constant
 * after inlining. gcc unrolls an outermost loop only after it has decided which arrays live in memory; what such a loop
 * indexes is copied and spilled wherever it is used.
 *
 * SQ_SETTLE(v) ends what gcc knows about the vector v: sums that a loop takes as one type and the code behind it as another
 * would go round the loop as both, in twice the registers. */
#ifndef SERVERQUANT_UNROLL_H
#define SERVERQUANT_UNROLL_H

#if defined(SQ_EMULATE)
#define SQ_SETTLE(v)
#else
#define SQ_SETTLE(v) __asm__("" : "+v"(v))
#endif

#define SQ_ONCE(name, value, n, ...) \
    if ((value) < (n)) {             \
        enum { name = value };       \
        __VA_ARGS__                  \
    }
#define SQ_EACH_J(n, ...)         \
    SQ_ONCE(j, 0, n, __VA_ARGS__) \
    SQ_ONCE(j, 1, n, __VA_ARGS__) \
    SQ_ONCE(j, 2, n, __VA_ARGS__) \
    SQ_ONCE(j, 3, n, __VA_ARGS__)
#define SQ_FOUR_I(i0, n, ...)          \
    SQ_ONCE(i, i0, n, __VA_ARGS__)     \
    SQ_ONCE(i, i0 + 1, n, __VA_ARGS__) \
    SQ_ONCE(i, i0 + 2, n, __VA_ARGS__) \
    SQ_ONCE(i, i0 + 3, n, __VA_ARGS__)
#define SQ_EACH_I(n, ...)         \
    SQ_FOUR_I(0, n, __VA_ARGS__)  \
    SQ_FOUR_I(4, n, __VA_ARGS__)  \
    SQ_FOUR_I(8, n, __VA_ARGS__)  \
    SQ_FOUR_I(12, n, __VA_ARGS__)

#endif
