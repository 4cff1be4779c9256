/*
 * The decoder on plans that are valid, and on ones that are wrong in a single
 * place. Small, so that it also runs for another architecture under qemu-user.
 *
 *     decode_test              the table: a line for each, "not ok" when wrong
 *     decode_test FILE         the plans of FILE (u32 size and bytes, one after
 *                              the other): a line with what was read in each
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../c/decode.h"

static int slot[PLAN_SLOTS];
/* A file's size takes up to 8 MiB: twice the largest plan. */
static unsigned char room[2 * PLAN_MAX];
static size_t used;
static int failures;

static void put(const void *p, size_t size)
{
	memcpy(room + used, p, size);
	used += size;
}

static void put_u32(uint32_t v)
{
	put(&v, sizeof(v));
}

static void put_i64(int64_t v)
{
	put(&v, sizeof(v));
}

static void pad(void)
{
	while (used % 8)
		room[used++] = 0;
}

static void set_u32(size_t at, uint32_t v)
{
	memcpy(room + at, &v, sizeof(v));
}

/* A head for `ops` operations and `fds` descriptors, 5 and up. */
static void start(uint32_t ops, uint32_t fds)
{
	struct plan_head head = { PLAN_MAGIC, PLAN_VERSION, 0, ops, fds };

	used = 0;
	put(&head, sizeof(head));
	for (uint32_t i = 0; i < fds; i++)
		put_u32(5 + i);
	pad();
}

static size_t record(uint16_t code)
{
	struct plan_record head = { code, 0, 0 };
	size_t at = used;

	put(&head, sizeof(head));
	return at;
}

static void close_record(size_t at)
{
	set_u32(at + 4, (uint32_t)(used - at));
	set_u32(12, (uint32_t)used);
}

static void text(uint32_t len, uint32_t count, const char *bytes, size_t size)
{
	put_u32(len);
	put_u32(count);
	put(bytes, size);
	pad();
}

/* sync(7), hostname("box"), find-exec(["/bin/sh", ""]), setgroups(8 bytes),
 * close(0), setsid(): every kind of argument. */
enum { SYNC = 32, HOSTNAME = 48, LIST = 72, BLOB = 104, CLOSE = 128 };

static void good(void)
{
	size_t at;

	start(6, 1);
	at = record(OP_SYNC);
	put_i64(7);
	close_record(at);
	at = record(OP_HOSTNAME);
	text(3, 0, "box", 4);
	close_record(at);
	at = record(OP_FIND_EXEC);
	text(9, 2, "/bin/sh\0", 9);
	close_record(at);
	at = record(OP_SETGROUPS);
	text(8, 0, "\1\0\0\0\2\0\0\0", 8);
	close_record(at);
	at = record(OP_CLOSE);
	put_i64(0);
	close_record(at);
	at = record(OP_SETSID);
	close_record(at);
}

/* Opens what is in `room`, copied so that it ends where its bytes end. */
static int open_copy(struct plan *plan, unsigned char **copy)
{
	*copy = malloc(used ? used : 1);
	if (!*copy)
		exit(2);
	memcpy(*copy, room, used);
	errno = 0;
	return plan_open(plan, *copy, used, slot) ? errno : 0;
}

static void expect(const char *name, int err)
{
	struct plan plan;
	unsigned char *copy;
	int got = open_copy(&plan, &copy);

	printf("%s %s: %d\n", got == err ? "ok" : "not ok", name, got);
	failures += got != err;
	free(copy);
}

static void say(const char *name, int right)
{
	printf("%s %s\n", right ? "ok" : "not ok", name);
	failures += !right;
}

