/*
 * The fuzzer: takes real plans (SEEDS), makes others of them, and runs the
 * helper's decoder, child stage, warden and keeper on each, under ASan and
 * UBSan, above a made-up kernel.
 *
 *     fuzz SEEDS SECONDS SEED CRASH     as long as SECONDS, or until something
 *                                       is wrong: then CRASH is written
 *     fuzz --replay CRASH               that input again
 *     fuzz --check SEEDS                every seed must get past the decoder
 *
 * The same SEED gives the same inputs in the same order.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>

#include "fuzz.h"

#define CODES 128
#define SEEDS 512
/* No input takes a hundredth of it, sanitizers and a busy machine included. */
#define HANG_SECONDS 60

/* What a crash file begins with: all that an execution depends on. */
struct crash {
	uint64_t rng;
	uint32_t mode;
	uint32_t error_rate;
};

struct fuzz fuzz;

static struct {
	const unsigned char *p;
	uint32_t size;
} seeds[SEEDS];
static uint32_t seed_count;

static struct crash now;
static const char *crash_path;
static uint64_t begun[CODES], done[CODES];
static uint64_t runs, accepted, endings[4];

/* splitmix64 */
uint64_t fuzz_random(void)
{
	uint64_t z = fuzz.rng += 0x9e3779b97f4a7c15ull;

	z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ z >> 27) * 0x94d049bb133111ebull;
	return z ^ z >> 31;
}

uint32_t fuzz_below(uint32_t n)
{
	return n ? (uint32_t)(fuzz_random() >> 32) % n : 0;
}

int64_t fuzz_edge(void)
{
	uint64_t power = 1ull << fuzz_below(64);

	switch (fuzz_below(6)) {
	case 0:
		return (int64_t)power;
	case 1:
		return (int64_t)(power - 1);
	case 2:
		return (int64_t)(power + 1);
	case 3:
		return (int64_t)(0 - power);
	case 4:
		return -(int64_t)fuzz_below(4);
	default:
		return (int64_t)fuzz_random();
	}
}

_Noreturn void fuzz_stop(enum fuzz_end how)
{
	longjmp(fuzz.end, (int)how);
}

/* Runs before the process dies, whoever ends it: only plain calls. */
static void keep_input(void)
{
	int fd;

	if (!crash_path || !fuzz.plan)
		return;
	fd = open(crash_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || write(fd, &now, sizeof(now)) < 0 ||
	    write(fd, fuzz.plan, fuzz.plan_size) < 0)
		dprintf(2, "Cannot write %s\n", crash_path);
	else
		dprintf(2, "replay: fuzz --replay %s\n", crash_path);
	close(fd);
}

_Noreturn void fuzz_bad(const char *what)
{
	dprintf(2, "fuzz: %s (operation %u: code %u)\n", what, child.index,
		child.index < fuzz.count ? fuzz.ops[child.index].code : 0u);
	keep_input();
	_exit(1);
}

size_t fuzz_bounds(size_t n, size_t room)
{
	if (n > room)
		fuzz_bad("a copy goes beyond a structure's member");
	return n;
}

static void on_alarm(int sig)
{
	(void)sig;
	fuzz_bad("this input does not come to an end");
}

/* UBSan has a runtime of its own, which knows no death callback. */
static void on_abort(int sig)
{
	(void)sig;
	keep_input();
	_exit(1);
}

static void check_text(const struct arg *a)
{
	if (memchr(a->p, 0, a->len) || a->p[a->len])
		fuzz_bad("a string without its NUL, or with another");
}

static void check_list(const struct arg *a)
{
	uint32_t seen = 0;

	for (uint32_t i = 0; i < a->len; i++)
		seen += !a->p[i];
	if (seen != a->count || a->count > PLAN_LIST ||
	    (a->len && a->p[a->len - 1]))
		fuzz_bad("a list that does not hold what it counts");
}

