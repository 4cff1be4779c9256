/*
 * Floor: operations. Mounts, and the way to their places.
 */
#ifndef RUSTYRUN_MOUNTS_H
#define RUSTYRUN_MOUNTS_H

#include "decode.h"

/* Runs one operation of its group, or returns 0 when it has no such. */
int run_mount_op(const struct op *op);

#endif
