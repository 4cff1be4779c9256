/*
 * The child stage: runs the operations of a plan in their order and reports.
 * It decides nothing and holds no heap; what it may do is what the plan says.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "helper.h"
#include "kernel.h"

struct child child = { .channel = -1, .warden = -1 };

/* The seals matter: a plan that could still change would be checked twice. */
const void *map_plan(int fd, size_t *size)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	struct stat st;
	void *p;
	int got;

	got = fcntl(fd, F_GET_SEALS);
	if (got < 0 || fstat(fd, &st) < 0)
		return NULL;
	if ((got & seals) != seals || st.st_size <= 0 ||
	    st.st_size > (off_t)PLAN_MAX) {
		errno = EINVAL;
		return NULL;
	}
	*size = (size_t)st.st_size;
	p = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, fd, 0);
	return p == MAP_FAILED ? NULL : p;
}

/* sendmsg only where a descriptor goes along: a container's seccomp filter
 * may be on already, and write is what every filter allows. */
int report(uint32_t kind, int err, int detail, const char *text, int fd)
{
	struct report packet = { .kind = kind,
				 .index = child.index,
				 .err = err,
				 .detail = detail };
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec data = { &packet, sizeof(packet) };
	struct msghdr msg = { .msg_iov = &data, .msg_iovlen = 1 };
	ssize_t n;

	for (size_t i = 0; text && text[i] && i < sizeof(packet.text) - 1; i++)
		packet.text[i] = text[i];
	if (fd < 0) {
		do
			n = write(child.channel, &packet, sizeof(packet));
		while (n < 0 && errno == EINTR);
		return n == (ssize_t)sizeof(packet) ? 0 : -1;
	}
	msg.msg_control = &control;
	msg.msg_controllen = sizeof(control.room);
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.head), &fd, sizeof(int));
	do
		n = sendmsg(child.channel, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(packet) ? 0 : -1;
}

void say_progress(const char word[5])
{
	if (child.word)
		memcpy(child.word, word, 5);
}

_Noreturn void fail_detail(int err, int detail, const char *text)
{
	report(REPORT_ERROR, err, detail, text, -1);
	_exit(125);
}

_Noreturn void fail(int err, const char *text)
{
	fail_detail(err, 0, text);
}

void check(long result, const char *text)
{
	if (result < 0)
		fail(errno, text);
}

int slot_at(int64_t slot)
{
	return slot < 0 ? AT_FDCWD : slot_fd(slot);
}

int slot_fd(int64_t slot)
{
	if (slot < 0 || slot >= PLAN_SLOTS || child.slot[slot] < 0)
		fail(EBADF, "empty slot");
	return child.slot[slot];
}

void slot_set(int64_t slot, int fd)
{
	if (slot < 0 || slot >= PLAN_SLOTS)
		fail(EBADF, "no slot");
	if (child.slot[slot] >= 0)
		close(child.slot[slot]);
	child.slot[slot] = fd;
}

uint32_t narrow(int64_t n)
{
	if (n < INT32_MIN || n > (int64_t)UINT32_MAX)
		fail(EINVAL, "a number of more than 32 bits");
	return (uint32_t)n;
}

int open_at2(int at, const char *path, uint64_t flags, uint64_t mode,
	     uint64_t resolve)
{
	struct k_open_how how = { flags | O_CLOEXEC, mode, resolve };
	long fd;

	/* EAGAIN: a rename raced with RESOLVE_IN_ROOT, openat2(2). */
	for (int tries = 0; tries < 128; tries++) {
		fd = syscall(SYS_openat2, at, path, &how, sizeof(how));
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			break;
	}
	return (int)fd;
}

pid_t clone_child(uint64_t flags, int cgroup, int *pidfd)
{
	struct k_clone_args args = { .flags = flags };
	int fd = -1;
	long pid;

	if (!(flags & K_CLONE_PARENT))
		args.exit_signal = SIGCHLD;
	if (pidfd) {
		args.flags |= K_CLONE_PIDFD;
		args.pidfd = (uint64_t)(uintptr_t)&fd;
	}
	if (cgroup >= 0) {
		args.flags |= K_CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup;
	}
	pid = syscall(SYS_clone3, &args, sizeof(args));
	if (pidfd)
		*pidfd = fd;
	return (pid_t)pid;
}

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
	int pidfd;
	pid_t pid;

	pid = clone_child(K_CLONE_PARENT | (uint64_t)op->a[0].n, cgroup,
			  &pidfd);
	if (pid < 0)
		fail(errno, NULL);
	if (pid > 0) {
		warden_tell(&child, pidfd, pid);
		report(REPORT_FORKED, 0, pid, NULL, pidfd);
		_exit(0);
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

/* A kernel_sigaction of SIG_DFL for every signal, on every architecture; those
 * between 32 and 34 are a libc's own, and sigaction takes them from nobody.
 * Those of a handler are the caller's no more since execve. */
void default_signals(void)
{
	const uint64_t standard[4] = { 0 }, none = 0;

	for (int sig = 1; sig <= 64; sig++)
		syscall(SYS_rt_sigaction, sig, standard, NULL, sizeof(none));
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, sizeof(none));
}

_Noreturn static void child_main(int fd)
{
	struct op op;
	const void *bytes;
	size_t size;

	/* Whatever the caller left open goes no further than this process. */
	if (syscall(SYS_close_range, 3u, ~0u, K_CLOSE_RANGE_CLOEXEC) < 0)
		_exit(125);
	default_signals(); /* whatever the caller ignores or blocks */
	signal(SIGPIPE, SIG_IGN);
	umask(0); /* the plan says whole modes */
	prctl(PR_SET_NAME, "rustyrun-child");
	bytes = map_plan(fd, &size);
	if (!bytes || plan_open(&child.plan, bytes, size, child.slot) < 0 ||
	    child.slot[0] < 0)
		_exit(125);
	close(fd);
	child.channel = child.slot[0];
	while (plan_next(&child.plan, &op) == 0) {
		child.index = op.index;
		run_op(&op);
		close_last(&op);
	}
	/* A plan that ends without exec: a probe of the doctor. */
	_exit(0);
}

static int parse_fd(const char *s)
{
	int n = 0;

	if (!*s)
		return -1;
	for (; *s; s++) {
		if (*s < '0' || *s > '9' || n > 100000)
			return -1;
		n = n * 10 + (*s - '0');
	}
	return n;
}

int main(int argc, char **argv)
{
	static const char usage[] =
		"rustyrun-helper: started by rustyrun, not by hand\n";
	int fd = argc >= 3 ? parse_fd(argv[2]) : -1;

	if (fd >= 3 && argc == 3 && !strcmp(argv[1], "child")) {
		child.word = argv[1];
		child_main(fd);
	}
	if (fd >= 3 && argc == 3 && !strcmp(argv[1], "keeper"))
		keeper_main(fd);
	if (write(2, usage, sizeof(usage) - 1) < 0)
		return 126;
	return 125;
}
