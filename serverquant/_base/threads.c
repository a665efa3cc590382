/* See threads.h. Workers are made when first needed and serve on until the process forks, team by team: a caller takes
 * a team, and gives it back when its job is done, so callers at the same time have one each. They are OpenMP's threads,
 * in a parallel region that goes on: one region an operator would wait at its end for threads that another process
 * keeps from their core. (MobileNetV2 int8 on 2 threads, a third busy on the 2 cores: 1.3 ms, as on one thread; by such
 * regions 4.9.)
 *
 * A worker spins before it sleeps: to wake one takes some 50 us in a virtual machine, more than most operators run.
 * That costs little beside other work: it yields its core, and nobody waits for a worker but in the middle of a piece.
 */
#define _GNU_SOURCE
#include "threads.h"

#ifdef _OPENMP

#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { MOST_WORKERS = 1023, SPIN_NS = 200000, YIELD_NS = 10000, SPINS_A_LOOK = 32 };

/* Of a worker and the piece that is meant for it. POSTED turns to TAKEN by whoever begins the piece, and IDLE once it
 * is done. AWAITED: taken by the worker, and the caller sleeps until it is done. */
enum { IDLE, POSTED, TAKEN, AWAITED, ASLEEP, DISMISSED };

typedef struct worker {
    _Alignas(64) _Atomic uint32_t state;
    sq_team* team;
    int piece;
    pthread_t thread;
    atomic_int serves; /* whether `thread` is known */
} worker;

/* One region: workers that were started together. */
typedef struct crew {
    sq_team* team;
    int begin, end;
    pthread_t thread;
    struct crew* next;
} crew;

struct sq_team {
    sq_range_fn fn;
    const void* job;
    long long count, align, blocks;
    int pieces;
    int workers;
    crew* crews;
    sq_team* next;
    worker* worker[MOST_WORKERS];
};

static sq_host_fn host;
static _Atomic(sq_team*) ready; /* the team of the next caller */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static sq_team* spare;       /* those of more callers at once */
static _Atomic int awake;    /* workers that do not sleep */
static __thread int inside;

