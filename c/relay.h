/*
 * Floor: parts. Bytes on their way to somebody else's descriptor, which we may
 * not make non-blocking, and who need not read.
 */
#ifndef RUSTYRUN_RELAY_H
#define RUSTYRUN_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* As much as a pipe holds, pipe(7): a system call for less costs as much. */
#define RELAY_ROOM 65536

struct relay {
	size_t at; /* what is still to be written: room[at..end] */
	size_t end;
	char room[RELAY_ROOM];
};

struct sink {
	int fd;
	size_t most; /* it may block: this much a writable one takes; 0: any */
	bool socket; /* it need not block */
};

/* Makes the best of descriptor `fd`, which stays open. */
void sink_open(struct sink *s, int fd);
/* Writes what can be written now; poll(2) says when. Returns how much, or -1
 * with errno: EAGAIN, or why never again. */
ssize_t sink_write(const struct sink *s, const char *bytes, size_t size);
/* The same for what is in a relay; false when it will never be written. */
bool relay_write(struct relay *r, const struct sink *s);

#endif
