/*
 * Floor: operations. The container's pid 1 of `--init`.
 */
#ifndef RUSTYRUN_INIT_H
#define RUSTYRUN_INIT_H

#include <stdbool.h>

/* Runs OP_INIT. Returns in the process that becomes the command; this one stays
 * as pid 1. Idle: there is no command, and it does not return. */
void run_init(bool idle);

#endif
