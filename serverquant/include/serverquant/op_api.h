/* The C structures that a native operator works with. Plain C, no Python: an outside package may compile against this
 * file alone. SQ_OP_ABI grows when a field changes its place; it is checked when an operator is registered.
 */
#ifndef SERVERQUANT_OP_API_H
#define SERVERQUANT_OP_API_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

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

/* Write a message and return SQ_ERROR: `return sq_fail(step, "index %lld is out of range", i);` */
static inline int sq_fail(sq_step* step, const char* format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(step->error, SQ_ERROR_BYTES, format, args);
    va_end(args);
    return SQ_ERROR;
}

/* An operator of an outside package. Fill one in, put a pointer to it into a PyCapsule named SQ_OP_CAPSULE, and give that
 * to serverquant.register_native; everything here must live as long as the process. Docs: docs/add_operator.md. */
#define SQ_OP_CAPSULE "serverquant.sq_op"

typedef struct sq_args sq_args;
struct sq_args {
    void* owner;
    /* An argument of the net, or `missing` where it is not set. A wrong kind is an error that names it, after setup. */
    int64_t (*get_int)(const sq_args* args, const char* name, int64_t missing);
    double (*get_float)(const sq_args* args, const char* name, double missing);
    /* Text, good until setup returns. */
    const char* (*get_string)(const sq_args* args, const char* name, const char* missing);
    /* Up to `room` integers, or floats, of a list; returns how many there are, -1 where it is not set. */
    int64_t (*get_ints)(const sq_args* args, const char* name, int64_t* values, int64_t room);
    int64_t (*get_floats)(const sq_args* args, const char* name, double* values, int64_t room);
};

typedef struct sq_op {
    uint32_t abi;                   /* SQ_OP_ABI of the header that the package was compiled with */
    uint32_t size;                  /* sizeof(sq_op) */
    const char* type;               /* as nets have it */
    const char* engine;             /* NULL or "": the default */
    const char* doc;                /* may be NULL */
    int32_t min_inputs, max_inputs, min_outputs, max_outputs;       /* max -1: no limit */
    uint64_t inplace;               /* bit i: input i and output i may be one blob */
    size_t context_bytes;           /* of ctx; each planned step has its own, zeroed before setup() */
    /* Read arguments into ctx. SQ_OK, or SQ_ERROR with a message in `error`. May be NULL. Called when the net is created
     * (to check), and for every plan. */
    int (*setup)(void* ctx, const sq_args* args, int32_t n_in, int32_t n_out, char* error);
    /* The outputs' shapes (kind, dtype, ndim, dims; the rest follows) from the inputs'. SQ_OK, or SQ_ERROR with a message.
     * NULL: every output is like input 0. */
    int (*shape)(const void* ctx, const sq_shape* const* in, int32_t n_in, sq_shape* out, int32_t n_out, char* error);
    int (*run)(sq_step* step);      /* without Python's lock; step->ctx is what setup has filled */
    uint32_t rows;                  /* as sq_step.rows */
} sq_op;

#endif
