/*
 * Floor: the keeper. What becomes of a signal.
 */
#ifndef RUSTYRUN_SIGNALS_H
#define RUSTYRUN_SIGNALS_H

#include <stdbool.h>
#include <sys/signalfd.h>

#include "kept.h"

/* Whether the caller has us ignore a signal. */
bool is_ignored_here(int sig);
/* What the command gets while it runs, and what follows from it. */
void deliver(struct keeper *k, const struct signalfd_siginfo *from);
/* A character on its way in will make this signal. */
void typed(struct keeper *k, int sig);

#endif
