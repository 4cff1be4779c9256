/*
 * Floor: the ground. What only the container's user namespace may do to its files.
 */
#ifndef RUSTYRUN_USERNS_H
#define RUSTYRUN_USERNS_H

#include <stdbool.h>

/* Writes to a file in a directory, by its path from `root`, as whoever is root in
 * that user namespace. */
bool write_inside(int userns, int root, const char *path, const char *name,
		  const char *text);

#endif
