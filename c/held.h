/*
 * Floor: the keeper. The end of a first process, also of one that is frozen,
 * stopped or traced.
 */
#ifndef RUSTYRUN_HELD_H
#define RUSTYRUN_HELD_H

#include "kept.h"

/* Kills the container's first process, a frozen one too. */
void kill_init(struct keeper *k);
/* A signal that ends programs is on its way to an exec's process. */
void held_ask(struct keeper *k, int sig);
/* How long a poll may last, and what is done when nothing came. */
int held_timeout(const struct keeper *k, int timeout);
void held_look(struct keeper *k);

#endif
