/*
 * That a descriptor is non-blocking, and that poll(2) has called it ready, is no
 * promise to whoever shares it. O_NONBLOCK belongs to the open file description:
 * a process in the container that may trace (CAP_SYS_PTRACE) takes a copy of a
 * terminal's master from the one that made it, and sets what it likes, or reads
 * what we were told of. All signals are blocked here, so nothing else would end
 * the wait. A timer does, again and again: the one tick that comes before the
 * system call begins is not the last.
 *
 * It is the one that every process has: timer_create(2) takes an entry of the
 * user's queue of signals (RLIMIT_SIGPENDING), and a container of the same user
 * can take all of them.
 */
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "wake.h"

#define WAKE_US 20000

static bool is_open;
static volatile sig_atomic_t heard;
static siginfo_t theirs;

/* The tick comes from the kernel, and from nobody else has that code. Of several
 * others the first counts, as where they are blocked. */
static void take(int sig, siginfo_t *info, void *context)
{
	(void)sig, (void)context;
	if (info->si_code == SI_KERNEL || heard)
		return;
	theirs = *info;
	heard = 1;
}

static void allow(int how)
{
	const uint64_t bit = 1ull << (SIGALRM - 1);

	syscall(SYS_rt_sigprocmask, how, &bit, NULL, sizeof(bit));
}

static bool set(long us, struct itimerval *before)
{
	struct itimerval every = { 0 };

	every.it_interval.tv_usec = every.it_value.tv_usec = us;
	return syscall(SYS_setitimer, ITIMER_REAL, &every, before) == 0;
}

bool wake_open(struct itimerval *left)
{
	/* Without SA_RESTART. */
	struct sigaction action = { .sa_sigaction = take,
				    .sa_flags = SA_SIGINFO };

	sigaction(SIGALRM, &action, NULL);
	return is_open = set(0, left);
}

bool wake_is_open(void)
{
	return is_open;
}

/* The timer runs only where its signal is let through: a tick that waits would
 * swallow a SIGALRM of somebody else's. */
void wake_on(void)
{
	if (!is_open)
		return;
	heard = 0;
	allow(SIG_UNBLOCK);
	set(WAKE_US, NULL);
}

bool wake_off(struct signalfd_siginfo *alarm)
{
	if (!is_open)
		return false;
	set(0, NULL);
	allow(SIG_BLOCK);
	if (!heard)
		return false;
	memset(alarm, 0, sizeof(*alarm));
	alarm->ssi_signo = SIGALRM;
	alarm->ssi_code = theirs.si_code;
	alarm->ssi_pid = (uint32_t)theirs.si_pid;
	alarm->ssi_uid = theirs.si_uid;
	alarm->ssi_ptr = (uintptr_t)theirs.si_value.sival_ptr;
	return true;
}
