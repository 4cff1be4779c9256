/*
 * The keeper's terminal relay: the caller's terminal in raw mode on one side,
 * the container's PTY master on the other.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "calls.h"
#include "relay.h"
#include "tty.h"
#include "wake.h"

void tty_open(struct tty *t, int master)
{
	struct termios now;
	int flags;

	t->master = master;
	if (master < 0)
		return;
	/* A file or a pipe gets the lines as the command has written them. A
	 * terminal gets the carriage returns from the one inside: a program
	 * that wants none sets that raw. */
	t->plain = tcgetattr(1, &now) < 0;
	if (t->plain && tcgetattr(master, &now) == 0) {
		now.c_oflag &= ~(tcflag_t)ONLCR;
		tcsetattr(master, TCSANOW, &now);
	}
	flags = fcntl(master, F_GETFL);
	fcntl(master, F_SETFL, flags | O_NONBLOCK);
	t->in = 0;
	t->in_is_tty = tcgetattr(0, &t->saved) == 0;
	sink_open(&t->out, 1);
	t->last = '\n';
}

static bool in_background(const struct tty *t)
{
	pid_t front = tcgetpgrp(t->in);

	return front > 0 && front != getpgrp();
}

/* In the background the ioctl must stop us (SIGTTOU), as it does every
 * program, or we would take the terminal of the shell in front. */
void tty_enter(struct tty *t)
{
	struct termios raw = t->saved;
	uint64_t mask;
	sigset_t stop;

	t->paused = false;
	if (t->master < 0 || !t->in_is_tty || t->in < 0)
		return;
	cfmakeraw(&raw);
	/* Nothing of the command's goes there. */
	if (t->plain)
		raw.c_oflag = t->saved.c_oflag;
	sigemptyset(&stop);
	sigaddset(&stop, SIGTTOU);
	mask = block_signals();
	sigprocmask(SIG_UNBLOCK, &stop, NULL);
	t->raw = tcsetattr(t->in, TCSANOW, &raw) == 0;
	restore_signals(mask);
	tty_resize(t);
}

void tty_resize(const struct tty *t)
{
	struct winsize size;

	if (t->master < 0)
		return;
	if (ioctl(0, TIOCGWINSZ, &size) == 0 ||
	    ioctl(1, TIOCGWINSZ, &size) == 0)
		ioctl(t->master, TIOCSWINSZ, &size);
}

void tty_restore(struct tty *t)
{
	if (!t->raw)
		return;
	tcsetattr(0, TCSANOW, &t->saved);
	t->raw = false;
}

void tty_put_back(int fd, const struct termios *saved)
{
	struct termios raw = *saved, now;

	cfmakeraw(&raw);
	if (tcgetattr(fd, &now) == 0 && now.c_iflag == raw.c_iflag &&
	    (now.c_oflag == raw.c_oflag || now.c_oflag == saved->c_oflag) &&
	    now.c_lflag == raw.c_lflag)
		tcsetattr(fd, TCSANOW, saved);
}

void tty_polls(const struct tty *t, struct pollfd p[TTY_POLLS])
{
	const bool up = t->up.at < t->up.end, down = t->down.at < t->down.end;

	p[0] = (struct pollfd){ .fd = -1, .events = POLLIN };
	p[1] = (struct pollfd){ .fd = -1 };
	p[2] = (struct pollfd){ .fd = -1, .events = POLLOUT };
	if (t->master < 0)
		return;
	if (t->in >= 0 && !up && !t->paused)
		p[0].fd = t->in;
	if (!down)
		p[1].events |= POLLIN;
	if (up)
		p[1].events |= POLLOUT;
	if (p[1].events && !t->hung)
		p[1].fd = t->master;
	if (down)
		p[2].fd = t->out.fd;
}

int tty_timeout(struct tty *t)
{
	if (!t->hung)
		return -1;
	t->hung = false;
	return 100;
}

static void close_master(struct tty *t)
{
	close(t->master);
	t->master = -1;
}

/* The end of a pipe becomes the end-of-file character, twice behind half a
 * line. The end of a terminal ends the container's terminal. */
