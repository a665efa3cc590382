/* Jobs on the teams of _base/threads.c, from several threads at once and in forked children: every item is done once,
 * and what a piece wrote is there for the caller. Built with a sanitizer by test_races.py. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "threads.h"

enum { ITEMS = 300, ROUNDS = 1000, CALLERS = 4 };

typedef struct world {
    long done[ITEMS], sum;
    int align, nested;
} world;

static void count_inner(const void* job, long long begin, long long end) {
    world* w = (world*)job;
    w->sum += end - begin;
}

static void count_items(const void* job, long long begin, long long end) {
    world* w = (world*)job;
    if (begin % w->align != 0 || begin >= end) abort();
    for (long long i = begin; i < end; i++) w->done[i]++;
    if (w->nested) {
        world inner = {.align = 1};
        sq_parallel_range(count_inner, &inner, ITEMS, 1, 3); /* on this thread, as it is in a team */
        if (!sq_in_parallel() || inner.sum != ITEMS) abort();
    }
}

typedef struct seat {
    sq_team* team;
    int at;
} seat;

static void* serve(void* arg) {
    const seat s = *(seat*)arg;
    free(arg);
    sq_serve(s.team, s.at);
    return NULL;
}

/* Plain threads in the place of OpenMP's, which sanitizers do not understand. */
static void host(sq_team* team, int begin, int end) {
    pthread_t threads[16];
    for (int at = begin; at < end; at++) {
        seat* s = malloc(sizeof *s);
        *s = (seat){team, at};
        if (pthread_create(&threads[at - begin], NULL, serve, s) != 0) abort();
    }
    for (int at = begin; at < end; at++) pthread_join(threads[at - begin], NULL);
}

static void run_rounds(unsigned seed, int rounds) {
    world* w = calloc(1, sizeof *w);
    for (int round = 0; round < rounds; round++) {
        const int count = rand_r(&seed) % (ITEMS + 1), pieces = 1 + rand_r(&seed) % 6;
        long before[ITEMS];
        for (int i = 0; i < ITEMS; i++) before[i] = w->done[i];
        w->align = 1 + rand_r(&seed) % 40;
        w->nested = pieces > 1 && count > w->align && rand_r(&seed) % 4 == 0;
        sq_parallel_range(count_items, w, count, w->align, pieces);
        for (int i = 0; i < ITEMS; i++)
            if (w->done[i] != before[i] + (i < count)) {
                printf("item %d of %d in %d pieces done %ld times\n", i, count, pieces, w->done[i] - before[i]);
                exit(1);
            }
        if (sq_in_parallel()) abort();
        if (round % 500 == 0) usleep(1000); /* the workers fall asleep */
    }
    free(w);
}

static void* caller(void* seed) {
    run_rounds(*(unsigned*)seed, ROUNDS);
    return NULL;
}

/* Status of a child that makes workers of its own. */
static int run_child(void) {
    int status = 0;
#ifndef __SANITIZE_THREAD__ /* which takes the child's threads for the parent's */
    pid_t child = fork();
    if (child == 0) {
        run_rounds(8, 100);
        _exit(0);
    }
    waitpid(child, &status, 0);
#endif
    return status;
}

int main(void) {
    pthread_t threads[CALLERS];
    unsigned seeds[CALLERS];
    int status;
    sq_set_host(host);
    run_rounds(7, 10);
    status = run_child();
    for (int i = 0; i < CALLERS; i++) {
        seeds[i] = i + 1;
        pthread_create(&threads[i], NULL, caller, &seeds[i]);
    }
    for (int i = 0; i < CALLERS; i++) pthread_join(threads[i], NULL);
    return status != 0;
}
