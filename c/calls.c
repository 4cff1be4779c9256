/*
 * The ground that every file stands on: system calls as all processes of the
 * helper make them. Nothing here knows of a plan, or ends a process.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "calls.h"
#include "kernel.h"

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

/* libc's masks leave out the signals it uses itself (32 to 34 in musl); here
 * they are the container's like all others. */
uint64_t block_signals(void)
{
	const uint64_t all = ~0ull;
	uint64_t old = 0;

	syscall(SYS_rt_sigprocmask, SIG_BLOCK, &all, &old, sizeof(all));
	return old;
}

void restore_signals(uint64_t mask)
{
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &mask, NULL, sizeof(mask));
}

void sleep_ms(int ms)
{
	poll(NULL, 0, ms);
}

int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void close_others(unsigned int from, int *keep, unsigned int count)
{
	for (unsigned int i = 1; i < count; i++)
		for (unsigned int j = i; j && keep[j] < keep[j - 1]; j--) {
			int fd = keep[j];

			keep[j] = keep[j - 1];
			keep[j - 1] = fd;
		}
	for (unsigned int i = 0; i < count; i++) {
		if (keep[i] < (int)from)
			continue;
		if ((unsigned int)keep[i] > from)
			syscall(SYS_close_range, from,
				(unsigned int)keep[i] - 1, 0u);
		from = (unsigned int)keep[i] + 1;
	}
	syscall(SYS_close_range, from, ~0u, 0u);
}

union rights {
	struct cmsghdr head;
	char room[CMSG_SPACE(PACKET_FDS * sizeof(int))];
};

ssize_t send_fds(int sock, const void *data, size_t size, const int *fd,
		 unsigned int count)
{
	const size_t bytes = count * sizeof(int);
	union rights control = { 0 };
	struct iovec piece = { (void *)(uintptr_t)data, size };
	struct msghdr msg = { .msg_iov = &piece,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = (socklen_t)CMSG_SPACE(bytes) };
	ssize_t n;

	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = (socklen_t)CMSG_LEN(bytes);
	memcpy(CMSG_DATA(&control.head), fd, bytes);
	do
		n = sendmsg(sock, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n;
}

ssize_t receive_fds(int sock, void *data, size_t size, int fd[PACKET_FDS])
{
	union rights control = { 0 };
	struct iovec piece = { data, size };
	struct msghdr msg = { .msg_iov = &piece,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control.room) };
	const struct cmsghdr *head;
	ssize_t n;

	for (unsigned int i = 0; i < PACKET_FDS; i++)
		fd[i] = -1;
	n = recvmsg(sock, &msg, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	head = n > 0 ? CMSG_FIRSTHDR(&msg) : NULL;
	if (head && head->cmsg_level == SOL_SOCKET &&
	    head->cmsg_type == SCM_RIGHTS)
		memcpy(fd, CMSG_DATA(head), head->cmsg_len - CMSG_LEN(0));
	return n;
}
