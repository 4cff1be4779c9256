/*
 * Floor: operations. Removal for the host stage.
 */
#ifndef RUSTYRUN_REMOVE_H
#define RUSTYRUN_REMOVE_H

#include "decode.h"

/* Runs one operation of its group, or returns 0 when it has no such. */
int run_remove_op(const struct op *op);

#endif
