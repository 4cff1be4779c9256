/*
 * Floor: the front. Where a user has what is rustyrun's.
 */
#ifndef RUSTYRUN_FRONT_USER_H
#define RUSTYRUN_FRONT_USER_H

#include <stdbool.h>

/* Whether this is root, and of the machine: that of a user namespace (podman's,
 * for a user) may not write /run. */
bool is_machines_root(void);

/* The variables, without a HOME that Deno does not start with (a file), and with a
 * DENO_DIR first where Deno would find no directory for its caches: it compiles all
 * of the program at each start then. podman gives `start` and `delete` no HOME. The
 * bundle does the same for itself (scripts/bundle.ts). */
char **with_caches(char **variables);

#endif
