/*
 * Floor: parts. The caller's terminal, the container's, and what moves between
 * them.
 */
#ifndef RUSTYRUN_TTY_H
#define RUSTYRUN_TTY_H

#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <termios.h>

#include "relay.h"

struct tty {
	int master; /* -1: there is no terminal, or it is gone */
	int in;	    /* the caller's stdin, -1 at its end */
	struct sink out;
	bool in_is_tty;
	bool raw;    /* the caller's terminal is in raw mode */
	bool paused; /* we are in the background: no reading */
	bool plain;  /* standard output is no terminal */
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
 * or `quiet_ms` without a byte, or `slow_ms` (-1: for ever) in which the caller's
 * takes none, or a byte on `stop`. False where something is left to be written. */
bool tty_drain(struct tty *t, int quiet_ms, int slow_ms, int stop);
/* Puts a terminal that the keeper has left raw back to what it was; one that
 * somebody else has changed since stays. */
void tty_put_back(int fd, const struct termios *saved);

#endif
