/*
 * Mutations that know the plan's format: records are taken apart, changed in
 * one place and put together again, so that most of them get past the decoder
 * and into an operation; some bytes are then changed blindly.
 */
#include <string.h>

#include "fuzz.h"

#define ROOM (4u * FUZZ_PLAN_MAX)
#define RECORDS 2048
#define DESCRIPTORS (PLAN_SLOTS + 2)

struct piece {
	const unsigned char *p;
	uint32_t len;
};

struct draft {
	struct plan_head head;
	int32_t fd[DESCRIPTORS];
	uint32_t fds;
	struct piece record[RECORDS];
	uint32_t records;
	unsigned char *room; /* records that were made here */
	uint32_t used;
};

/* Two: a warden's configuration is a plan within a plan. */
static struct draft drafts[2];
static unsigned char rooms[2][ROOM + 64];

static const uint16_t codes[] = {
#define X(name, code, args) (code),
	PLAN_OPS(X)
#undef X
};
#define CODES (sizeof(codes) / sizeof(codes[0]))

static const char *const words[] = {
	"", "/", ".", "..", "/proc", "proc", "dev", "a/b/c", "../../x",
	"/dev/../../etc/passwd", "tasks", "mode=755", "size=65536k", "ro",
	"nosuid", "=", "a=", "=b", "lo", "name-of-16-chars", "0 0 4294967295\n",
	"tmpfs", "sysfs", "/bin/sh", "sh", "PATH=/bin", "cgroup/rustyrun/box",
	"oom_kill", "box", "x//y", "a/./b", "/sys/fs/cgroup/memory",
};
#define WORDS (sizeof(words) / sizeof(words[0]))

const char *fuzz_signature(uint16_t code)
{
	switch (code) {
#define X(name, number, args) \
	case number: \
		return args;
		PLAN_OPS(X)
#undef X
	}
	return NULL;
}

static void put(struct draft *d, const void *p, uint32_t len)
{
	if (d->used + len > ROOM)
		return;
	memcpy(d->room + d->used, p, len);
	d->used += len;
}

static void put_u32(struct draft *d, uint32_t v)
{
	put(d, &v, sizeof(v));
}

static void put_i64(struct draft *d, int64_t v)
{
	put(d, &v, sizeof(v));
}

static void pad(struct draft *d, uint32_t len)
{
	static const char zero[8];

	put(d, zero, -len & 7);
}

/* Lengths at which the helper's buffers end. */
static uint32_t pick_length(void)
{
	static const uint32_t edges[] = { 0, 1, 7, 8, 15, 16, 63, 64, 255, 256,
					  257, 511, 4094, 4095, 4096, 4097 };

	return fuzz_below(3) ? edges[fuzz_below(16)] : fuzz_below(24);
}

static uint32_t make_text(char *to)
{
	uint32_t len, unit;
	const char *word = words[fuzz_below(WORDS)];

	if (fuzz_below(2)) {
		len = (uint32_t)strlen(word);
		memcpy(to, word, len);
		return len;
	}
	len = pick_length();
	unit = fuzz_below(6);
	for (uint32_t i = 0; i < len; i++)
		to[i] = unit == 0 ? "a/"[i & 1] :
			unit == 1 ? "../"[i % 3] :
			unit == 2 ? (char)(1 + fuzz_below(255)) :
				    'a';
	return len;
}

static void make_list(struct draft *d)
{
	char text[8192];
	uint32_t count = fuzz_below(5), at, len = 0;

	if (!fuzz_below(100))
		count = (fuzz_below(2) ? 65536 : 4096) - 1 + fuzz_below(3);
	put_u32(d, 0);
	put_u32(d, count);
	at = d->used;
	for (uint32_t i = 0; i < count; i++) {
		len = count > 100 ? 0 : make_text(text);
		text[len++] = 0;
		put(d, text, len);
	}
	len = d->used - at;
	memcpy(d->room + at - 8, &len, sizeof(len));
	pad(d, len);
}

/* As large as the warden's configuration may be, and larger. */
static void make_blob(struct draft *d, uint32_t len)
{
	static const unsigned char zero[(1u << 17) + 8];

	put_u32(d, len);
	put_u32(d, 0);
	put(d, zero, len);
}

