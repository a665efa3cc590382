/* LeakySum: Y = X0 + alpha * (X1 + X2 + ...), an operator in C that runs without Python. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include "serverquant/op_api.h"

enum { FLOAT = 1 };     /* TensorProto.DataType */

typedef struct {
    float alpha;
} Job;

static int setup(void* ctx, const sq_args* args, int32_t n_in, int32_t n_out, char* error) {
    Job* job = ctx;
    job->alpha = (float)args->get_float(args, "alpha", 0.5);
    if (!(job->alpha >= 0)) {
        snprintf(error, SQ_ERROR_BYTES, "argument alpha is %g; expected 0 or more", job->alpha);
        return SQ_ERROR;
    }
    return SQ_OK;
}

static int shape(const void* ctx, const sq_shape* const* in, int32_t n_in, sq_shape* out, int32_t n_out, char* error) {
    for (int i = 0; i < n_in; i++) {
        if (in[i]->kind != SQ_TENSOR || in[i]->dtype != FLOAT) {
            snprintf(error, SQ_ERROR_BYTES, "input %d is no float tensor", i);
            return SQ_ERROR;
        }
        if (in[i]->size != in[0]->size) {
            snprintf(error, SQ_ERROR_BYTES, "input %d has %lld elements, input 0 has %lld", i,
                     (long long)in[i]->size, (long long)in[0]->size);
            return SQ_ERROR;
        }
    }
    out[0] = *in[0];
    return SQ_OK;
}

static int run(sq_step* step) {
    const Job* job = step->ctx;
    const sq_tensor* first = step->in[0];
    float* y = step->out[0]->data;
    const float* x0 = first->data;
    for (int64_t i = 0; i < first->shape.size; i++) {
        float sum = 0;
        for (int k = 1; k < step->n_in; k++) sum += ((const float*)step->in[k]->data)[i];
        y[i] = x0[i] + job->alpha * sum;
    }
    return SQ_OK;
}

static sq_op leaky_sum = {
    .abi = SQ_OP_ABI,
    .size = sizeof(sq_op),
    .type = "LeakySum",
    .doc = "Y = X0 + alpha * (X1 + X2 + ...)",
    .min_inputs = 2,
    .max_inputs = 31,
    .min_outputs = 1,
    .max_outputs = 1,
    .inplace = 1,
    .context_bytes = sizeof(Job),
    .setup = setup,
    .shape = shape,
    .run = run,
    .rows = 0x7fffffff,     /* all inputs share dims[0] with the output: a new batch is not planned anew */
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "leaky_sum", "Operator LeakySum for serverquant.", -1, NULL};

PyMODINIT_FUNC PyInit_leaky_sum(void) {
    PyObject* m = PyModule_Create(&module);
    if (m == NULL) return NULL;
    PyObject* capsule = PyCapsule_New(&leaky_sum, SQ_OP_CAPSULE, NULL);
    if (capsule == NULL || PyModule_AddObject(m, "op", capsule) != 0) {
        Py_XDECREF(capsule);
        Py_DECREF(m);
        return NULL;
    }
    return m;
}
