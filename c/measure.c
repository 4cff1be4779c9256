/*
 * What the kernel has counted of the container: numbers of its cgroup, read
 * before the cgroup goes.
 */
#include <string.h>

#include "decode.h"
#include "measure.h"
#include "proc.h"

int64_t read_counter(const struct arg *file, const struct arg *key)
{
	char text[4096];
	const char *p = text;

	if (!file->len || read_whole(file->p, text, sizeof(text)) < 0)
		return -1;
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

void measure_before(struct keeper *k)
{
	struct op op;

	for (int what = COUNT_OOM; what < COUNT_PEAK; what++)
		k->before[what] = find_count(k, (enum count)what, &op) ?
					  read_counter(&op.a[1], &op.a[2]) :
					  -1;
}

int64_t measure(const struct keeper *k, enum count what)
{
	struct op op;
	int64_t now;

	if (!find_count(k, what, &op) || op.a[3].n <= 0)
		return -1;
	now = read_counter(&op.a[1], &op.a[2]);
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
