/*
 * Counts and copies what the command writes. A reader of ours that is slow makes
 * the command wait, and one that has gone takes its pipe with it, as if there were
 * nobody in between.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "output.h"
#include "relay.h"

static void close_stream(struct stream *s)
{
	if (s->pipe >= 0)
		close(s->pipe);
	if (s->sink.fd >= 0)
		close(s->sink.fd);
	s->pipe = s->sink.fd = -1;
	s->relay->at = s->relay->end;
}

void output_none(struct output *o)
{
	for (int i = 0; i < 2; i++) {
		o->stream[i].pipe = o->stream[i].sink.fd = -1;
		o->stream[i].relay = &o->relay[i];
	}
}

void output_open(struct output *o, int out, int err, int64_t bytes)
{
	output_none(o);
	o->stream[0].pipe = out;
	o->stream[1].pipe = err;
	o->left = bytes < 0 ? 0 : bytes;
	/* One of its own, so that its reader sees the end of the command's. */
	for (int i = 0; i < 2; i++) {
		struct sink *s = &o->stream[i].sink;

		sink_open(s, i + 1);
		if (s->fd == i + 1)
			s->fd = fcntl(i + 1, F_DUPFD_CLOEXEC, 3);
		if (s->fd < 0)
			close_stream(&o->stream[i]);
	}
}

static bool is_waiting(const struct stream *s)
{
	return s->relay->at < s->relay->end;
}

static bool may_read(const struct output *o, const struct stream *s)
{
	return s->pipe >= 0 && !is_waiting(s) &&
	       (o->counted ? s->rest > 0 : !o->over);
}

void output_polls(const struct output *o, struct pollfd p[OUTPUT_POLLS])
{
	for (int i = 0; i < 2; i++) {
		const struct stream *s = &o->stream[i];

		p[2 * i] = (struct pollfd){
			.fd = may_read(o, s) ? s->pipe : -1,
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

static void read_stream(struct output *o, struct stream *s)
{
	struct relay *r = s->relay;
	size_t size = sizeof(r->room);
	ssize_t n;

	if (o->counted && (int64_t)size > s->rest)
		size = (size_t)s->rest;
	n = read(s->pipe, r->room, size);
	if (n < 0 && (errno == EINTR || errno == EAGAIN))
		return;
	if (n <= 0) {
		close_stream(s);
		return;
	}
	if (o->counted)
		s->rest -= n;
	else if (n > o->left) {
		o->over = true;
		n = (ssize_t)o->left;
	}
	if (!o->counted)
		o->left -= n;
	r->at = 0;
	r->end = (size_t)n;
}

void output_move(struct output *o, const struct pollfd p[OUTPUT_POLLS])
{
	for (int i = 0; i < 2; i++) {
		struct stream *s = &o->stream[i];
		const short out = p[2 * i + 1].revents;

		if (is_waiting(s) ? out && !relay_write(s->relay, &s->sink) :
				    out & (POLLERR | POLLHUP | POLLNVAL))
			close_stream(s);
		if (p[2 * i].revents && may_read(o, s))
			read_stream(o, s);
	}
}

void output_count(struct output *o)
{
	for (int i = 0; i < 2; i++) {
		struct stream *s = &o->stream[i];
		int bytes = 0;

		if (s->pipe < 0 || o->over ||
		    ioctl(s->pipe, FIONREAD, &bytes) < 0)
			continue;
		if (bytes > o->left) {
			o->over = true;
			bytes = (int)o->left;
		}
		o->left -= bytes;
		s->rest = bytes;
	}
	o->counted = true;
}

bool output_waits(const struct output *o)
{
	for (int i = 0; i < 2; i++)
		if (is_waiting(&o->stream[i]) || may_read(o, &o->stream[i]))
			return true;
	return false;
}
