/* The C structures that a native operator works with. Plain C, no Python: an outside package may compile against this
 * file alone. SQ_OP_ABI grows when a field changes its place; it is checked when an operator is registered.
 */
#ifndef SERVERQUANT_OP_API_H
#define SERVERQUANT_OP_API_H

#include <stddef.h>
#include <stdint.h>

#define SQ_OP_ABI 1
#define SQ_TENSOR_DIMS 16
#define SQ_ALIGNMENT 64     /* of every tensor's data; as many bytes behind its end may be read, never written */

enum { SQ_EMPTY = 0, SQ_TENSOR = 1, SQ_INT8 = 2, SQ_OBJECT = 3 };   /* what a blob holds */

/* What is known of a tensor before there are values. `dtype` is a TensorProto.DataType. */
typedef struct sq_shape {
    int32_t kind, dtype, ndim, item_bytes;
    int64_t size;                   /* elements */
    int64_t dims[SQ_TENSOR_DIMS];
} sq_shape;

typedef struct sq_tensor {
    sq_shape shape;
    void* data;                     /* SQ_ALIGNMENT-aligned */
    float scale;                    /* SQ_INT8: value = scale * (q - zero_point) */
    int32_t zero_point;
    uint64_t version;               /* grows with every write */
    uint64_t spec;                  /* which plan value (or feed) set `shape` last */
    size_t capacity;                /* bytes at `data`, without the slack */
    void* owner;
} sq_tensor;

enum {
    SQ_OK = 0,
    SQ_PREPARE = 1,                 /* weights or parameters changed: call the operator's prepare(), then run again */
    SQ_ERROR = -1                   /* `error` holds the message */
};

typedef struct sq_step sq_step;
struct sq_step {
    int (*run)(sq_step* step);      /* NULL: a Python operator */
    sq_tensor** in;
    sq_tensor** out;                /* shapes set and memory there when run() is called */
    int32_t n_in, n_out;
    void* ctx;                      /* the operator's own */
    /* Bit i: input i and every output share dims[0], and nothing that run() keeps in ctx depends on it. A new batch
     * then costs no planning. Zero: any change of shape is planned anew. */
    uint32_t rows;
    /* Instead of `rows`, for operators whose output shape follows in another way: write the outputs' shapes for new
     * input shapes and return SQ_OK, or anything else to have the net planned anew. */
    int (*reshape)(sq_step* step, const sq_shape* const* in, sq_shape* const* out);
    void* (*scratch)(sq_step* step, size_t bytes);  /* aligned memory until run() returns; NULL when there is none */
    void* arena;
    char* error;                    /* SQ_ERROR_BYTES of room */
};

#define SQ_ERROR_BYTES 256

#endif
