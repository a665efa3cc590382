/* LeakySum: Y = X0 + alpha * (X1 + X2 + ...), an operator in C that runs without Python; and Int8LeakySum, the same on Int8
 * tensors, which serverquant.quantize puts in its place. */
#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <math.h>

#include "serverquant/op_api.h"

enum { FLOAT = 1, UINT8 = 6 };      /* TensorProto.DataType */

typedef struct {
    float alpha;
    float scale;            /* of an Int8 output, chosen by calibration */
    int32_t zero_point;
} Job;

static int setup(void* ctx, const sq_args* args, int32_t n_in, int32_t n_out, char* error) {
    Job* job = ctx;
    job->alpha = (float)args->get_float(args, "alpha", 0.5);
    if (!(job->alpha >= 0)) {
        snprintf(error, SQ_ERROR_BYTES, "argument alpha is %g; expected 0 or more", job->alpha);
        return SQ_ERROR;
    }
    job->scale = (float)args->get_float(args, "Y_scale", 1.0);
    job->zero_point = (int32_t)args->get_int(args, "Y_zero_point", 0);
    if (!(job->scale > 0) || job->zero_point < 0 || job->zero_point > 255) {
        snprintf(error, SQ_ERROR_BYTES, "Y_scale is %g and Y_zero_point %d; expected a scale above 0, and 0 to 255",
                 job->scale, job->zero_point);
        return SQ_ERROR;
    }
    return SQ_OK;
}

/* Inputs of one size, all of this kind and data type, and the output too. */
static int same_shapes(const sq_shape* const* in, int32_t n_in, sq_shape* out, int kind, int dtype, char* error) {
    for (int i = 0; i < n_in; i++) {
        if (in[i]->kind != kind || in[i]->dtype != dtype) {
            snprintf(error, SQ_ERROR_BYTES, "input %d is no %s tensor", i, kind == SQ_INT8 ? "Int8" : "float");
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

static int shape(const void* ctx, const sq_shape* const* in, int32_t n_in, sq_shape* out, int32_t n_out, char* error) {
    return same_shapes(in, n_in, out, SQ_TENSOR, FLOAT, error);
}

static int int8_shape(const void* ctx, const sq_shape* const* in, int32_t n_in, sq_shape* out, int32_t n_out,
                      char* error) {
    return same_shapes(in, n_in, out, SQ_INT8, UINT8, error);
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

static float value(const sq_tensor* x, int64_t i) {
    return x->scale * (float)(((const uint8_t*)x->data)[i] - x->zero_point);
}

static int int8_run(sq_step* step) {
    const Job* job = step->ctx;
    uint8_t* y = step->out[0]->data;
    for (int64_t i = 0; i < step->in[0]->shape.size; i++) {
        float sum = 0;
        for (int k = 1; k < step->n_in; k++) sum += value(step->in[k], i);
        float q = rintf((value(step->in[0], i) + job->alpha * sum) / job->scale) + (float)job->zero_point;
        y[i] = (uint8_t)fminf(fmaxf(q, 0), 255);
    }
    step->out[0]->scale = job->scale;           /* after the inputs' were read: an input may be the output */
    step->out[0]->zero_point = job->zero_point;
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

static sq_op int8_leaky_sum = {
    .abi = SQ_OP_ABI,
    .size = sizeof(sq_op),
    .type = "Int8LeakySum",
    .doc = "LeakySum of Int8 tensors; the output's scale and zero point are Y_scale and Y_zero_point",
    .min_inputs = 2,
    .max_inputs = 31,
    .min_outputs = 1,
    .max_outputs = 1,
    .inplace = 1,
    .context_bytes = sizeof(Job),
    .setup = setup,
    .shape = int8_shape,
    .run = int8_run,
    .rows = 0x7fffffff,
};

static struct PyModuleDef module = {PyModuleDef_HEAD_INIT, "leaky_sum", "Operator LeakySum for serverquant.", -1, NULL};

static int add(PyObject* m, const char* name, sq_op* op) {
    PyObject* capsule = PyCapsule_New(op, SQ_OP_CAPSULE, NULL);
    if (capsule != NULL && PyModule_AddObject(m, name, capsule) == 0) return 0;
    Py_XDECREF(capsule);
    return -1;
}

PyMODINIT_FUNC PyInit_leaky_sum(void) {
    PyObject* m = PyModule_Create(&module);
    if (m == NULL) return NULL;
    if (add(m, "op", &leaky_sum) == 0 && add(m, "int8_op", &int8_leaky_sum) == 0) return m;
    Py_DECREF(m);
    return NULL;
}
