/*
 * Counts and copies what the command writes. A reader of ours that is slow makes
 * the command wait, and one that has gone takes its pipe with it, as if there were
 * nobody in between.
 *
 * The process that does it and the keeper speak by a socket, a byte each time:
 *
 *   keeper  COUNT: the container has ended. The end: so must the other
 *   copier  OVER: the command has written more than it may; COUNTED: that is all
 *           that will be said of it; MOVED: there is still something to write,
 *           some of it was; WHOLE: it ends, for nothing is left to do
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"
#include "output.h"
#include "relay.h"
#include "wake.h"

enum word { COUNT = 'C', OVER = 'O', COUNTED = 'N', MOVED = 'M', WHOLE = 'W' };

struct stream {
	int pipe; /* -1: at its end, or nobody reads what comes from it */
	struct sink sink;
	struct relay relay;
	int64_t rest; /* once all writers are gone: what is still to be read */
};

struct copier {
	struct stream stream[2];
	int keeper;
	int64_t left;  /* how many bytes of both may still come */
	bool over;     /* there were more */
	bool told;     /* the keeper knows */
	bool counted;  /* `rest` is known */
};

#define STREAM_POLLS 4

/* Not touched in the keeper. */
static struct copier copier;

static void close_stream(struct stream *s)
{
	if (s->pipe >= 0)
		close(s->pipe);
	if (s->sink.fd >= 0)
		close(s->sink.fd);
	s->pipe = s->sink.fd = -1;
	s->relay.at = s->relay.end;
}

static void open_sinks(struct copier *c)
{
	for (int i = 0; i < 2; i++) {
		struct sink *s = &c->stream[i].sink;

		sink_open(s, i + 1);
		if (s->fd == i + 1)
			s->fd = fcntl(i + 1, F_DUPFD_CLOEXEC, 3);
		if (s->fd < 0)
			close_stream(&c->stream[i]);
	}
}

static bool is_waiting(const struct stream *s)
{
	return s->relay.at < s->relay.end;
}

static bool may_read(const struct copier *c, const struct stream *s)
{
	return s->pipe >= 0 && !is_waiting(s) &&
	       (c->counted ? s->rest > 0 : !c->over);
}

static void poll_streams(const struct copier *c, struct pollfd p[STREAM_POLLS])
{
	for (int i = 0; i < 2; i++) {
		const struct stream *s = &c->stream[i];

		p[2 * i] = (struct pollfd){
			.fd = may_read(c, s) ? s->pipe : -1,
			.events = POLLIN,
		};
		/* Without an event: that nobody reads it any more is told all the
		 * same, and the command is to know. */
		p[2 * i + 1] = (struct pollfd){
			.fd = s->sink.fd,
			.events = is_waiting(s) ? POLLOUT : 0,
		};
	}
}

static void read_stream(struct copier *c, struct stream *s)
{
	struct relay *r = &s->relay;
	size_t size = sizeof(r->room);
	ssize_t n;

	if (c->counted && (int64_t)size > s->rest)
		size = (size_t)s->rest;
	n = read(s->pipe, r->room, size);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		close_stream(s);
		return;
	}
	if (c->counted)
		s->rest -= n;
	else if (n > c->left) {
		c->over = true;
		n = (ssize_t)c->left;
	}
	if (!c->counted)
		c->left -= n;
	r->at = 0;
	r->end = (size_t)n;
}

static void move_streams(struct copier *c, const struct pollfd p[STREAM_POLLS])
{
	for (int i = 0; i < 2; i++) {
		struct stream *s = &c->stream[i];
		const short out = p[2 * i + 1].revents;

		if (is_waiting(s) ? out && !relay_write(&s->relay, &s->sink) :
				    out & (POLLERR | POLLHUP | POLLNVAL))
			close_stream(s);
		if (p[2 * i].revents && may_read(c, s))
			read_stream(c, s);
	}
}

static void count_rest(struct copier *c)
{
	for (int i = 0; i < 2; i++) {
		struct stream *s = &c->stream[i];
		int bytes = 0;

		if (s->pipe < 0 || c->over ||
		    ioctl(s->pipe, FIONREAD, &bytes) < 0)
			continue;
		if (bytes > c->left) {
			c->over = true;
			bytes = (int)c->left;
		}
		c->left -= bytes;
		s->rest = bytes;
	}
	c->counted = true;
}

static bool has_rest(const struct copier *c)
{
	for (int i = 0; i < 2; i++)
		if (is_waiting(&c->stream[i]) || may_read(c, &c->stream[i]))
			return true;
	return false;
}

/* The keeper reads, or has gone: then the socket's end is read next. */
static void say(const struct copier *c, char word, int flags)
{
	(void)send(c->keeper, &word, 1, MSG_NOSIGNAL | flags);
}

static void say_over(struct copier *c)
{
	if (c->over && !c->told)
		say(c, OVER, 0);
	c->told = c->over;
}

