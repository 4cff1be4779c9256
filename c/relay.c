/*
 * Writing without waiting, to a descriptor that others share.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "proc.h"
#include "relay.h"

/* What any terminal has room for that poll(2) calls writable; a pipe has room
 * for PIPE_BUF then. */
#define SMALL 256

/* O_NONBLOCK belongs to the open file, which the caller shares: so it is opened
 * again. The end of a PTY master would become another terminal, and a file keeps
 * its offset to itself: those stay as they are. */
void sink_open(struct sink *s, int fd)
{
	char path[32];
	struct stat st;
	int n, own = -1;

	*s = (struct sink){ .fd = fd };
	if (fstat(fd, &st) < 0)
		return;
	s->socket = S_ISSOCK(st.st_mode);
	if (s->socket || S_ISREG(st.st_mode))
		return;
	/* Not ioctl(): the two libcs disagree about the request's type. */
	if (syscall(SYS_ioctl, fd, TIOCGPTN, &n) < 0)
		own = open(fd_path(path, "/proc/self/fd/", fd),
			   O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (own >= 0)
		s->fd = own;
	else
		s->most = S_ISFIFO(st.st_mode) ? PIPE_BUF : SMALL;
}

static bool may_write(int fd)
{
	struct pollfd p = { .fd = fd, .events = POLLOUT };

	return poll(&p, 1, 0) > 0;
}

ssize_t sink_write(const struct sink *s, const char *bytes, size_t size)
{
	if (s->socket)
		return send(s->fd, bytes, size, MSG_DONTWAIT | MSG_NOSIGNAL);
	if (s->most && !may_write(s->fd)) {
		errno = EAGAIN;
		return -1;
	}
	return write(s->fd, bytes, s->most && size > s->most ? s->most : size);
}

bool relay_write(struct relay *r, const struct sink *s)
{
	ssize_t n = sink_write(s, r->room + r->at, r->end - r->at);

	if (n > 0)
		r->at += (size_t)n;
	return n >= 0 || errno == EINTR || errno == EAGAIN;
}
