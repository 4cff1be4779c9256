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
/* Whether a signal, that nobody ignores, ends what has no command to give it to. */
bool ends_start(int sig);
/* Whether one of them has come, by a signalfd that does not wait. */
bool is_asked_to_end(int signals);
/* What the command gets while it runs, and what follows from it. */
void deliver(struct keeper *k, const struct signalfd_siginfo *from);
/* A character on its way in will make this signal. */
void typed(struct keeper *k, int sig);

#endif