/* Nothing that the decoder gives may lie outside the plan. */
static void check_op(const struct op *op)
{
	const char *args = fuzz_signature(op->code);
	const char *from = (const char *)fuzz.plan;
	const char *to = from + fuzz.plan_size;

	if (!args)
		fuzz_bad("an operation that does not exist");
	for (int i = 0; args[i]; i++) {
		const struct arg *a = &op->a[i];

		if (args[i] == 'n')
			continue;
		if (args[i] == 'f') {
			if (a->n < -1 || a->n >= PLAN_SLOTS)
				fuzz_bad("a slot out of range");
			continue;
		}
		if (a->p < from || a->p > to ||
		    a->len > (size_t)(to - a->p))
			fuzz_bad("an argument outside the plan");
		if (args[i] == 's')
			check_text(a);
		if (args[i] == 'l')
			check_list(a);
	}
}

static bool same_op(const struct op *a, const struct op *b)
{
	const char *args = fuzz_signature(a->code);

	if (a->code != b->code || a->index != b->index)
		return false;
	for (int i = 0; args[i]; i++)
		if (a->a[i].n != b->a[i].n || a->a[i].p != b->a[i].p ||
		    a->a[i].len != b->a[i].len ||
		    a->a[i].count != b->a[i].count)
			return false;
	return true;
}

/* What an argument takes in the plan, its padding included. */
static size_t arg_bytes(const struct arg *a, char kind)
{
	if (kind == 'n' || kind == 'f')
		return 8;
	return 8 + ((a->len + (size_t)(kind == 's') + 7) & ~(size_t)7);
}

/* The records are the plan: nothing between them, nothing within them that no
 * argument accounts for. */
static void check_sizes(void)
{
	struct plan_head head;
	struct plan_record record;
	const char *args;
	size_t at = sizeof(head), size;

	memcpy(&head, fuzz.plan, sizeof(head));
	at += (head.fds * (size_t)4 + 7) & ~(size_t)7;
	for (uint32_t i = 0; i < fuzz.count; i++) {
		memcpy(&record, fuzz.plan + at, sizeof(record));
		args = fuzz_signature(fuzz.ops[i].code);
		size = sizeof(record);
		for (int j = 0; args[j]; j++)
			size += arg_bytes(&fuzz.ops[i].a[j], args[j]);
		for (size_t j = 0; fuzz.ops[i].last >> j; j++)
			if (fuzz.ops[i].last >> j & 1 &&
			    (j >= strlen(args) || args[j] != 'f'))
				fuzz_bad("what is no slot is to be closed");
		if (record.size != size || record.code != fuzz.ops[i].code ||
		    record.last != fuzz.ops[i].last)
			fuzz_bad("a record is not what was read of it");
		at += size;
	}
	if (head.magic != PLAN_MAGIC || head.version != PLAN_VERSION ||
	    head.ops != fuzz.count || at != head.size ||
	    at != fuzz.plan_size)
		fuzz_bad("the head is not what was read");
}

/* Opens and walks the plan twice; returns whether the decoder takes it. */
static bool decode(void)
{
	static int slot[2][PLAN_SLOTS];
	struct plan plan[2];
	struct op op;
	int first, second, err;

	fuzz.count = 0;
	errno = 0;
	first = plan_open(&plan[0], fuzz.plan, fuzz.plan_size, slot[0]);
	err = errno;
	errno = 0;
	second = plan_open(&plan[1], fuzz.plan, fuzz.plan_size, slot[1]);
	if (first != second || (first < 0 && err != errno))
		fuzz_bad("the decoder says something else the second time");
	if (first < 0) {
		if (err != EINVAL && err != ENOSYS)
			fuzz_bad("the decoder refuses without a reason");
		return false;
	}
	if (memcmp(slot[0], slot[1], sizeof(slot[0])))
		fuzz_bad("the slots differ the second time");
	while (plan_next(&plan[0], &op) == 0) {
		check_op(&op);
		if (fuzz.count == FUZZ_OPS)
			return false;
		fuzz.ops[fuzz.count++] = op;
	}
	if (plan[0].next != plan[0].ops || plan[0].at != plan[0].size)
		fuzz_bad("the walk ends before the plan does");
	check_sizes();
	for (uint32_t i = 0; plan_next(&plan[1], &op) == 0; i++)
		if (!same_op(&op, &fuzz.ops[i]))
			fuzz_bad("an operation differs the second time");
	return true;
}

