/* First include of a C file whose loops the compiler is to vectorise: the build's -O2 leaves most loops alone. */
#ifndef SERVERQUANT_VECTORISE_H
#define SERVERQUANT_VECTORISE_H

#if defined(NDEBUG) && defined(__GNUC__) && !defined(__clang__)
#pragma GCC optimize("O3")
#endif

#endif
