/*
 * That a descriptor is non-blocking, and that poll(2) has called it ready, is no
 * promise to whoever shares it. O_NONBLOCK belongs to the open file description:
 * a process in the container that may trace (CAP_SYS_PTRACE) takes a copy of a
 * terminal's master from the one that made it, and sets what it likes, or reads
 * what we were told of. All signals are blocked here, so nothing else would end
 * the wait. A timer does, again and again: the one tick that comes before the
 * system call begins is not the last.
 */
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "wake.h"

#define WAKE_MS 20

/* Of the kernel; -1: there is none. */
static int timer = -1;
static volatile sig_atomic_t taken;

/* SIGCHLD is nobody's but the keeper's own, and one may stand for many: so it
 * serves for the timer as well. */
static void take(int sig)
{
	(void)sig;
	taken = 1;
}

static void allow(int how)
{
	const uint64_t bit = 1ull << (SIGCHLD - 1);

	syscall(SYS_rt_sigprocmask, how, &bit, NULL, sizeof(bit));
}

static void set(long ms)
{
	struct itimerspec every = { 0 };

	every.it_interval.tv_nsec = every.it_value.tv_nsec = ms * 1000000;
	syscall(SYS_timer_settime, timer, 0, &every, NULL);
}

bool wake_open(void)
{
	struct sigevent event;
	/* Without SA_RESTART. */
	struct sigaction action = { .sa_handler = take };

	memset(&event, 0, sizeof(event));
	event.sigev_notify = SIGEV_SIGNAL;
	event.sigev_signo = SIGCHLD;
	sigaction(SIGCHLD, &action, NULL);
	return syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer) == 0;
}

void wake_on(void)
{
	if (timer < 0)
		return;
	taken = 0;
	set(WAKE_MS);
	allow(SIG_UNBLOCK);
}

bool wake_off(void)
{
	if (timer < 0)
		return false;
	allow(SIG_BLOCK);
	set(0);
	return taken;
}