static void make_arg(struct draft *d, char kind)
{
	char text[8192];
	uint32_t len;

	switch (kind) {
	case 'n':
		put_i64(d, fuzz_below(4) ? fuzz_below(8) : fuzz_edge());
		break;
	case 'f':
		put_i64(d, !fuzz_below(8)  ? -1 :
			   !fuzz_below(16) ? fuzz_edge() :
					     fuzz_below(40));
		break;
	case 'l':
		make_list(d);
		break;
	case 'b':
		if (!fuzz_below(40)) {
			make_blob(d, (1u << 17) + 8 * fuzz_below(2));
			break;
		}
		/* fall through */
	default:
		len = make_text(text);
		text[len] = 0;
		put_u32(d, len);
		put_u32(d, 0);
		len += kind == 's';
		put(d, text, len);
		pad(d, len);
	}
}

/* How long an argument is in a record; 0 when it does not fit. */
static uint32_t arg_size(const struct piece *r, uint32_t at, char kind)
{
	uint32_t len;
	uint64_t size;

	if (kind == 'n' || kind == 'f')
		return r->len - at < 8 ? 0 : 8;
	if (r->len - at < 8)
		return 0;
	memcpy(&len, r->p + at, sizeof(len));
	size = 8 + (((uint64_t)len + (kind == 's') + 7) & ~7ull);
	return size > r->len - at ? 0 : (uint32_t)size;
}

static uint32_t begin(struct draft *d, uint16_t code)
{
	struct plan_record head = { code, 0, 0 };
	uint32_t at = d->used;

	put(d, &head, sizeof(head));
	return at;
}

static struct piece end(struct draft *d, uint32_t at)
{
	uint32_t len = d->used - at;

	memcpy(d->room + at + 4, &len, sizeof(len));
	return (struct piece){ d->room + at, len };
}

static struct piece make_record(struct draft *d, uint16_t code)
{
	const char *args = fuzz_signature(code);
	uint32_t at = begin(d, code);

	for (; *args; args++)
		make_arg(d, *args);
	return end(d, at);
}

static size_t mutate_at(int depth, const unsigned char *seed, size_t size,
			const unsigned char *other, size_t other_size,
			unsigned char *out, size_t limit);

/* The plan inside an operation's blob. */
static void make_inner(struct draft *d, int depth, const struct piece *r,
		       uint32_t at)
{
	static unsigned char inner[FUZZ_PLAN_MAX];
	uint32_t len;

	memcpy(&len, r->p + at, sizeof(len));
	len = (uint32_t)mutate_at(depth + 1, r->p + at + 8, len, r->p + at + 8,
				  len, inner, sizeof(inner));
	put_u32(d, len);
	put_u32(d, 0);
	put(d, inner, len);
	pad(d, len);
}

/* The same operation with one argument changed. */
static struct piece change_arg(struct draft *d, const struct piece *r,
			       int depth)
{
	const char *args;
	uint32_t from = 8, start, size, which;
	uint16_t code;

	memcpy(&code, r->p, sizeof(code));
	args = fuzz_signature(code);
	if (!args || !*args)
		return *r;
	which = fuzz_below((uint32_t)strlen(args));
	start = begin(d, code);
	for (uint32_t i = 0; args[i]; i++) {
		size = arg_size(r, from, args[i]);
		if (!size)
			return *r;
		if (i != which)
			put(d, r->p + from, size);
		else if (code == OP_WARDEN && i == 1 && !depth &&
			 fuzz_below(8))
			make_inner(d, depth, r, from);
		else
			make_arg(d, args[i]);
		from += size;
	}
	return end(d, start);
}

/* A copy with some bytes of it changed blindly: lengths, counts, NULs. */
static struct piece change_bytes(struct draft *d, const struct piece *r)
{
	uint32_t at = d->used, times = 1 + fuzz_below(3), where;
	int64_t edge;
	struct piece copy;

	put(d, r->p, r->len);
	if (d->used == at)
		return *r;
	copy = (struct piece){ d->room + at, r->len };
	while (times--) {
		where = fuzz_below(r->len);
		switch (fuzz_below(4)) {
		case 0:
			d->room[at + where] ^= (uint8_t)(1u << fuzz_below(8));
			break;
		case 1:
			d->room[at + where] = (uint8_t)fuzz_random();
			break;
		case 2:
			where &= ~3u;
			edge = fuzz_below(2) ? fuzz_edge() : fuzz_below(64);
			memcpy(d->room + at + where, &edge, 4);
			break;
		default:
			where &= ~7u;
			edge = fuzz_edge();
			if (where + 8 <= r->len)
				memcpy(d->room + at + where, &edge, 8);
		}
	}
	return copy;
}

