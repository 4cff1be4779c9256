/*
 * Floor: the keeper. What the kernel has counted of the container.
 */
#ifndef RUSTYRUN_MEASURE_H
#define RUSTYRUN_MEASURE_H

#include <stdbool.h>
#include <stdint.h>

#include "kept.h"

/* The number in a file of a cgroup, behind "key " at the start of a line where
 * there is a key; -1 when the kernel does not say. */
int64_t read_counter(const struct arg *file, const struct arg *key);
/* Notes what has been counted before the command runs. */
void measure_before(struct keeper *k);
/* What it has come to since, in kCount's unit; -1 when the kernel does not say.
 * The most memory that was used is no matter of before and after. */
int64_t measure(const struct keeper *k, enum count what);
/* Processor time in milliseconds of the first process and of what it has waited
 * for; wait4(2). */
int64_t measure_process(const struct keeper *k);

#endif
