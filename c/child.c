/*
 * The child stage: runs the operations of a plan in their order and reports.
 * It decides nothing and holds no heap; what it may do is what the plan says.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "calls.h"
#include "child.h"
#include "decode.h"
#include "files.h"
#include "kernel.h"
#include "mounts.h"
#include "namespaces.h"
#include "process.h"
#include "remove.h"
#include "rest.h"
#include "stage.h"
#include "warden.h"

/* Waits for one byte of the host stage; its end means that nobody wants this
 * container any more. */
static void run_sync(const struct op *op)
{
	char go;
	ssize_t n;

	/* Before the fork the pid is the host's: for /proc/PID/uid_map. */
	if (report(REPORT_SYNC, getpid(), (int)narrow(op->a[0].n), NULL,
		   -1) < 0)
		_exit(125);
	do
		n = read(child.channel, &go, 1);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		_exit(125);
}

/* CLONE_PARENT: the container's first process is a sibling of this one, so
 * that a caller's subreaper gets it with nothing in between. */
static void run_fork(const struct op *op)
{
	int cgroup = op->a[1].n < 0 ? -1 : slot_fd(op->a[1].n);
	int pidfd, err;
	pid_t pid;

	pid = clone_child(K_CLONE_PARENT | (uint64_t)op->a[0].n, cgroup,
			  &pidfd);
	if (pid < 0)
		fail(errno, NULL);
	if (pid > 0) {
		if (warden_tell(&child, pidfd, pid) &&
		    report(REPORT_FORKED, 0, pid, NULL, pidfd) == 0)
			_exit(0);
		/* Nobody else knows of it. */
		err = errno;
		syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0u);
		fail(err, "sendmsg");
	}
	if (child.warden >= 0)
		close(child.warden);
	child.warden = -1;
	prctl(PR_SET_NAME, "rustyrun-init");
}

static void run_op(const struct op *op)
{
	switch (op->code) {
	case OP_WARDEN:
		warden_split(&child, op);
		return;
	case OP_SYNC:
		run_sync(op);
		return;
	case OP_FORK:
		run_fork(op);
		return;
	case OP_REST:
		run_rest();
		return;
	case OP_SEND_FD:
		if (report(REPORT_FD, 0, (int)narrow(op->a[1].n), NULL,
			   slot_fd(op->a[0].n)) < 0)
			fail(errno, NULL);
		return;
	}
	if (!run_file_op(op) && !run_mount_op(op) && !run_namespace_op(op) &&
	    !run_process_op(op) && !run_remove_op(op))
		fail(ENOSYS, NULL);
}

/* Nothing stays open in the container's process for longer than it is used:
 * whoever may trace it can take what it holds. */
static void close_last(const struct op *op)
{
	for (int i = 0; op->last >> i; i++) {
		int64_t n = op->a[i].n;

		if (!(op->last >> i & 1) || n < 0 || child.slot[n] < 0)
			continue;
		close(child.slot[n]);
		child.slot[n] = -1;
	}
}

/* Closes what is neither a slot nor to be preserved: whatever the caller left
 * open. The fork would copy it, and who may trace the copy could take it. */
static void close_strangers(void)
{
	int keep[PLAN_SLOTS];
	struct op op;
	int64_t preserved = 0;

	if (find_op(&child.plan, OP_CLOSE_FDS, &op))
		preserved = op.a[0].n;
	if (preserved < 0 || preserved > PRESERVED_MAX)
		fail(EBADF, "preserved descriptors");
	memcpy(keep, child.slot, sizeof(keep));
	close_others(3 + (unsigned int)preserved, keep, PLAN_SLOTS);
}

static void begin(char *word)
{
	if (syscall(SYS_close_range, 3u, ~0u, K_CLOSE_RANGE_CLOEXEC) < 0)
		_exit(125);
	child.word = word;
	default_signals(); /* whatever the caller ignores or blocks */
	signal(SIGPIPE, SIG_IGN);
	umask(0); /* the plan says whole modes */
	prctl(PR_SET_NAME, "rustyrun-child");
}

static void open_plan(int fd)
{
	const void *bytes;
	size_t size;

	bytes = map_plan(fd, &size);
	if (!bytes || plan_open(&child.plan, bytes, size, child.slot) < 0 ||
	    child.slot[0] < 0)
		_exit(125);
	close(fd);
}

_Noreturn static void run_plan(void)
{
	struct op op;

	child.channel = child.slot[0];
	close_strangers();
	while (plan_next(&child.plan, &op) == 0) {
		child.index = op.index;
		run_op(&op);
		close_last(&op);
	}
	/* A plan that ends without exec: a probe of the doctor. */
	_exit(0);
}

_Noreturn void child_main(int fd, char *word)
{
	begin(word);
	open_plan(fd);
	run_plan();
}

_Noreturn void child_await(int channel, char *word)
{
	int fds[PLAN_FDS], count;

	begin(word);
	child.channel = channel;
	count = receive_plan(fds, PLAN_FDS);
	open_plan(fds[0]);
	/* The numbers are places: the channel, and then what came with the plan. */
	fds[0] = channel;
	for (int i = 0; i < PLAN_SLOTS; i++) {
		if (child.slot[i] < 0)
			continue;
		if (child.slot[i] >= count)
			_exit(125);
		child.slot[i] = fds[child.slot[i]];
	}
	say_progress("child");
	run_plan();
}
