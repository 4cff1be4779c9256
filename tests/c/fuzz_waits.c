/*
 * The made-up kernel, part three: ends of processes, and timers.
 */
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "../../c/calls.h"
#include "../../c/kernel.h"
#include "fuzz_kernel.h"

/* The first process of the keeper's container. */
static pid_t init_pid(void)
{
	for (uint32_t i = 0; i < fuzz.count; i++)
		if (fuzz.ops[i].code == OP_K_RUN)
			return (pid_t)fuzz.ops[i].a[0].n;
	return 1;
}

int fake_waitid(int type, id_t id, siginfo_t *info, int options)
{
	memset(info, 0, sizeof(*info));
	if (fuzz_below(2))
		info->si_pid = type == P_ALL ? 1 + (pid_t)fuzz_below(3) :
					       (pid_t)id;
	return simple();
}

pid_t fake_waitpid(pid_t pid, int *status, int options)
{
	if (fails())
		return -1;
	/* Some executions are of things that last. */
	if (options & WNOHANG && fuzz_below(fuzz.missing_rate ? 2 : 40))
		return 0;
	if (status)
		switch (fuzz_below(4)) {
		case 0:
			*status = 1 + (int)fuzz_below(64);
			break;
		case 1:
			*status = (int)fuzz_below(256) << 8;
			break;
		default:
			*status = 0;
		}
	if (pid > 0)
		return pid;
	if (fuzz_below(2))
		return fuzz_below(2) ? 0 : 1 + (pid_t)fuzz_below(100);
	return init_pid();
}

pid_t fake_wait4(pid_t pid, int *status, int options, struct rusage *usage)
{
	pid_t found = fake_waitpid(pid, status, options);

	if (found > 0) {
		memset(usage, 0, sizeof(*usage));
		usage->ru_utime.tv_sec = fuzz_below(4);
		usage->ru_stime.tv_usec = fuzz_below(1000000);
	}
	return found;
}

int fake_timerfd_create(int clock, int flags)
{
	(void)clock, (void)flags;
	return fails() ? -1 : new_fd();
}

int fake_timerfd_settime(int fd, int flags, const struct itimerspec *value,
			 struct itimerspec *old)
{
	(void)fd, (void)flags, (void)old;
	take(value, sizeof(*value));
	return simple();
}
