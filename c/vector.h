/*
 * Floor: the ground. Argument vectors for execve(2).
 */
#ifndef RUSTYRUN_VECTOR_H
#define RUSTYRUN_VECTOR_H

#include "decode.h"

/* execve with two lists as its vectors; without a path the first word of argv
 * is the program. Returns -1 with errno. */
int exec_lists(const char *path, const struct arg *argv, const struct arg *env);

#endif
