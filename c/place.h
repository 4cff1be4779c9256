/*
 * Floor: parts. A place in the container, found or made.
 */
#ifndef RUSTYRUN_PLACE_H
#define RUSTYRUN_PLACE_H

#include <sys/types.h>

#include "decode.h"

/*
 * A place in the container. Whoever may rename in the root file system can have
 * a path lead past what was mounted on it; `at` is that mount itself, and
 * `below` the way from there. Where nothing was mounted, and where a link in the
 * mount leads out of it, the path is looked up from the root.
 */
struct place {
	int at; /* -1: the place is in the root file system itself */
	const char *below;
	int root;
	const char *path;
};

/* Four arguments of an operation are a place. */
struct place place_of(const struct arg *a);
/* Opens it (O_PATH) in its mount, or by its path. */
int open_below(const struct place *p);
int open_path(const struct place *p);
/* The same; -1 where there is nothing, and an end of the plan for any other
 * error. */
int find_below(const struct place *p);
int find_path(const struct place *p);
/* Opens it, making what is missing: 1 a directory, 2 a file, 0 nothing. Ends
 * the plan with ESTALE where its path leads elsewhere than its mount. */
int open_target(const struct place *p, int kind, mode_t mode);
/* Whether two descriptors are of one file. */
int is_same(int a, int b);

#endif
