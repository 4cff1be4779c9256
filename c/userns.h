/*
 * Floor: the ground. What only the container's user namespace may do to its files.
 */
#ifndef RUSTYRUN_USERNS_H
#define RUSTYRUN_USERNS_H

#include <stdbool.h>
#include <sys/types.h>

/* The user namespace that a process is in, or the one above it that lies in ours:
 * the process may have made more, inside. -1: it is in ours. */
int open_userns(pid_t pid);
/* Writes to a file in a directory, by its path from `root`, as whoever is root in
 * that user namespace. */
bool write_inside(int userns, int root, const char *path, const char *name,
		  const char *text);

#endif