static void sleep_while(_Atomic uint32_t* state, uint32_t value) {
    while (atomic_load_explicit(state, memory_order_acquire) == value)
        syscall(SYS_futex, state, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void wake(_Atomic uint32_t* state) { syscall(SYS_futex, state, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0); }

static void relax(void) {
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

static int64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * (int64_t)1000000000 + t.tv_nsec;
}

/* Waits a while for the state to be `value`, or, with `not`, to be anything else; whether it has come to that. Soon it
 * lets other threads go first, for the one that it waits for may want this very core. */
static int spin(_Atomic uint32_t* state, uint32_t value, int not) {
    const int64_t begin = now();
    for (int64_t spent = 0; spent < SPIN_NS; spent = now() - begin) {
        for (int i = 0; i < SPINS_A_LOOK; i++) {
            if ((atomic_load_explicit(state, memory_order_acquire) == value) != not) return 1;
            relax();
        }
        if (spent > YIELD_NS) sched_yield();
    }
    return 0;
}

static int claim(worker* w) {
    uint32_t posted = POSTED;
    return atomic_compare_exchange_strong(&w->state, &posted, TAKEN);
}

static void run_piece(const sq_team* t, int piece) {
    const long long begin = t->blocks * piece / t->pieces * t->align;
    const long long end = t->blocks * (piece + 1) / t->pieces * t->align;
    t->fn(t->job, begin, end < t->count ? end : t->count);
}

void sq_serve(sq_team* t, int at) {
    worker* w = t->worker[at];
    inside = 1;
    atomic_fetch_add(&awake, 1);
    sq_fp_default();
    w->thread = pthread_self();
    atomic_store(&w->serves, 1);
    while (atomic_load(&w->state) != DISMISSED) {
        uint32_t idle = IDLE;
        if (!spin(&w->state, POSTED, 0)) {
            if (!atomic_compare_exchange_strong(&w->state, &idle, ASLEEP)) continue;
            atomic_fetch_sub(&awake, 1);
            sleep_while(&w->state, ASLEEP);
            atomic_fetch_add(&awake, 1);
        } else if (claim(w)) {
            run_piece(w->team, w->piece);
            if (atomic_exchange(&w->state, IDLE) == AWAITED) wake(&w->state);
        }
    }
    atomic_fetch_sub(&awake, 1);
}

static sq_team* take_idle(void) {
    sq_team* t = atomic_exchange(&ready, NULL);
    if (t != NULL) return t;
    pthread_mutex_lock(&lock);
    t = spare;
    if (t != NULL) spare = t->next;
    pthread_mutex_unlock(&lock);
    return t;
}

static void dismiss(sq_team* t) {
    for (int i = 0; i < t->workers; i++)
        if (atomic_exchange(&t->worker[i]->state, DISMISSED) == ASLEEP) wake(&t->worker[i]->state);
    for (crew* c = t->crews; c != NULL;) {
        crew* next = c->next;
        pthread_join(c->thread, NULL);
        free(c);
        c = next;
    }
    for (int i = 0; i < t->workers; i++) free(t->worker[i]);
    free(t);
}

/* Python warns of a fork beside threads, of which the child would have none. */
static void before_fork(void) {
    for (sq_team* t = take_idle(); t != NULL; t = take_idle()) dismiss(t);
}

/* Somebody else may have held the lock, or have just given a team back. */
static void after_fork(void) {
    pthread_mutex_init(&lock, NULL);
    atomic_store(&ready, NULL);
    atomic_store(&awake, 0);
    spare = NULL;
}

static void watch_forks(void) { pthread_atfork(before_fork, NULL, after_fork); }

static void* run_crew(void* arg) {
    const crew* c = arg;
    host(c->team, c->begin, c->end);
    return NULL;
}

/* Starts a region of the workers begin to end, on which no signal is delivered; 0 when the system gives no more. */
static int start_crew(sq_team* t, int begin, int end) {
    crew* c = malloc(sizeof *c);
    if (c == NULL) return 0;
    *c = (crew){.team = t, .begin = begin, .end = end, .next = t->crews};
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int made = pthread_create(&c->thread, NULL, run_crew, c) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (made)
        t->crews = c;
    else
        free(c);
    return made;
}

static worker* new_worker(sq_team* t, int at) {
    void* memory = NULL;
    if (posix_memalign(&memory, 64, sizeof(worker)) != 0) return NULL;
    worker* w = memory;
    *w = (worker){.team = t, .piece = at + 1};
    return w;
}

static void add_workers(sq_team* t, int wanted) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    const int before = t->workers;
    int end = before;
    for (; end < wanted && end < MOST_WORKERS; end++)
        if ((t->worker[end] = new_worker(t, end)) == NULL) break;
    if (end > before && start_crew(t, before, end))
        t->workers = end;
    else
        while (end > before) free(t->worker[--end]);
}

static sq_team* take_team(int workers) {
    sq_team* t = take_idle();
    if (t == NULL) t = calloc(1, sizeof(sq_team));
    if (t != NULL && t->workers < workers) add_workers(t, workers);
    return t;
}

static void give_back(sq_team* t) {
    sq_team* none = NULL;
    if (atomic_compare_exchange_strong(&ready, &none, t)) return;
    pthread_mutex_lock(&lock);
    t->next = spare;
    spare = t;
    pthread_mutex_unlock(&lock);
}

/* Wakes a worker on another core than this one, if it may use as many as there are pieces. A guest of KVM takes cores
 * that are idle for taken ones, so its kernel wakes a thread where it was woken from; there the caller is busy, does
 * the worker's pieces too, and the other core stays idle (an MLP at batch 64: 298 us on two threads, 291 on one, 165
 * so). Only for the moment of waking: threads are not pinned. */
static void wake_elsewhere(worker* w) {
    const int core = sched_getcpu();
    int changed = 0;
    cpu_set_t all, others;
    if (core >= 0 && core < CPU_SETSIZE && atomic_load(&w->serves) &&
        pthread_getaffinity_np(w->thread, sizeof all, &all) == 0) {
        others = all;
        CPU_CLR(core, &others);
        if (CPU_COUNT(&others) >= w->team->pieces - 1)
            changed = pthread_setaffinity_np(w->thread, sizeof others, &others) == 0;
    }
    wake(&w->state);
    if (changed) pthread_setaffinity_np(w->thread, sizeof all, &all);
}

static void await(worker* w) {
    uint32_t taken = TAKEN;
    if (!spin(&w->state, TAKEN, 1) && atomic_compare_exchange_strong(&w->state, &taken, AWAITED))
        sleep_while(&w->state, AWAITED);
}

static void run_team(sq_team* t) {
    const int posted = t->pieces - 1 < t->workers ? t->pieces - 1 : t->workers;
    for (int i = 0; i < posted; i++)
        if (atomic_exchange(&t->worker[i]->state, POSTED) == ASLEEP) wake_elsewhere(t->worker[i]);
    run_piece(t, 0);
    for (int i = t->pieces - 1; i > posted; i--) run_piece(t, i);
    for (int i = posted; i > 0; i--) {
        if (!claim(t->worker[i - 1])) continue;
        run_piece(t, i);
        atomic_store(&t->worker[i - 1]->state, IDLE);
    }
    for (int i = 0; i < posted; i++) await(t->worker[i]);
}

void sq_parallel_range(sq_range_fn fn, const void* job, long long count, long long align, int pieces) {
    const long long blocks = (count + align - 1) / align;
    if (pieces > blocks) pieces = (int)blocks;
    sq_team* t = pieces > 1 && !inside && host != NULL ? take_team(pieces - 1) : NULL;
    if (t == NULL) {
        if (count > 0) fn(job, 0, count);
        return;
    }
    const unsigned fp = sq_fp_default();
    t->fn = fn, t->job = job, t->count = count, t->align = align, t->blocks = blocks, t->pieces = pieces;
    inside = 1;
    run_team(t);
    inside = 0;
    give_back(t);
    sq_fp_restore(fp);
}

void sq_set_host(sq_host_fn fn) { host = fn; }
int sq_openmp(void) { return _OPENMP; }
int sq_in_parallel(void) { return inside; }

int sq_workers_awake(void) { return atomic_load_explicit(&awake, memory_order_relaxed) > 0; }

#else

void sq_parallel_range(sq_range_fn fn, const void* job, long long count, long long align, int pieces) {
    (void)align, (void)pieces;
    if (count > 0) fn(job, 0, count);
}

void sq_serve(sq_team* t, int at) { (void)t, (void)at; }
void sq_set_host(sq_host_fn fn) { (void)fn; }
int sq_openmp(void) { return 0; }
int sq_in_parallel(void) { return 0; }
int sq_workers_awake(void) { return 0; }

#endif
