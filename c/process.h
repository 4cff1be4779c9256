/*
 * Floor: operations. The terminal, credentials, and the end of a plan.
 */
#ifndef RUSTYRUN_PROCESS_H
#define RUSTYRUN_PROCESS_H

#include "decode.h"

/* Runs one operation of its group, or returns 0 when it has no such. */
int run_process_op(const struct op *op);

#endif
