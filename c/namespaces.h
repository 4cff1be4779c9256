/*
 * Floor: operations. Namespaces, and the devices of a network namespace.
 */
#ifndef RUSTYRUN_NAMESPACES_H
#define RUSTYRUN_NAMESPACES_H

#include "decode.h"

/* Runs one operation of its group, or returns 0 when it has no such. */
int run_namespace_op(const struct op *op);

#endif
