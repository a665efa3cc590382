/* Runs the nodes of a graph on several threads. Plain C; no lock is held while a node runs. */
#ifndef SERVERQUANT_DAG_H
#define SERVERQUANT_DAG_H

typedef struct sq_graph {
    int nodes;
    const int* waits;   /* how many nodes each one waits for */
    const int* first;   /* the nodes that wait for i: next[first[i]] .. next[first[i + 1] - 1] */
    const int* next;
    int* left;          /* room for `nodes` numbers each, used while it runs */
    int* ready;
} sq_graph;

/* Runs one node on thread `worker` (0 is the caller's) while `crowd` threads, this one too, have a node to run. */
typedef int (*sq_node_fn)(void* owner, int node, int worker, int crowd);

/* Runs every node behind those that it waits for, on the caller's thread and up to workers - 1 others. After a node
 * that does not return 0 no further one is started. Returns when none runs any more. */
void sq_graph_run(const sq_graph* graph, int workers, sq_node_fn run, void* owner);

/* Threads that exist to help, for a look at it. */
int sq_pool_threads(void);

#endif