static void test_values(void)
{
	struct plan plan;
	struct op op = { 0 };
	unsigned char *copy;

	good();
	say("a good plan", open_copy(&plan, &copy) == 0);
	say("its descriptor", slot[0] == 5 && slot[1] == -1 &&
				      slot[PLAN_SLOTS - 1] == -1);
	say("a number", !plan_next(&plan, &op) && op.code == OP_SYNC &&
				op.index == 0 && op.a[0].n == 7);
	say("a string", !plan_next(&plan, &op) && op.code == OP_HOSTNAME &&
				op.a[0].len == 3 && !strcmp(op.a[0].p, "box"));
	say("a list", !plan_next(&plan, &op) && op.code == OP_FIND_EXEC &&
			      op.a[0].count == 2 && op.a[0].len == 9 &&
			      !memcmp(op.a[0].p, "/bin/sh\0", 9));
	say("a blob", !plan_next(&plan, &op) && op.code == OP_SETGROUPS &&
			      op.a[0].len == 8 && op.a[0].p[4] == 2);
	say("a slot", !plan_next(&plan, &op) && op.code == OP_CLOSE &&
			      op.a[0].n == 0);
	say("no argument", !plan_next(&plan, &op) && op.code == OP_SETSID &&
				   op.index == 5);
	say("the end", plan_next(&plan, &op) == 1);
	say("the end again", plan_next(&plan, &op) == 1);
	free(copy);
}

#define WRONG(name, err, change) \
	do { \
		good(); \
		change; \
		expect(name, err); \
	} while (0)

static void test_head(void)
{
	good();
	for (size_t size = used; size--;) {
		used = size;
		if (size >= 16)
			set_u32(12, (uint32_t)size);
		if (size % 8 == 0 || size == 23 || size == 25)
			expect("cut short", EINVAL);
	}
	WRONG("the magic", EINVAL, room[0] ^= 1);
	WRONG("the version", EINVAL, set_u32(8, PLAN_VERSION + 1));
	WRONG("a size that is larger", EINVAL, set_u32(12, (uint32_t)used + 8));
	WRONG("a size that is smaller", EINVAL, set_u32(12, (uint32_t)used - 8));
	WRONG("an operation more", EINVAL, set_u32(16, 7));
	WRONG("operations without end", EINVAL, set_u32(16, UINT32_MAX));
	WRONG("an operation less", EINVAL, set_u32(16, 5));
	WRONG("descriptors without end", EINVAL, set_u32(20, UINT32_MAX));
	WRONG("more descriptors than slots", EINVAL, set_u32(20, PLAN_SLOTS + 1));
	WRONG("a descriptor below 0", EINVAL, set_u32(24, UINT32_MAX));
	start(0, PLAN_SLOTS);
	set_u32(12, (uint32_t)used);
	expect("as many descriptors as slots", 0);
	start(0, 0);
	set_u32(12, (uint32_t)used);
	expect("nothing at all", 0);
}

static void test_records(void)
{
	const uint32_t sizes[] = { 0, 7, 8, 15, 17, 24, 0x7fffffff, UINT32_MAX };

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++)
		WRONG("the size of a record", EINVAL,
		      set_u32(SYNC + 4, sizes[i]));
	WRONG("a code that is not", ENOSYS, set_u32(SYNC, 0));
	WRONG("a code above all", ENOSYS, set_u32(SYNC, 0xffff));
	WRONG("a slot to be closed", 0, set_u32(CLOSE, OP_CLOSE | 1u << 16));
	WRONG("a number to be closed", EINVAL,
	      set_u32(SYNC, OP_SYNC | 1u << 16));
	WRONG("an argument too many to be closed", EINVAL,
	      set_u32(CLOSE, OP_CLOSE | 2u << 16));
	WRONG("no argument to be closed", EINVAL,
	      set_u32(CLOSE, OP_CLOSE | 1u << 31));
	WRONG("another signature", EINVAL, set_u32(HOSTNAME, OP_SYMLINK));
	WRONG("the same signature", 0, set_u32(HOSTNAME, OP_DOMAINNAME));
}

