/*
 * Floor: the keeper. What the user is told.
 */
#ifndef RUSTYRUN_VERDICT_H
#define RUSTYRUN_VERDICT_H

#include <stdbool.h>

#include "kept.h"

/* Nobody is waited for any more, who does not read what is told, once somebody
 * wants us to end: what is_asked_to_end() takes. */
void tell_until(int signals);
/* Says why the keeper cannot be, and ends. */
_Noreturn void give_up(const char *why);
/* Finds how the container ended: the exit code, and why, in k->code, k->oom and
 * k->cause. While there still is a cgroup. */
void judge(struct keeper *k);
/* Whether the command ran, or was ended on its way; else the start failed. */
bool has_started(const struct keeper *k);
/* The kText of a start that failed; false when the plan has none. */
bool find_late(const struct keeper *k, struct op *op);
/* The signal that ended it, 0: none. */
int find_signal(const struct keeper *k);
/* A name of a list; NULL beyond its end. */
const char *list_at(const struct arg *list, uint32_t index);
/* Tells what judge() has found, where that needs words. */
void tell_end(const struct keeper *k);
void tell_leftover(const struct keeper *k);
/* The result could not be written. */
void tell_lost(const struct keeper *k, int fd, int err);
/* Tells who detached the container that it runs; false when nobody is there any
 * more, and so nobody has its name. */
bool tell_caller(struct keeper *k);
/* Leaves the exit code with the state, where the plan says so, and says whether
 * it did: the container is kept then. */
bool keep_code(const struct keeper *k);

#endif
