/*
 * Floor: the keeper. The result, for a program that started us.
 */
#ifndef RUSTYRUN_RESULT_H
#define RUSTYRUN_RESULT_H

#include "kept.h"

/* Writes it where the plan says so, once it is judged and while there still is a
 * cgroup. Whoever does not read it is told on standard error that it is lost. */
void write_result(const struct keeper *k);

#endif
