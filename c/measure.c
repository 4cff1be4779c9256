/*
 * What the kernel has counted of the container: numbers of its cgroup, read
 * before the cgroup goes.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "decode.h"
#include "measure.h"
#include "proc.h"

/* The kernel tells of changes every 10 milliseconds at most (cgroup_file_notify()):
 * of a limit that was met at once, and of a process that was killed for it so much
 * later, when its cgroup may have gone with it. So behind each word we look so many
 * times more, one a millisecond. */
#define AGAIN 12

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

void measure_now(struct keeper *k)
{
	const struct arg *file;
	struct op op;
	char text[4096];
	int64_t now;

	for (int what = COUNT_OOM; what < COUNTS; what++) {
		file = find_source(k, (enum count)what, &op);
		if (!file || !file->len ||
		    read_whole(file->p, text, sizeof(text)) < 0)
			continue;
		now = find_number(text, file + 1);
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
		if (k->bell[what] >= 0)
			read_again(k->bell[what], file + 1);
	}
}

void measure_polls(const struct keeper *k, struct pollfd p[BELLS])
{
	for (int what = COUNT_OOM; what < BELLS; what++)
		p[what] = (struct pollfd){ .fd = k->bell[what],
					   .events = POLLPRI };
}

static void look(struct keeper *k, int what)
{
	struct op op;
	const struct arg *file = find_source(k, (enum count)what, &op);
	const int64_t now = read_again(k->bell[what], file + 1);

	if (now >= 0) {
		k->count[what] = now;
		return;
	}
	/* The cgroup has gone. */
	close(k->bell[what]);
	k->bell[what] = -1;
}

void measure_heard(struct keeper *k, const struct pollfd p[BELLS])
{
	for (int what = COUNT_OOM; what < BELLS; what++) {
		if (!p[what].revents)
			continue;
		look(k, what);
		k->again = AGAIN;
	}
}

int measure_timeout(const struct keeper *k, int timeout)
{
	return k->again && (timeout < 0 || timeout > 1) ? 1 : timeout;
}

void measure_again(struct keeper *k)
{
	k->again--;
	for (int what = COUNT_OOM; what < BELLS; what++)
		if (k->bell[what] >= 0)
			look(k, what);
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