static void test_arguments(void)
{
	const int64_t slots[] = { -2, PLAN_SLOTS, INT64_MAX, INT64_MIN,
				  1ll << 32 };
	const int64_t none = -1, last = PLAN_SLOTS - 1;

	for (size_t i = 0; i < sizeof(slots) / sizeof(slots[0]); i++)
		WRONG("a slot", EINVAL, memcpy(room + CLOSE + 8, &slots[i], 8));
	WRONG("no slot", 0, memcpy(room + CLOSE + 8, &none, 8));
	WRONG("the last slot", 0, memcpy(room + CLOSE + 8, &last, 8));
	WRONG("a string's length, too short", EINVAL, set_u32(HOSTNAME + 8, 2));
	WRONG("a string's length, too long", EINVAL, set_u32(HOSTNAME + 8, 8));
	WRONG("a string without end", EINVAL,
	      set_u32(HOSTNAME + 8, UINT32_MAX));
	WRONG("a string without NUL", EINVAL, room[HOSTNAME + 19] = 'x');
	WRONG("a string with a NUL", EINVAL, room[HOSTNAME + 17] = 0);
	WRONG("a list with one more", EINVAL, set_u32(LIST + 12, 3));
	WRONG("a list with one less", EINVAL, set_u32(LIST + 12, 1));
	WRONG("a list without end", EINVAL, set_u32(LIST + 12, UINT32_MAX));
	WRONG("a list without its last NUL", EINVAL, room[LIST + 24] = 'x');
	WRONG("a list of nothing, counted", EINVAL, set_u32(LIST + 8, 0));
	WRONG("a list's length", EINVAL, set_u32(LIST + 8, 0xfffffff8));
	WRONG("a blob's length", EINVAL, set_u32(BLOB + 8, 9));
	WRONG("a blob's length without end", EINVAL,
	      set_u32(BLOB + 8, UINT32_MAX));
	WRONG("a blob's length less the padding", 0, set_u32(BLOB + 8, 1));
}

static void test_limits(void)
{
	static const char zero[PLAN_LIST + 1];
	size_t at;

	for (uint32_t more = 0; more < 2; more++) {
		start(1, 0);
		at = record(OP_FIND_EXEC);
		text(PLAN_LIST + more, PLAN_LIST + more, zero,
		     PLAN_LIST + more);
		close_record(at);
		expect(more ? "a list that is too long" : "the longest list",
		       more ? EINVAL : 0);
	}
	for (uint32_t more = 0; more < 16; more += 8) {
		start(1, 0);
		at = record(OP_SETGROUPS);
		put_u32(PLAN_MAX - 40 + more);
		put_u32(0);
		memset(room + used, 0, PLAN_MAX - 40 + more);
		used += PLAN_MAX - 40 + more;
		close_record(at);
		expect(more ? "a plan that is too large" : "the largest plan",
		       more ? EINVAL : 0);
	}
}

/* FNV-1a of all that the decoder gives of a plan. */
static uint64_t hash;

static void add(const void *p, size_t size)
{
	const unsigned char *b = p;

	while (size--)
		hash = (hash ^ *b++) * 0x100000001b3ull;
}

static void read_plan(const unsigned char *p, uint32_t size)
{
	struct plan plan;
	struct op op = { 0 };

	hash = 0xcbf29ce484222325ull;
	if (plan_open(&plan, p, size, slot)) {
		printf("refused %d\n", errno);
		failures++;
		return;
	}
	while (memset(&op, 0, sizeof(op)), plan_next(&plan, &op) == 0) {
		add(&op.code, sizeof(op.code));
		for (int i = 0; i < PLAN_ARGS; i++) {
			add(&op.a[i].n, sizeof(op.a[i].n));
			add(&op.a[i].count, sizeof(op.a[i].count));
			add(op.a[i].p, op.a[i].len);
		}
	}
	add(slot, sizeof(slot));
	printf("%u operations %016llx\n", plan.next, (unsigned long long)hash);
}

static int read_file(const char *path)
{
	FILE *file = fopen(path, "rb");
	uint32_t size;

	if (!file)
		return 2;
	while (fread(&size, sizeof(size), 1, file) == 1) {
		if (size > PLAN_MAX || fread(room, 1, size, file) != size)
			return 2;
		read_plan(room, size);
	}
	fclose(file);
	return failures ? 1 : 0;
}

int main(int argc, char **argv)
{
	if (argc == 2)
		return read_file(argv[1]);
	test_values();
	test_head();
	test_records();
	test_arguments();
	test_limits();
	return failures ? 1 : 0;
}