/* Calls the helper's main, as exec would; comes back when it ends. */
static void run_helper(void)
{
	char name[] = "rustyrun-helper", fd[] = "9";
	char verb[8] = "child";
	char *argv[] = { name, verb, fd, NULL };
	static const uint32_t rates[] = { 0, 4, 40, 400 };
	int how;

	fuzz_reset_keeper();
	fuzz_reset_remove();
	fuzz_reset_stage();
	fuzz_reset_warden();
	child.channel = -1;
	child.warden = -1;
	fuzz.calls = 0;
	fuzz.maps = 0;
	fuzz.opened = 0;
	fuzz.missing_rate = rates[fuzz_below(4)];
	if (fuzz.mode == FUZZ_KEEPER)
		memcpy(verb, "keeper", 7);
	else if (!fuzz_below(8))
		memcpy(verb, "await", 6);
	how = setjmp(fuzz.end);
	if (!how) {
		helper_main(3, argv);
		fuzz_bad("the helper returned");
	}
	endings[how]++;
}

static void count_ops(void)
{
	for (uint32_t i = 0; i < fuzz.count; i++) {
		uint16_t code = fuzz.ops[i].code;

		if (fuzz.mode == FUZZ_CHILD && i > child.index)
			break;
		if ((fuzz.mode == FUZZ_KEEPER) != (code >= OP_K_RUN))
			continue;
		begun[code]++;
		/* exec does not come back; the keeper reads its plan whole. */
		done[code] += fuzz.mode == FUZZ_KEEPER ||
			      i < child.index || code == OP_EXEC;
	}
	/* What comes behind it is another plan: here the same once more. */
	done[OP_REST] += fuzz.maps > 1;
}

static void execute(const unsigned char *p, size_t size)
{
	now.rng = fuzz.rng;
	now.mode = fuzz.mode;
	now.error_rate = fuzz.error_rate;
	fuzz.plan = malloc(size ? size : 1);
	fuzz.plan_size = size;
	if (!fuzz.plan)
		exit(2);
	memcpy(fuzz.plan, p, size);
	runs++;
	if (decode()) {
		accepted++;
		if (fuzz.mode != FUZZ_DECODE) {
			run_helper();
			count_ops();
		}
	} else if (fuzz.mode == FUZZ_CHILD && !fuzz_below(8)) {
		run_helper(); /* must end by itself */
	}
	free(fuzz.plan);
	fuzz.plan = NULL;
	free(fuzz.rest);
	fuzz.rest = NULL;
}

static unsigned char *read_all(const char *path, size_t *size)
{
	FILE *file = fopen(path, "rbe");
	struct stat st;
	unsigned char *p;

	if (!file || fstat(fileno(file), &st) < 0) {
		perror(path);
		exit(2);
	}
	*size = (size_t)st.st_size;
	p = malloc(*size + 1);
	if (!p || fread(p, 1, *size, file) != *size)
		exit(2);
	fclose(file);
	return p;
}

/* u32 size and a plan, one after the other. */
static void read_seeds(const char *path)
{
	size_t size, at = 0;
	unsigned char *p = read_all(path, &size);
	uint32_t len;

	while (at + 4 <= size && seed_count < SEEDS) {
		memcpy(&len, p + at, 4);
		if (len > FUZZ_PLAN_MAX)
			exit(2);
		seeds[seed_count].p = p + at + 4;
		seeds[seed_count++].size = len;
		at += 4 + len;
	}
	if (!seed_count || at != size)
		exit(2);
}

static int check_seeds(void)
{
	fuzz.mode = FUZZ_DECODE;
	for (uint32_t i = 0; i < seed_count; i++)
		execute(seeds[i].p, seeds[i].size);
	printf("%u seeds, %llu accepted\n", seed_count,
	       (unsigned long long)accepted);
	return accepted == seed_count ? 0 : 1;
}

