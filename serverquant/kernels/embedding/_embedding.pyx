"""Sums over bags of rows of an embedding table. See embedding.h."""
from serverquant._base._isa cimport level
from serverquant._base._threads cimport parallel_range, range_fn, team_size
from serverquant.kernels._rows cimport fill_levels, row_objects, sq_row

cdef extern from "embedding.h" nogil:
    const sq_row* sq_embedding_rows
    const int sq_embedding_row_count
    void sq_bags_prepare(sq_bags_job* job, int bits, long long indices, void* scratch)

cdef range_fn[3] F32, F16, U8, U4, U2

fill_levels(F32, sq_embedding_rows, sq_embedding_row_count, b"bags_f32")
fill_levels(F16, sq_embedding_rows, sq_embedding_row_count, b"bags_f16")
fill_levels(U8, sq_embedding_rows, sq_embedding_row_count, b"bags_u8")
fill_levels(U4, sq_embedding_rows, sq_embedding_row_count, b"bags_u4")
fill_levels(U2, sq_embedding_rows, sq_embedding_row_count, b"bags_u2")


def rows() -> list:
    """The kernel table, fastest first for each type of table."""
    return row_objects("embedding", sq_embedding_rows, sq_embedding_row_count)


cdef void sum_bags(sq_bags_job* job, int bits, int64_t bags, int64_t indices, void* scratch) noexcept nogil:
    cdef range_fn run
    sq_bags_prepare(job, bits, indices, scratch)
    if bits == 32:
        run = F32[level()]
    elif bits == 16:
        run = F16[level()]
    elif bits == 8:
        run = U8[level()]
    elif bits == 4:
        run = U4[level()]
    else:
        run = U2[level()]
    # 4 columns count as one operation, 2 of floats: so fast are sums of rows that lie in the caches.
    cdef int64_t operations = (job.columns + 3) // (2 if bits == 32 else 4)
    parallel_range(run, job, bags, 1, team_size((bags + indices) * operations))
