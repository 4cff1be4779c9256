/*
 * What the kernel has counted of the container: numbers of its cgroup, read
 * before the cgroup goes.
 */
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "decode.h"
#include "measure.h"
#include "proc.h"

/* The number behind "key " at the start of a line, or in the first one; -1:
 * there is none. */
static int64_t find_number(const char *p, const struct arg *key)
{
	while (key->len && (strncmp(p, key->p, key->len) || p[key->len] != ' ')) {
		p = strchr(p, '\n');
		if (!p)
			return -1;
		p++;
	}
	p += key->len ? key->len + 1 : 0;
	return *p < '0' || *p > '9' ? -1 : (int64_t)read_number(&p, 10);
}

static bool find_count(const struct keeper *k, enum count what, struct op *op)
{
	struct plan walk = k->plan;

	while (plan_next(&walk, op) == 0)
		if (op->code == OP_K_COUNT && op->a[0].n == what)
			return true;
	return false;
}

/* Where a number is: its file, and its key behind it; NULL: nobody asks. */
static const struct arg *find_source(const struct keeper *k, enum count what,
				     struct op *op)
{
	if (what == COUNT_OOM && find_op(&k->plan, OP_K_OOM, op))
		return &op->a[0];
	return find_count(k, what, op) ? &op->a[1] : NULL;
}

/* Reads a number from an open file, from its beginning: poll(2) tells of what
 * has changed since (kernfs). */
static int64_t read_again(int fd, const struct arg *key)
{
	char text[4096];
	ssize_t n = pread(fd, text, sizeof(text) - 1, 0);

	if (n < 0)
		return -1;
	text[n] = 0;
	return find_number(text, key);
}

/* The memory.events above, which counts what is killed below it as well
 * (cgroup-v2.rst); -1: there is none. */
static int open_above(const struct arg *file)
{
	static const char above[] = "/../memory.events";
	char path[PATH_MAX];
	const char *name = strrchr(file->p, '/');
	const size_t dir = name ? (size_t)(name - file->p) : 0;

	if (!name || strcmp(name, above + strlen("/..")) ||
	    dir + sizeof(above) > sizeof(path))
		return -1;
	memcpy(path, file->p, dir);
	memcpy(path + dir, above, sizeof(above));
	return open(path, O_RDONLY | O_CLOEXEC);
}

static int64_t read_above(const struct keeper *k)
{
	struct op op;
	const struct arg *file = find_source(k, COUNT_OOM, &op);

	return file && k->above >= 0 ? read_again(k->above, file + 1) : -1;
}

void measure_now(struct keeper *k)
{
	const struct arg *file;
	struct op op;
	char text[4096];
	int64_t now, above;

	for (int what = COUNT_OOM; what < COUNTS; what++) {
		file = find_source(k, (enum count)what, &op);
		if (!file || !file->len)
			continue;
		/* First: what comes between the two is ours as well. */
		above = what == COUNT_OOM ? read_above(k) : -1;
		if (read_whole(file->p, text, sizeof(text)) >= 0) {
			now = find_number(text, file + 1);
			if (above >= 0)
				k->above_seen = above;
		} else if (above > k->above_seen) {
			/* The number went with its cgroup before we could look:
			 * that is whose kill was counted above since. */
			now = k->count[what] + 1;
			k->above_seen = above;
		} else {
			continue;
		}
		if (now >= 0)
			k->count[what] = now;
	}
}

/* systemd removes the cgroup as soon as nobody is in it. */
static bool may_vanish(const struct keeper *k)
{
	for (unsigned int i = 0; i < k->td.cgroups; i++)
		if (!k->td.cgroup[i].own)
			return true;
	return false;
}

void measure_open(struct keeper *k)
{
	const struct arg *file;
	struct op op;

	k->above = -1;
	for (int what = COUNT_OOM; what < COUNTS; what++)
		k->count[what] = -1;
	measure_now(k);
	/* The most that was used is no matter of before and after. */
	for (int what = COUNT_OOM; what < COUNT_PEAK; what++)
		k->before[what] = k->count[what];
	/* What has come to nothing yet is not what it has come to. */
	for (int what = BELLS; what < COUNTS; what++)
		k->count[what] = -1;
	for (int what = COUNT_OOM; what < BELLS; what++) {
		file = may_vanish(k) ? find_source(k, (enum count)what, &op) :
				       NULL;
		k->bell[what] = !file || !file->len ?
					-1 :
					open(file->p, O_RDONLY | O_CLOEXEC);
		if (k->bell[what] < 0)
			continue;
		if (what == COUNT_OOM) {
			k->above = open_above(file);
			k->above_seen = read_above(k);
		}
		read_again(k->bell[what], file + 1);
	}
}

void measure_polls(const struct keeper *k, struct pollfd p[MEASURE_POLLS])
{
	for (int what = COUNT_OOM; what < BELLS; what++)
		p[what] = (struct pollfd){ .fd = k->bell[what],
					   .events = POLLPRI };
	p[BELLS] = (struct pollfd){ .fd = k->bell[COUNT_OOM] < 0 ? -1 :
								     k->above,
				    .events = POLLPRI };
}

void measure_heard(struct keeper *k, const struct pollfd p[MEASURE_POLLS])
{
	const struct arg *file;
	struct op op;
	int64_t now, above;
	bool rung;

	for (int what = COUNT_OOM; what < BELLS; what++) {
		/* A kill above is to be told from ours while ours can be read. */
		rung = p[what].revents ||
		       (what == COUNT_OOM && p[BELLS].revents);
		file = rung ? find_source(k, (enum count)what, &op) : NULL;
		if (!file)
			continue;
		/* First: what comes between the two is ours as well. */
		above = read_above(k);
		now = read_again(k->bell[what], file + 1);
		if (now >= 0) {
			k->count[what] = now;
			if (what == COUNT_OOM)
				k->above_seen = above;
			continue;
		}
		/* The cgroup has gone. */
		close(k->bell[what]);
		k->bell[what] = -1;
	}
}

int64_t measure(const struct keeper *k, enum count what)
{
	struct op op;
	int64_t now = k->count[what];

	if (!find_count(k, what, &op) || op.a[3].n <= 0)
		return -1;
	if (now >= 0 && k->before[what] > 0)
		now -= k->before[what];
	return now < 0 ? -1 : now / op.a[3].n;
}

int64_t measure_process(const struct keeper *k)
{
	const struct timeval *user = &k->usage.ru_utime;
	const struct timeval *system = &k->usage.ru_stime;

	return (int64_t)(user->tv_sec + system->tv_sec) * 1000 +
	       (user->tv_usec + system->tv_usec) / 1000;
}