static bool is_keepers(const unsigned char *p, size_t size)
{
	uint32_t fds, at;
	uint16_t code;

	if (size < sizeof(struct plan_head))
		return false;
	memcpy(&fds, p + 20, 4);
	at = 24 + (fds * 4 + 7) / 8 * 8;
	if (fds > PLAN_SLOTS || at + 8 > size)
		return false;
	memcpy(&code, p + at, 2);
	return code >= OP_K_RUN;
}

static void choose(const unsigned char *p, size_t size)
{
	static const uint32_t rates[] = { 0, 0, 200, 40, 10, 3 };

	fuzz.mode = is_keepers(p, size) ? FUZZ_KEEPER : FUZZ_CHILD;
	if (!fuzz_below(16))
		fuzz.mode = (enum fuzz_mode)fuzz_below(3);
	fuzz.error_rate = rates[fuzz_below(6)];
}

static void loop(uint64_t seed, int seconds)
{
	static unsigned char out[FUZZ_PLAN_MAX + 64];
	const time_t until = time(NULL) + seconds;
	uint32_t a, b;
	size_t size;

	for (uint64_t i = 0;; i++) {
		if (i % 64 == 0) {
			if (time(NULL) >= until)
				return;
			alarm(HANG_SECONDS);
		}
		/* Each execution has a state of its own, from its number. */
		fuzz.rng = seed * 0x2545f4914f6cdd1dull + i * 0x9e3779b9ull;
		fuzz_random();
		a = fuzz_below(seed_count);
		b = fuzz_below(seed_count);
		size = seeds[a].size;
		if (fuzz_below(3) == 0)
			size = fuzz_make(out);
		else if (fuzz_below(20))
			size = fuzz_mutate(seeds[a].p, size, seeds[b].p,
					   seeds[b].size, out);
		else
			memcpy(out, seeds[a].p, size);
		choose(out, size);
		execute(out, size);
	}
}

static void report_ops(void)
{
#define X(name, code, args) \
	printf("op " #name " %llu %llu\n", \
	       (unsigned long long)begun[code], \
	       (unsigned long long)done[code]);
	PLAN_OPS(X)
#undef X
}

int main(int argc, char **argv)
{
	struct timespec from, to;
	double took;

	__sanitizer_set_death_callback(keep_input);
	signal(SIGALRM, on_alarm);
	signal(SIGABRT, on_abort);
	if (argc == 3 && !strcmp(argv[1], "--replay")) {
		size_t size;
		unsigned char *p = read_all(argv[2], &size);

		if (size < sizeof(now))
			return 2;
		memcpy(&now, p, sizeof(now));
		fuzz.rng = now.rng;
		fuzz.mode = (enum fuzz_mode)now.mode;
		fuzz.error_rate = now.error_rate;
		alarm(HANG_SECONDS);
		execute(p + sizeof(now), size - sizeof(now));
		puts("nothing wrong");
		return 0;
	}
	if (argc == 3 && !strcmp(argv[1], "--check")) {
		read_seeds(argv[2]);
		return check_seeds();
	}
	if (argc != 5)
		return 2;
	read_seeds(argv[1]);
	crash_path = argv[4];
	clock_gettime(CLOCK_MONOTONIC, &from);
	loop(strtoull(argv[3], NULL, 10), atoi(argv[2]));
	alarm(0);
	clock_gettime(CLOCK_MONOTONIC, &to);
	took = (double)(to.tv_sec - from.tv_sec) +
	       (double)(to.tv_nsec - from.tv_nsec) / 1e9;
	printf("executions %llu\n", (unsigned long long)runs);
	printf("accepted %llu\n", (unsigned long long)accepted);
	printf("rate %.0f\n", (double)runs / took);
	printf("exit %llu exec %llu budget %llu\n",
	       (unsigned long long)endings[FUZZ_EXIT],
	       (unsigned long long)endings[FUZZ_EXEC],
	       (unsigned long long)endings[FUZZ_BUDGET]);
	report_ops();
	return 0;
}
