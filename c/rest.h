/*
 * Floor: operations. A plan that comes through the report channel, once it is
 * known: the whole of it, or the rest.
 */
#ifndef RUSTYRUN_REST_H
#define RUSTYRUN_REST_H

#include <stddef.h>

/* Most descriptors of one packet: the plan, and those that it begins with. */
#define PLAN_FDS 16

/* Waits for a plan on the report channel; fds[0] is its memfd. Returns how many
 * descriptors came. More than `most` are an error. Ends the process where nobody
 * has a plan for it any more. */
int receive_plan(int *fds, size_t most);
void run_rest(void);

#endif
