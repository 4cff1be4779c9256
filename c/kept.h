/*
 * Floor: the keeper. Its state, which its files share: what it knows of the
 * container that it keeps.
 */
#ifndef RUSTYRUN_KEPT_H
#define RUSTYRUN_KEPT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/types.h>

#include "decode.h"
#include "output.h"
#include "teardown.h"
#include "tty.h"

/* Why the keeper itself ended the container. */
enum cause { NO_CAUSE, TIME_IS_UP, TOO_MUCH_OUTPUT };

/* kCount's what, as mod/container/launch/result.ts writes it. */
enum count { COUNT_OOM, COUNT_PIDS, COUNT_CPU, COUNT_PEAK, COUNTS };

/* The first of them: poll(2) tells when they change. */
#define BELLS (COUNT_PIDS + 1)

struct keeper {
	struct plan plan;
	int slot[PLAN_SLOTS];
	struct teardown td;
	int signals;   /* signalfd */
	int channel;   /* -1: the command runs, or nothing reports any more */
	int control;   /* of the warden */
	pid_t init;
	int caller;    /* of a detached start: waits for it, -1 then */
	pid_t warden;
	int status;    /* of init, as waitpid gives it */
	struct rusage usage; /* of init and of all it has waited for */
	int64_t began; /* when the command was let go, in milliseconds, */
	int64_t over;  /* and when init was reaped */
	int timer;     /* timerfd of kTime, -1: there is none */
	int alarm;     /* timerfd in place of the caller's alarm(2), or -1 */
	enum cause cause;
	int64_t killed; /* when it was, last, */
	int kills;      /* and how often more */
	int64_t before[COUNTS]; /* what the counters said before it ran, and */
	int64_t count[COUNTS];  /* last; -1: nothing */
	int bell[BELLS];        /* their files, -1: read at the end only */
	int above;              /* the first one of the cgroup above, and what */
	int64_t above_seen;     /* that said when ours was read last */
	bool ended;
	bool about_to_exec;
	bool failed;   /* `late` says why the command did not start */
	bool refused;  /* the third Ctrl-C */
	int dropped;   /* the signal that ended it in place of pid 1's own end */
	int aborted;   /* the signal that came before the start */
	int end;       /* pidfd of init, -1: it has ended */
	int64_t zombie; /* when it had, and was not ours to reap, else 0 */
	int asked;     /* the signal that an exec's process is to end by */
	int looks;     /* how often in a row it was held since */
	/* Signals that wait for the start, by number; ssi_signo 0: none. */
	struct signalfd_siginfo held[64];
	int64_t pressed[2]; /* when Ctrl-C came, before the last time and then */
	struct report late;
	int code;      /* ours, once it is judged */
	bool oom;      /* the kernel killed it for its memory */
	/* Last, with room that is not touched where nothing is relayed. */
	struct tty tty;
	struct output out;
};

#endif
