/*
 * Floor: operations. Descriptors and files.
 */
#ifndef RUSTYRUN_FILES_H
#define RUSTYRUN_FILES_H

#include "decode.h"

/* Runs one operation of its group, or returns 0 when it has no such. */
int run_file_op(const struct op *op);

#endif
