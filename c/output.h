/*
 * Floor: the keeper. What the command writes, where it may write only so much:
 * two pipes that are copied to our own standard output and error.
 */
#ifndef RUSTYRUN_OUTPUT_H
#define RUSTYRUN_OUTPUT_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

#include "relay.h"

struct stream {
	int pipe; /* -1: at its end, or nobody reads what comes from it */
	struct sink sink;
	struct relay *relay;
	int64_t rest; /* once all writers are gone: what is still to be read */
};

struct output {
	struct stream stream[2];
	int64_t left;  /* how many bytes of both may still come */
	bool over;     /* there were more */
	bool counted;  /* `rest` is known */
	struct relay relay[2];
};

#define OUTPUT_POLLS 4

/* Nothing is copied. */
void output_none(struct output *o);
/* Copies two pipes that do not block to standard output and error. */
void output_open(struct output *o, int out, int err, int64_t bytes);
void output_polls(const struct output *o, struct pollfd p[OUTPUT_POLLS]);
/* Moves what can be moved. */
void output_move(struct output *o, const struct pollfd p[OUTPUT_POLLS]);
/* Takes what is in the pipes now for all that will come. */
void output_count(struct output *o);
/* Whether there is still something to be written. */
bool output_waits(const struct output *o);

#endif
