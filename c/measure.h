/*
 * Floor: the keeper. What the kernel has counted of the container.
 */
#ifndef RUSTYRUN_MEASURE_H
#define RUSTYRUN_MEASURE_H

#include <poll.h>
#include <stdint.h>

#include "kept.h"

#define MEASURE_POLLS (BELLS + 1)

/* Reads all numbers that the plan asks for. What is not there any more keeps its
 * last value. */
void measure_now(struct keeper *k);
/* Notes what has been counted before the command runs. Of a cgroup that systemd
 * removes before we can read it, BELLS numbers are read whenever they change. */
void measure_open(struct keeper *k);
void measure_polls(const struct keeper *k, struct pollfd p[MEASURE_POLLS]);
void measure_heard(struct keeper *k, const struct pollfd p[MEASURE_POLLS]);
/* What a number has come to since, as it was read last, in kCount's unit; -1
 * when the kernel does not say. */
int64_t measure(const struct keeper *k, enum count what);
/* Processor time in milliseconds of the first process and of what it has waited
 * for; wait4(2). */
int64_t measure_process(const struct keeper *k);

#endif
