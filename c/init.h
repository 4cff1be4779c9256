/*
 * Floor: operations. The container's pid 1 of `--init`.
 */
#ifndef RUSTYRUN_INIT_H
#define RUSTYRUN_INIT_H

/* Runs OP_INIT. Returns in the process that becomes the command; this one stays
 * as pid 1. */
void run_init(void);

#endif
