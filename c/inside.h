/*
 * Floor: parts. Who lives in the pid namespace of a container.
 */
#ifndef RUSTYRUN_INSIDE_H
#define RUSTYRUN_INSIDE_H

#include <stdbool.h>
#include <sys/types.h>

/* Kills whoever lives with a first process in its pid namespace, which has been
 * killed and may wait for them before it is dead. Nobody where it is not the first
 * one of a namespace of its own. */
void kill_inside(pid_t first);
bool is_traced(pid_t pid);

#endif
