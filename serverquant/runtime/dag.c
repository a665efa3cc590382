/* See dag.h. Helper threads are made when first needed, wait for work ever after, and serve all nets of the process.
 *
 * A job is one run of a graph. Its ready nodes are a queue: a node enters it once, when the last one that it waits for
 * is done. Helpers are asked for only when more nodes are ready than threads look for one, so that a graph that happens
 * to run as a chain wakes nobody. A helper that took up a job stays with it until its end.
 */
#include "dag.h"

#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>

enum { MOST_THREADS = 512 };

typedef struct job {
    const sq_graph* graph;
    sq_node_fn run;
    void* owner;
    int workers;

    pthread_mutex_t lock;       /* of what follows */
    pthread_cond_t more;
    int head, tail;             /* ready nodes: graph->ready[head .. tail - 1] */
    int running, done, failed, waiting, asked;

    int wanted, joined, inside; /* of the pool's lock */
    pthread_cond_t left;
    struct job* next;
} job;

static pthread_mutex_t pool = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t pool_more = PTHREAD_COND_INITIALIZER;
static job* jobs;
static int threads, idle;

static int over(const job* j) { return j->done == j->graph->nodes || j->failed; }

static void ask(job* j, int helpers);

/* How many helpers to ask for now: one for each ready node that no thread waits for. */
static int helpers_missing(const job* j) {
    int most = j->workers - 1 - j->asked, missing = j->tail - j->head - j->waiting;
    return missing < most ? missing : most;
}

static void release_next(job* j, int node) {
    const sq_graph* g = j->graph;
    for (int k = g->first[node]; k < g->first[node + 1]; k++)
        if (--g->left[g->next[k]] == 0) g->ready[j->tail++] = g->next[k];
}

static void work(job* j, int worker) {
    pthread_mutex_lock(&j->lock);
    for (;;) {
        while (j->head == j->tail && !over(j)) {
            j->waiting++;
            pthread_cond_wait(&j->more, &j->lock);
            j->waiting--;
        }
        if (over(j)) break;
        int node = j->graph->ready[j->head++];
        int missing = helpers_missing(j), ready = j->tail - j->head;
        if (missing > 0) j->asked += missing;
        if (ready > 0 && j->waiting > 0) pthread_cond_signal(&j->more);
        int crowd = ++j->running + ready;
        pthread_mutex_unlock(&j->lock);

        if (missing > 0) ask(j, missing);
        int status = j->run(j->owner, node, worker, crowd < j->workers ? crowd : j->workers);

        pthread_mutex_lock(&j->lock);
        j->running--;
        j->done++;
        if (status != 0) j->failed = 1;
        else release_next(j, node);
        if (over(j)) pthread_cond_broadcast(&j->more);
    }
    pthread_mutex_unlock(&j->lock);
}

static job* wanting(void) {
    job* j = jobs;
    while (j != NULL && j->wanted == 0) j = j->next;
    return j;
}

static void* help(void* unused) {
    pthread_mutex_lock(&pool);
    for (;;) {
        job* j = wanting();
        if (j == NULL) {
            idle++;
            pthread_cond_wait(&pool_more, &pool);
            idle--;
            continue;
        }
        j->wanted--;
        j->inside++;
        int worker = ++j->joined;
        pthread_mutex_unlock(&pool);
        work(j, worker);
        pthread_mutex_lock(&pool);
        if (--j->inside == 0) pthread_cond_signal(&j->left);
    }
    return unused;
}

/* A forked child has none of the helpers, and perhaps a lock that somebody else held. */
static void after_fork(void) {
    pthread_mutex_init(&pool, NULL);
    pthread_cond_init(&pool_more, NULL);
    jobs = NULL;
    threads = idle = 0;
}

static void watch_forks(void) { pthread_atfork(NULL, NULL, after_fork); }

/* One more helper; signals stay with the program's own threads. */
static void add_thread(void) {
    pthread_t thread;
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    if (threads < MOST_THREADS && pthread_create(&thread, NULL, help, NULL) == 0) {
        pthread_detach(thread);
        threads++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void ask(job* j, int helpers) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, watch_forks);
    pthread_mutex_lock(&pool);
    if (j->wanted + j->joined == 0) {
        j->next = jobs;
        jobs = j;
    }
    j->wanted += helpers;
    int want = 0, most = 0;     /* a helper that is neither idle nor inside a job is about to look for one */
    for (job* k = jobs; k != NULL; k = k->next) want += k->wanted, most += k->workers - 1;
    for (int i = idle; i < want && threads < most; i++) add_thread();
    while (helpers-- > 0) pthread_cond_signal(&pool_more);
    pthread_mutex_unlock(&pool);
}

static void dismiss(job* j) {
    pthread_mutex_lock(&pool);
    job** at = &jobs;
    while (*at != NULL && *at != j) at = &(*at)->next;
    if (*at == j) *at = j->next;
    j->wanted = 0;
    while (j->inside > 0) pthread_cond_wait(&j->left, &pool);
    pthread_mutex_unlock(&pool);
}

void sq_graph_run(const sq_graph* graph, int workers, sq_node_fn run, void* owner) {
    job j = {.graph = graph, .run = run, .owner = owner, .workers = workers};
    pthread_mutex_init(&j.lock, NULL);
    pthread_cond_init(&j.more, NULL);
    pthread_cond_init(&j.left, NULL);
    memcpy(graph->left, graph->waits, graph->nodes * sizeof(int));
    for (int i = 0; i < graph->nodes; i++)
        if (graph->waits[i] == 0) graph->ready[j.tail++] = i;
    work(&j, 0);
    dismiss(&j);
    pthread_cond_destroy(&j.left);
    pthread_cond_destroy(&j.more);
    pthread_mutex_destroy(&j.lock);
}

int sq_pool_threads(void) {
    pthread_mutex_lock(&pool);
    int n = threads;
    pthread_mutex_unlock(&pool);
    return n;
}
