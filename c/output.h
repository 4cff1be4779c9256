/*
 * Floor: the keeper. What the command writes, where it may write only so much:
 * two pipes that are copied to our own standard output and error, by a process of
 * its own. Whoever holds a pipe's lock (it sleeps in splice(2), or in a page fault
 * of a write(2)) holds who reads it, and no signal ends that: so that is never the
 * keeper, which does not touch the pipes.
 */
#ifndef RUSTYRUN_OUTPUT_H
#define RUSTYRUN_OUTPUT_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* What the keeper knows of it. */
struct output {
	int sock;     /* the other process's words, -1: no more will come */
	int end;      /* its pidfd, -1: it has ended, or there is none */
	pid_t pid;
	bool over;    /* the command has written more than it may */
	bool counted; /* nothing is added to that any more */
	bool whole;   /* all has been written, or nobody reads it */
};

#define OUTPUT_POLLS 2

/* Nothing is copied. */
void output_none(struct output *o);
/* Copies two pipes that do not block to standard output and error, and closes
 * them here; false with errno. Signals are blocked. */
bool output_open(struct output *o, int out, int err, int64_t bytes);
void output_polls(const struct output *o, struct pollfd p[OUTPUT_POLLS]);
/* Takes the words that came. */
void output_hear(struct output *o, const struct pollfd p[OUTPUT_POLLS]);
/* Whether nobody copies any more, though there may be something to copy. */
bool output_is_lost(const struct output *o);
/* Takes what is in the pipes now for all that will come. Who is held by them does
 * not answer in that time, and is not waited for. */
void output_count(struct output *o, int ms);
/* Whether there is still something to be written. */
bool output_waits(const struct output *o);
/* Ends the process that copies: nothing is written from here on. One that is held
 * is gone when nobody holds it, and is not waited for longer than that. */
void output_close(struct output *o, int ms);

#endif
