/*
 * Floor: the keeper. The end of a first process, also of one that is frozen,
 * stopped or traced.
 */
#ifndef RUSTYRUN_HELD_H
#define RUSTYRUN_HELD_H

#include "kept.h"

/* Kills the container's first process, a frozen one too. */
void kill_init(struct keeper *k);
/* Begins to watch for the end of a process that somebody else may reap; false:
 * errno. */
bool held_open(struct keeper *k);
/* It has ended, and is not reaped: how it ended is known, or known later. */
void held_zombie(struct keeper *k);
/* A signal that ends programs is on its way to an exec's process. */
void held_ask(struct keeper *k, int sig);
/* Kills it for k->cause; one that does not end is killed again, and given up after
 * ten seconds. */
void held_stop(struct keeper *k);
/* How long a poll may last, and what is done when nothing came. */
int held_timeout(const struct keeper *k, int timeout);
void held_look(struct keeper *k);

#endif