static void take_word(struct copier *c)
{
	char word;
	ssize_t n = recv(c->keeper, &word, 1, MSG_DONTWAIT);

	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0)
		_exit(0);
	if (word != COUNT || c->counted)
		return;
	count_rest(c);
	say_over(c);
	say(c, COUNTED, 0);
}

static bool is_done(const struct copier *c)
{
	return c->counted ? !has_rest(c) :
			    c->stream[0].pipe < 0 && c->stream[1].pipe < 0;
}

_Noreturn static void copy(struct copier *c)
{
	struct pollfd p[STREAM_POLLS + 1];
	struct signalfd_siginfo unused;

	while (!is_done(c)) {
		poll_streams(c, p);
		p[STREAM_POLLS] = (struct pollfd){ .fd = c->keeper,
						   .events = POLLIN };
		if (poll(p, STREAM_POLLS + 1, -1) < 0)
			continue;
		/* Its end before anything else: nothing is written then. */
		if (p[STREAM_POLLS].revents)
			take_word(c);
		wake_on();
		move_streams(c, p);
		wake_off(&unused);
		say_over(c);
		if (c->counted)
			say(c, MOVED, MSG_DONTWAIT);
	}
	say(c, WHOLE, 0);
	_exit(0);
}

_Noreturn static void copier_main(struct copier *c)
{
	struct itimerval unused;
	int keep[5];
	unsigned int n = 0;

	prctl(PR_SET_NAME, "rustyrun-output");
	prctl(PR_SET_DUMPABLE, 0);
	open_sinks(c);
	for (int i = 0; i < 2; i++)
		if (c->stream[i].pipe >= 0) {
			keep[n++] = c->stream[i].pipe;
			keep[n++] = c->stream[i].sink.fd;
		}
	keep[n++] = c->keeper;
	close_others(0, keep, n);
	setsid();
	if (chdir("/") < 0 || !wake_open(&unused))
		_exit(125);
	copy(c);
}

void output_none(struct output *o)
{
	o->sock = o->end = -1;
	o->pid = 0;
	o->counted = o->whole = true;
}

bool output_open(struct output *o, int out, int err, int64_t bytes)
{
	struct copier *c = &copier;
	int pair[2];

	output_none(o);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return false;
	o->pid = clone_child(0, -1, &o->end);
	if (o->pid == 0) {
		c->stream[0].pipe = out;
		c->stream[1].pipe = err;
		c->keeper = pair[1];
		c->left = bytes < 0 ? 0 : bytes;
		copier_main(c);
	}
	close(pair[1]);
	close(out);
	close(err);
	o->sock = pair[0];
	o->counted = o->whole = false;
	return o->pid > 0;
}

void output_polls(const struct output *o, struct pollfd p[OUTPUT_POLLS])
{
	p[0] = (struct pollfd){ .fd = o->sock, .events = POLLIN };
	p[1] = (struct pollfd){ .fd = o->end, .events = POLLIN };
}

static void take_words(struct output *o)
{
	char word;
	ssize_t n;

	while (o->sock >= 0) {
		n = recv(o->sock, &word, 1, MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			close(o->sock);
			o->sock = -1;
			return;
		}
		o->over |= word == OVER;
		o->counted |= word == COUNTED || word == WHOLE;
		o->whole |= word == WHOLE;
	}
}

void output_hear(struct output *o, const struct pollfd p[OUTPUT_POLLS])
{
	if (p[0].revents || p[1].revents)
		take_words(o);
	if (!p[1].revents)
		return;
	/* It does not wait; whoever reaps all may have been first. */
	waitpid(o->pid, NULL, WNOHANG);
	close(o->end);
	o->end = -1;
}

bool output_is_lost(const struct output *o)
{
	return o->sock < 0 && !o->whole;
}

void output_count(struct output *o, int ms)
{
	const char word = COUNT;
	const int64_t until = now_ms() + ms;
	struct pollfd p[OUTPUT_POLLS];
	int64_t left;

	if (o->sock >= 0)
		(void)send(o->sock, &word, 1, MSG_NOSIGNAL);
	while (o->sock >= 0 && !o->counted && (left = until - now_ms()) > 0) {
		output_polls(o, p);
		if (poll(p, OUTPUT_POLLS, (int)left) > 0)
			output_hear(o, p);
	}
}

bool output_waits(const struct output *o)
{
	return o->sock >= 0 && !o->whole;
}

void output_close(struct output *o, int ms)
{
	struct pollfd p[OUTPUT_POLLS] = { { .fd = -1 },
					  { .fd = o->end, .events = POLLIN } };

	if (o->end < 0)
		return;
	if (!o->whole)
		kill(o->pid, SIGKILL);
	if (poll(p, OUTPUT_POLLS, ms) > 0)
		output_hear(o, p);
}
