/*
 * Floor: the ground. Who holds a process of the container at its end.
 */
#ifndef RUSTYRUN_TRACER_H
#define RUSTYRUN_TRACER_H

#include <stdbool.h>
#include <sys/types.h>

/* Kills who traces it out of its own pid namespace, and whoever traces those. For a
 * process that was killed, of a container with a pid namespace of its own. */
void kill_tracers(pid_t pid);
bool is_traced(pid_t pid);

#endif