static struct piece change_code(struct draft *d, const struct piece *r)
{
	uint16_t code = codes[fuzz_below(CODES)], old;
	const char *is, *was;
	uint32_t at = d->used;

	memcpy(&old, r->p, sizeof(old));
	was = fuzz_signature(old);
	/* Half of them to an operation with the same arguments. */
	for (int i = 0; was && i < 64 && fuzz_below(2); i++) {
		is = fuzz_signature(code);
		if (code != old && !strcmp(is, was))
			break;
		code = codes[fuzz_below(CODES)];
	}
	if (!fuzz_below(8))
		code = (uint16_t)fuzz_random();
	put(d, r->p, r->len);
	if (d->used == at)
		return *r;
	memcpy(d->room + at, &code, sizeof(code));
	return (struct piece){ d->room + at, r->len };
}

/* Takes a plan apart; 0 when it is none. */
static bool take_apart(const unsigned char *p, size_t size, struct draft *d)
{
	size_t at = sizeof(d->head);
	uint32_t len;

	d->records = 0;
	if (size < at)
		return false;
	memcpy(&d->head, p, at);
	if (d->head.fds > PLAN_SLOTS || size - at < d->head.fds * 4ull)
		return false;
	d->fds = d->head.fds;
	memcpy(d->fd, p + at, d->fds * 4ul);
	at += (d->fds * 4ul + 7) & ~7ul;
	while (at + 8 <= size && d->records < RECORDS) {
		memcpy(&len, p + at + 4, sizeof(len));
		if (len < 8 || len > size - at)
			break;
		d->record[d->records++] = (struct piece){ p + at, len };
		at += len;
	}
	return true;
}

static void insert(struct draft *d, uint32_t at, struct piece r)
{
	if (d->records == RECORDS)
		return;
	memmove(&d->record[at + 1], &d->record[at],
		(d->records - at) * sizeof(r));
	d->record[at] = r;
	d->records++;
}

/* The helper's tables have room for 8 trees and 32 cgroups. */
static void repeat(struct draft *d, uint32_t at, struct piece r)
{
	for (uint32_t times = 1 + fuzz_below(40); times--;)
		insert(d, at, r);
}

static void change_descriptors(struct draft *d)
{
	switch (fuzz_below(4)) {
	case 0:
		if (d->fds)
			d->fd[fuzz_below(d->fds)] = (int32_t)fuzz_edge();
		break;
	case 1:
		if (d->fds)
			d->fds--;
		break;
	case 2:
		d->fds = fuzz_below(2) ? fuzz_below(64) :
					 PLAN_SLOTS - 1 + fuzz_below(3);
		/* fall through */
	default:
		for (uint32_t i = 0; i < d->fds; i++)
			d->fd[i] = (int32_t)(i + 3);
	}
}

static void change_draft(struct draft *d, int depth,
			 const struct draft *other)
{
	uint32_t n = d->records, at = fuzz_below(n);
	struct piece r;

	if (!n) {
		insert(d, 0, make_record(d, codes[fuzz_below(CODES)]));
		return;
	}
	r = d->record[at];
	switch (fuzz_below(16)) {
	case 0:
	case 1:
	case 2:
	case 3:
	case 13:
	case 14:
		d->record[at] = change_arg(d, &r, depth);
		return;
	case 4:
		d->record[at] = change_bytes(d, &r);
		return;
	case 5:
		d->record[at] = change_code(d, &r);
		return;
	case 6:
		if (!fuzz_below(4))
			repeat(d, at, r);
		insert(d, fuzz_below(n + 1), r);
		return;
	case 7:
		memmove(&d->record[at], &d->record[at + 1],
			(n - at - 1) * sizeof(r));
		d->records--;
		return;
	case 8:
		d->record[at] = d->record[fuzz_below(n)];
		d->record[fuzz_below(n)] = r;
		return;
	case 9:
		change_descriptors(d);
		return;
	case 10:
		if (other && other->records) {
			r = other->record[fuzz_below(other->records)];
			insert(d, at, r);
		}
		return;
	case 11:
		/* Drop what comes before: the end of a long plan is reached. */
		if (!fuzz_below(4)) {
			memmove(&d->record[0], &d->record[at],
				(n - at) * sizeof(r));
			d->records = n - at;
		}
		return;
	default:
		insert(d, fuzz_below(n + 1),
		       make_record(d, codes[fuzz_below(CODES)]));
	}
}

