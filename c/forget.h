/*
 * Floor: operations. What a container's first process has of the host in its
 * memory.
 */
#ifndef RUSTYRUN_FORGET_H
#define RUSTYRUN_FORGET_H

/* Leaves nothing of the plan but what is still to be run. It maps memory, which
 * a filter may refuse later. */
void forget_done(void);
/* Leaves nothing of it at all. It takes no system call. */
void forget_rest(void);
/* Gives the memory of a plan that was run to its end back. */
void forget_all(void);

#endif
