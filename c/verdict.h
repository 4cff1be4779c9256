/*
 * Floor: the keeper. What the user is told.
 */
#ifndef RUSTYRUN_VERDICT_H
#define RUSTYRUN_VERDICT_H

#include <stdbool.h>

#include "kept.h"

/* Says why the keeper cannot be, and ends. */
_Noreturn void give_up(const char *why);
/* Tells how the container ended, where that needs words; returns the exit
 * code. */
int tell_end(const struct keeper *k, bool *oom);
void tell_leftover(const struct keeper *k);
/* Tells who detached the container that it runs; false when nobody is there any
 * more, and so nobody has its name. */
bool tell_caller(struct keeper *k);
/* Leaves the exit code with the state, where the plan says so, and says whether
 * it did: the container is kept then. */
bool keep_code(const struct keeper *k, int code);
void print_json(const struct keeper *k, int code, bool oom);

#endif
