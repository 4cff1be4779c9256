/*
 * Floor: parts. Who lives in the pid namespace of a container.
 */
#ifndef RUSTYRUN_INSIDE_H
#define RUSTYRUN_INSIDE_H

#include <stdbool.h>
#include <sys/types.h>

/* Kills whoever lives with a first process, by its pidfd, in its pid namespace: it
 * has been killed and may wait for them before it is dead. Nobody where it is not the
 * first one of a namespace of its own, or has ended. */
void kill_inside(int pidfd);
bool is_traced(pid_t pid);

#endif
