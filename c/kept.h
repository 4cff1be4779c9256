/*
 * Floor: the keeper. Its state, which its files share: what it knows of the
 * container that it keeps.
 */
#ifndef RUSTYRUN_KEPT_H
#define RUSTYRUN_KEPT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/signalfd.h>
#include <sys/types.h>

#include "decode.h"
#include "teardown.h"
#include "tty.h"

struct keeper {
	struct plan plan;
	int slot[PLAN_SLOTS];
	struct teardown td;
	struct tty tty;
	int signals;   /* signalfd */
	int channel;   /* -1: the command runs, or nothing reports any more */
	int control;   /* of the warden */
	pid_t init;
	int caller;    /* of a detached start: waits for it, -1 then */
	pid_t warden;
	int status;    /* of init, as waitpid gives it */
	bool ended;
	bool about_to_exec;
	bool failed;   /* `late` says why the command did not start */
	bool refused;  /* the third Ctrl-C */
	int dropped;   /* the signal that ended it in place of pid 1's own end */
	int aborted;   /* the signal that came before the start */
	int asked;     /* the signal that an exec's process is to end by */
	int looks;     /* how often in a row it was held since */
	/* Signals that wait for the start, by number; ssi_signo 0: none. */
	struct signalfd_siginfo held[64];
	int64_t pressed[2]; /* when Ctrl-C came, before the last time and then */
	struct report late;
};

#endif