static void end_input(struct tty *t)
{
	struct termios now;
	size_t n = t->last == '\n' ? 1 : 2;

	t->in = -1;
	if (t->in_is_tty) {
		close_master(t);
		return;
	}
	if (tcgetattr(t->master, &now) < 0 || !(now.c_lflag & ICANON))
		return;
	memset(t->up.room, now.c_cc[VEOF], n);
	t->up.at = 0;
	t->up.end = n;
}

/* Characters that the kernel will make a signal of, for the group in front. */
static void count_signals(struct tty *t, size_t n)
{
	struct termios now;

	if (tcgetattr(t->master, &now) < 0 || !(now.c_lflag & ISIG))
		return;
	t->front = tcgetpgrp(t->master);
	for (size_t i = 0; i < n; i++) {
		t->interrupts += t->up.room[i] == (char)now.c_cc[VINTR];
		t->quits += t->up.room[i] == (char)now.c_cc[VQUIT];
	}
}

static void read_input(struct tty *t)
{
	ssize_t n = read(t->in, t->up.room, sizeof(t->up.room));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n < 0 && errno == EIO && t->in_is_tty && in_background(t)) {
		t->paused = true;
		return;
	}
	if (n <= 0) {
		end_input(t);
		return;
	}
	t->up.at = 0;
	t->up.end = (size_t)n;
	t->last = t->up.room[n - 1];
	count_signals(t, (size_t)n);
}

static void write_master(struct tty *t)
{
	struct relay *r = &t->up;
	ssize_t n = write(t->master, r->room + r->at, r->end - r->at);

	if (n > 0)
		r->at += (size_t)n;
	else if (n < 0 && errno != EINTR && errno != EAGAIN)
		r->at = r->end;
}

/* Returns false at the end of the container's terminal: EIO, when nobody has
 * it open any more. */
static bool read_master(struct tty *t)
{
	ssize_t n = read(t->master, t->down.room, sizeof(t->down.room));

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return true;
	if (n <= 0)
		return false;
	t->down.at = 0;
	t->down.end = (size_t)n;
	return true;
}

/* A reader that went away takes the output with it, not the container. */
static void write_out(struct tty *t)
{
	if (!relay_write(&t->down, &t->out))
		t->down.at = t->down.end;
}

void tty_move(struct tty *t, const struct pollfd p[TTY_POLLS])
{
	t->interrupts = t->quits = 0;
	if (t->master < 0)
		return;
	if (p[2].revents)
		write_out(t);
	/* Nobody has the other end open: the first process may still open it
	 * (/dev/console), so this is no end while it lives. */
	if (p[1].revents & POLLIN && t->down.at == t->down.end)
		read_master(t);
	else if (p[1].revents & (POLLHUP | POLLERR))
		t->hung = true;
	if (p[1].revents & POLLOUT)
		write_master(t);
	if (p[0].revents)
		read_input(t);
}

/* More reads than it takes to empty a terminal of what was written before the
 * end: 640 KiB of flip buffers (drivers/tty/tty_buffer.c), some 4 KiB at a time.
 * Whoever goes on to write is not waited for. */
#define DRAIN_READS 512

bool tty_drain(struct tty *t, int quiet_ms, int slow_ms, int stop)
{
	struct pollfd p[TTY_POLLS + 1];
	struct signalfd_siginfo unused;
	bool more = true;
	int reads = 0, n;

	if (t->master < 0)
		return true;
	t->in = -1;
	t->hung = false;
	t->up.at = t->up.end;
	while (more || t->down.at < t->down.end) {
		tty_polls(t, p);
		if (!more)
			p[1].fd = -1;
		p[3] = (struct pollfd){ .fd = stop, .events = POLLIN };
		n = poll(p, TTY_POLLS + 1,
			 t->down.at < t->down.end ? slow_ms : quiet_ms);
		if (n == 0 || (n > 0 && p[3].revents))
			break;
		if (n < 0)
			continue;
		wake_on();
		if (p[2].revents)
			write_out(t);
		if (p[1].revents && t->down.at == t->down.end)
			more = read_master(t) && ++reads < DRAIN_READS;
		wake_off(&unused);
	}
	return t->down.at == t->down.end;
}
