/*
 * The keeper's configuration and its terminal relay.
 *
 * keeper_main reads a sealed plan that holds only k operations (mod/plan.ts):
 *
 *   kRun     pid of init (our child), pid of the warden (0: none); slots: the
 *            host end of the report channel (-1: the command runs already),
 *            the host end of the warden's control socket (-1), the PTY master
 *            (-1), the container's user namespace (-1)
 *   kCgroup  root: a directory that stays; path: relative to it; own: how many
 *            of its last components are ours; kind: CGROUP_*
 *   kState   parent, name; dir: descriptor of the directory, with the flock
 *   kTree    parent, name: removed with all below it. owner: -1, or the user
 *            of a private directory of that name, in which the tree has the
 *            same name: others may rename what is in parent
 *   kOom     file with the counter, its key, the line to print
 *   kText    a late failure's line: op (-1: any; KEEPER_DIED: the helper died
 *            and errno is its signal), errno (-1: any), exit code. First match
 *   kJson    head: what comes before `"exitCode":N,...}`; signals: the name of
 *            each signal as JSON, by number. With it, the lines of kOom and
 *            kRefuse are members of that object, each with a comma behind it
 *   kDelete  a program that runs at the end, before what is left is removed
 *   kFlags   TEARDOWN_* and KEEPER_*
 *   kMount   the container's root, mounted in the caller's mount namespace
 *   kRefuse  the line for the third Ctrl-C
 *   kExec    the process is an exec's, which the container may hold; freezer:
 *            freezer.state of its cgroup, and thaw: cgroup.procs of our own,
 *            where what is killed goes on and dies (v1; empty: there is none).
 *            Also the warden's
 *   kDetach  caller: the socket of who waits for the start (-1: nobody), and
 *            text: what it is told then; dir: the state's directory, where the
 *            file "exit" gets the exit code (-1: it is not kept)
 */
#ifndef RUSTYRUN_KEEPER_H
#define RUSTYRUN_KEEPER_H

#include <poll.h>
#include <stdbool.h>
#include <sys/signalfd.h>
#include <termios.h>

#include "teardown.h"

/* kText's op for a helper that died without a word. */
#define KEEPER_DIED (-2)

struct relay {
	char room[4096];
	size_t at; /* what is still to be written: room[at..end] */
	size_t end;
};

struct tty {
	int master; /* -1: there is no terminal, or it is gone */
	int in;	    /* the caller's stdin, -1 at its end */
	int out;
	bool in_is_tty;
	bool raw;    /* the caller's terminal is in raw mode */
	bool paused; /* we are in the background: no reading */
	bool small;  /* out may block: write little at a time */
	bool socket; /* out is one: it need not block */
	bool hung;   /* nobody has the other end open: look again later */
	char last;   /* what the terminal sent last */
	int interrupts; /* characters of the last tty_move that will be SIGINT, */
	int quits;      /* and SIGQUIT, */
	pid_t front;    /* and to which process group */
	struct termios saved;
	struct relay up;   /* in -> master */
	struct relay down; /* master -> out */
};

#define TTY_POLLS 3

void tty_open(struct tty *t, int master);
/* Raw mode on the caller's terminal, and its size on the master; again after
 * SIGCONT. */
void tty_enter(struct tty *t);
void tty_resize(const struct tty *t);
void tty_restore(struct tty *t);
void tty_polls(const struct tty *t, struct pollfd p[TTY_POLLS]);
/* How long a poll may last, in milliseconds. */
int tty_timeout(struct tty *t);
/* Moves what can be moved, and counts characters that make a signal. */
void tty_move(struct tty *t, const struct pollfd p[TTY_POLLS]);
/* Writes what the container still had to say: until the end of the terminal,
 * or `quiet_ms` without a byte, or a byte on `stop`. */
void tty_drain(struct tty *t, int quiet_ms, int stop);

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

/* keeper.c: "/proc/PID" and `tail`. */
const char *proc_path(char path[32], pid_t pid, const char *tail);
/* keeper.c: kills the container's first process, a frozen one too. */
void kill_init(struct keeper *k);
/* signals.c: whether the caller has us ignore a signal. */
bool is_ignored_here(int sig);
/* signals.c: what the command gets while it runs, and what follows from it. */
void deliver(struct keeper *k, const struct signalfd_siginfo *from);
/* signals.c: a character on its way in will make this signal. */
void typed(struct keeper *k, int sig);
/* signals.c: a number of /proc/PID/status; key: "\nSigBlk:". */
uint64_t read_field(const char *text, const char *key, unsigned int base);
/* held.c: a signal that ends programs is on its way to an exec's process. */
void held_ask(struct keeper *k, int sig);
/* held.c: how long a poll may last, and what is done when nothing came. */
int held_timeout(const struct keeper *k, int timeout);
void held_look(struct keeper *k);
/* verdict.c: the first operation of the keeper's plan with a code. */
bool find_op(const struct keeper *k, uint16_t code, struct op *op);
/* verdict.c: a whole small file, with a NUL; -1 when it cannot be read. */
ssize_t read_whole(const char *path, char *text, size_t size);
/* verdict.c: says why the keeper cannot be, and ends. */
_Noreturn void give_up(const char *why);
/* verdict.c: tells how the container ended, where that needs words; returns
 * the exit code. */
int tell_end(const struct keeper *k, bool *oom);
void tell_leftover(const struct keeper *k);
/* verdict.c: tells who detached the container that it runs; false when nobody
 * is there any more, and so nobody has its name. */
bool tell_caller(struct keeper *k);
/* verdict.c: leaves the exit code with the state, where the plan says so, and
 * says whether it did: the container is kept then. */
bool keep_code(const struct keeper *k, int code);
void print_json(const struct keeper *k, int code, bool oom);

#endif
