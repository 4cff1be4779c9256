/*
 * Floor: parts. An end to a read(2) or write(2) that blocks against expectation.
 */
#ifndef RUSTYRUN_WAKE_H
#define RUSTYRUN_WAKE_H

#include <stdbool.h>

/* Once, before the others; false with errno. Signals are blocked. */
bool wake_open(void);
/* From here on a system call that waits ends with EINTR, or with what it has
 * done, within WAKE_MS. */
void wake_on(void);
/* Until here. Whether a SIGCHLD was taken meanwhile: a child may have ended. */
bool wake_off(void);

#endif
