/*
 * Floor: parts. An end to a read(2) or write(2) that blocks against expectation.
 */
#ifndef RUSTYRUN_WAKE_H
#define RUSTYRUN_WAKE_H

#include <stdbool.h>
#include <sys/signalfd.h>
#include <sys/time.h>

/* Once, before the others; false with errno. Signals are blocked. Takes the
 * process's ITIMER_REAL, and tells what was left of the caller's (alarm(2)),
 * which execve has kept. */
bool wake_open(struct itimerval *left);
/* Whether it was called, and worked. */
bool wake_is_open(void);
/* From here on a system call that waits ends with EINTR, or with what it has
 * done, within WAKE_US. */
void wake_on(void);
/* Until here. Whether somebody's SIGALRM was taken meanwhile. */
bool wake_off(struct signalfd_siginfo *alarm);

#endif
