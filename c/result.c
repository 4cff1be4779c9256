/*
 * The result of a container as one JSON object: how it ended, which limit ended
 * it, and what it has used.
 */
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "decode.h"
#include "measure.h"
#include "relay.h"
#include "result.h"
#include "verdict.h"

struct object {
	char room[512];
	size_t size;
};

/* All of it is ours, and fits. */
static void add(struct object *o, const char *text)
{
	const size_t size = strlen(text);

	if (size > sizeof(o->room) - o->size)
		return;
	memcpy(o->room + o->size, text, size);
	o->size += size;
}

/* Below 0: the kernel does not say. */
static void add_number(struct object *o, int64_t v)
{
	char digits[24];
	size_t at = sizeof(digits) - 1;

	if (v < 0) {
		add(o, "null");
		return;
	}
	digits[at] = 0;
	do {
		digits[--at] = (char)('0' + v % 10);
		v /= 10;
	} while (v);
	add(o, digits + at);
}

/* SIGXCPU, or the SIGKILL of a hard limit. As pid 1 a process is never ended by
 * the first; with --init both are the command's, and a code. What the kernel
 * limits it counts by ticks, what it tells us by the clock: on a busy machine the
 * second was seen to be 13 % below the first, so half of the limit is enough for a
 * SIGKILL that nobody else had a reason for. */
static bool is_cpu_limit(const struct keeper *k, int64_t seconds)
{
	if (find_signal(k) == SIGXCPU)
		return true;
	if (seconds < 0)
		return false;
	return k->code == 128 + SIGXCPU ||
	       (k->code == 128 + SIGKILL && measure_process(k) / 500 >= seconds);
}

static const char *find_limit(const struct keeper *k, int64_t cpu)
{
	if (!k->code)
		return "null";
	if (k->cause == TOO_MUCH_OUTPUT)
		return "\"output\"";
	if (measure(k, COUNT_OOM) > 0)
		return "\"memory\"";
	if (measure(k, COUNT_PIDS) > 0)
		return "\"pids\"";
	if (k->cause)
		return "\"time\"";
	return is_cpu_limit(k, cpu) ? "\"cpu\"" : "null";
}

static void add_end(struct object *o, const struct keeper *k,
		    const struct op *op)
{
	const int sig = k->aborted ? k->aborted : find_signal(k);
	const char *name = list_at(&op->a[2], (uint32_t)sig);
	const int64_t cpu = measure(k, COUNT_CPU);

	add(o, "{\"code\":");
	add_number(o, k->code);
	add(o, ",\"signal\":");
	if (!sig || name)
		add(o, sig ? name : "null");
	else
		add_number(o, sig);
	add(o, ",\"limit\":");
	add(o, find_limit(k, op->a[1].n));
	add(o, ",\"timedOut\":");
	add(o, k->cause == TIME_IS_UP ? "true" : "false");
	add(o, ",\"truncated\":");
	add(o, k->out.over ? "true" : "false");
	add(o, ",\"cpuMs\":");
	add_number(o, cpu >= 0 ? cpu : measure_process(k));
	add(o, ",\"wallMs\":");
	add_number(o, k->over - k->began);
	add(o, ",\"peakBytes\":");
	add_number(o, measure(k, COUNT_PEAK));
	add(o, "}\n");
}

void write_result(const struct keeper *k)
{
	const char *bytes;
	struct object o = { .size = 0 };
	struct op op, late;
	struct sink sink;
	size_t size;
	int fd;

	if (!find_op(&k->plan, OP_K_RESULT, &op) || op.a[0].n < 0)
		return;
	fd = k->slot[op.a[0].n];
	if (has_started(k)) {
		add_end(&o, k, &op);
		bytes = o.room;
		size = o.size;
	} else {
		const bool worded = find_late(k, &late);

		bytes = worded ? late.a[4].p : op.a[3].p;
		size = worded ? late.a[4].len : op.a[3].len;
	}
	sink_open(&sink, fd);
	errno = EAGAIN;
	if (sink_write(&sink, bytes, size) != (ssize_t)size)
		tell_lost(k, fd, errno);
}
