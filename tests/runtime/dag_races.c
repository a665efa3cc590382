/* Random graphs on the threads of runtime/dag.c, from several threads at once: every run must give the values of one
 * thread. Built with a sanitizer by test_races.py. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dag.h"

enum { MOST_NODES = 40, ROUNDS = 400, CALLERS = 4 };

typedef struct world {
    int first[MOST_NODES + 1], next[MOST_NODES * MOST_NODES], waits[MOST_NODES], left[MOST_NODES], ready[MOST_NODES];
    unsigned long values[MOST_NODES];
    int nodes, fails;
} world;

/* A node mixes its value and adds it to those that wait for it. */
static int run_node(void* owner, int node, int worker, int crowd) {
    world* w = owner;
    unsigned long value = w->values[node];
    if (node == w->fails) return -1;
    if (worker < 0 || crowd < 1) abort();
    for (int i = 0; i < 50; i++) value = value * 31 + (unsigned)node;
    w->values[node] = value;
    for (int k = w->first[node]; k < w->first[node + 1]; k++)
        __atomic_add_fetch(&w->values[w->next[k]], value, __ATOMIC_RELAXED);
    return 0;
}

static void make(world* w, unsigned* seed) {
    int edges = 0;
    memset(w, 0, sizeof *w);
    w->nodes = 1 + rand_r(seed) % MOST_NODES;
    w->fails = -1;
    for (int i = 0; i < w->nodes; i++) {
        w->first[i] = edges;
        for (int j = i + 1; j < w->nodes; j++)
            if (rand_r(seed) % 6 == 0) w->next[edges++] = j, w->waits[j]++;
    }
    w->first[w->nodes] = edges;
}

static void* caller(void* argument) {
    unsigned seed = *(unsigned*)argument;
    world* w = malloc(sizeof *w);
    for (int round = 0; round < ROUNDS; round++) {
        unsigned long want[MOST_NODES];
        make(w, &seed);
        sq_graph graph = {w->nodes, w->waits, w->first, w->next, w->left, w->ready};
        sq_graph_run(&graph, 1, run_node, w);
        memcpy(want, w->values, sizeof want);
        memset(w->values, 0, sizeof w->values);
        sq_graph_run(&graph, 1 + rand_r(&seed) % 6, run_node, w);
        if (memcmp(want, w->values, sizeof want) != 0) {
            puts("another result on several threads");
            exit(1);
        }
        w->fails = rand_r(&seed) % w->nodes;
        sq_graph_run(&graph, 4, run_node, w);
    }
    free(w);
    return NULL;
}

int main(void) {
    pthread_t threads[CALLERS];
    unsigned seeds[CALLERS];
    for (int i = 0; i < CALLERS; i++) {
        seeds[i] = i + 1;
        pthread_create(&threads[i], NULL, caller, &seeds[i]);
    }
    for (int i = 0; i < CALLERS; i++) pthread_join(threads[i], NULL);
    printf("%d helpers\n", sq_pool_threads());
    return sq_pool_threads() > CALLERS * 5;
}