static size_t put_together(const struct draft *d, unsigned char *out,
			   size_t limit)
{
	struct plan_head head = d->head;
	size_t at = sizeof(head) + ((d->fds * 4ul + 7) & ~7ul);
	uint32_t i;

	memset(out, 0, at);
	memcpy(out + sizeof(head), d->fd, d->fds * 4ul);
	for (i = 0; i < d->records; i++) {
		if (d->record[i].len > limit - at)
			break;
		memcpy(out + at, d->record[i].p, d->record[i].len);
		at += d->record[i].len;
	}
	head.ops = i;
	head.fds = d->fds;
	head.size = (uint32_t)at;
	if (!fuzz_below(60))
		switch (fuzz_below(5)) {
		case 0:
			head.ops = (uint32_t)fuzz_edge();
			break;
		case 1:
			head.fds = (uint32_t)fuzz_edge();
			break;
		case 2:
			head.size = (uint32_t)fuzz_edge();
			break;
		case 3:
			head.version = (uint32_t)fuzz_edge();
			break;
		default:
			head.magic ^= 1ull << fuzz_below(64);
		}
	memcpy(out, &head, sizeof(head));
	return at;
}

static size_t mutate_at(int depth, const unsigned char *seed, size_t size,
			const unsigned char *other, size_t other_size,
			unsigned char *out, size_t limit)
{
	static struct draft second;
	struct draft *d = &drafts[depth];
	bool has_other = !depth && take_apart(other, other_size, &second);
	uint32_t times = 1u << fuzz_below(5), cut;

	d->room = rooms[depth];
	d->used = 0;
	if (!take_apart(seed, size, d)) {
		size = size < limit ? size : limit;
		memcpy(out, seed, size);
		return size;
	}
	while (times--)
		change_draft(d, depth, has_other ? &second : NULL);
	size = put_together(d, out, limit);
	if (!fuzz_below(12))
		for (times = 1 + fuzz_below(4); times--;)
			out[fuzz_below((uint32_t)size)] =
				(unsigned char)fuzz_random();
	if (!fuzz_below(40)) {
		size = fuzz_below((uint32_t)size);
		cut = (uint32_t)size;
		if (size > 16 && fuzz_below(2))
			memcpy(out + 12, &cut, sizeof(cut));
	}
	return size;
}

size_t fuzz_mutate(const unsigned char *seed, size_t size,
		   const unsigned char *other, size_t other_size,
		   unsigned char *out)
{
	return mutate_at(0, seed, size, other, other_size, out, FUZZ_PLAN_MAX);
}

/* What the keeper's other operations need. */
static struct piece make_run(struct draft *d)
{
	uint32_t at = begin(d, OP_K_RUN);

	put_i64(d, 4242);
	put_i64(d, fuzz_below(2) * 4241);
	for (int i = 0; i < 3; i++)
		put_i64(d, (int64_t)fuzz_below(3) - 1);
	return end(d, at);
}

size_t fuzz_make(unsigned char *out)
{
	struct draft *d = &drafts[0];
	uint16_t code = codes[fuzz_below(CODES)];

	d->room = rooms[0];
	d->used = 0;
	d->records = 0;
	d->head = (struct plan_head){ PLAN_MAGIC, PLAN_VERSION, 0, 0, 0 };
	d->fds = 40;
	for (uint32_t i = 0; i < d->fds; i++)
		d->fd[i] = (int32_t)(70000 + i);
	if (code > OP_K_RUN)
		insert(d, 0, make_run(d));
	do
		insert(d, d->records, make_record(d, code));
	while (fuzz_below(2));
	if (code == OP_FIND_EXEC)
		insert(d, d->records, make_record(d, OP_EXEC));
	return put_together(d, out, FUZZ_PLAN_MAX);
}
