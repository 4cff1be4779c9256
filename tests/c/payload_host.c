/* What the differential test runs on the host: the other end of sockets that a
 * runtime connects to, a process whose namespaces are joined, clean signals. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#include "payload.h"

static int accept_on(const char *path)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;
	snprintf(a.sun_path, sizeof a.sun_path, "%s", path);
	if (bind(s, (struct sockaddr *)&a, sizeof a) != 0 || listen(s, 1) != 0)
		return -1;
	puts("listening");
	fflush(stdout);
	fd = accept4(s, NULL, NULL, SOCK_CLOEXEC);
	close(s);
	return fd;
}

/* One message: its bytes and the descriptors that came with it. */
static ssize_t receive(int s, char *buf, size_t size, int *fds, int *count)
{
	char control[CMSG_SPACE(sizeof(int) * 16)];
	struct iovec v = { buf, size };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = control,
			    .msg_controllen = sizeof control };
	ssize_t n = recvmsg(s, &m, MSG_CMSG_CLOEXEC);
	*count = 0;
	for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); n >= 0 && c; c = CMSG_NXTHDR(&m, c)) {
		*count = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
		memcpy(fds, CMSG_DATA(c), sizeof(int) * (size_t)*count);
	}
	return n;
}

int recvtty(const char *path)
{
	char buf[65536];
	int fds[16], count, s = accept_on(path);
	ssize_t n = receive(s, buf, sizeof buf, fds, &count);
	fprintf(stderr, "{\"bytes\":%d,\"fds\":%d}\n", n > 0, count);
	if (count < 1)
		return 1;
	close(s);
	/* The master says EIO when the last slave is closed; before the first is
	 * opened it says so too, but the runtime holds one by then. */
	while ((n = read(fds[0], buf, sizeof buf)) > 0)
		if (write(1, buf, (size_t)n) != n)
			return 1;
	return 0;
}

int listener(const char *path)
{
	char buf[65536];
	int fds[16], count, total = 0, s = accept_on(path);
	ssize_t n;
	while ((n = receive(s, buf, sizeof buf - 1, fds, &count)) > 0) {
		fwrite(buf, 1, (size_t)n, stdout);
		total += count;
	}
	fprintf(stderr, "{\"fds\":%d}\n", total);
	return 0;
}

int hold(const char *flags)
{
	char c;
	if (unshare((int)strtol(flags, NULL, 0)) != 0)
		return 1;
	/* What is mounted here is not to be seen anywhere else. */
	if (strtol(flags, NULL, 0) & CLONE_NEWNS &&
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		return 1;
	puts("holding");
	fflush(stdout);
	while (read(0, &c, 1) > 0)
		;
	return 0;
}

/* Whoever spawns through glibc's posix_spawn hands on signals 32 and 33
 * ignored (its own, when it has threads); no caller of a runtime does. */
int clean(char **argv)
{
	struct { void *handler; unsigned long flags; void *restorer; uint64_t m; } new;
	uint64_t none = 0;
	memset(&new, 0, sizeof new);
	for (int i = 1; i <= 64; i++)
		syscall(SYS_rt_sigaction, i, &new, NULL, 8);
	syscall(SYS_rt_sigprocmask, SIG_SETMASK, &none, NULL, 8);
	execvp(argv[0], argv);
	return 127;
}
