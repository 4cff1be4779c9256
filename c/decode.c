/*
 * Decoder of the plan. It trusts nothing: plan_open walks every record once
 * and checks lengths, counts, NULs, codes and slots against the bytes that
 * were really read; plan_next then walks what has been checked.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "decode.h"

static const char *signature(uint16_t code)
{
	switch (code) {
#define X(name, number, args) \
	case number: \
		return args;
		PLAN_OPS(X)
#undef X
	default:
		return NULL;
	}
}

/* The bytes are 8-aligned in practice; memcpy does not have to rely on it. */
static uint32_t get_u32(const unsigned char *p)
{
	uint32_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

static int64_t get_i64(const unsigned char *p)
{
	int64_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

/* A list holds exactly `count` strings, each with its NUL. */
static int check_list(const char *p, uint32_t len, uint32_t count)
{
	uint32_t seen = 0;

	if (count > PLAN_LIST || (len && p[len - 1]))
		return -1;
	for (uint32_t i = 0; i < len; i++)
		seen += !p[i];
	return seen == count ? 0 : -1;
}

static int decode_arg(char kind, const unsigned char *bytes, uint32_t end,
		      uint32_t *at, struct arg *arg)
{
	uint64_t room, need;

	if (end - *at < 8)
		return -1;
	*arg = (struct arg){ 0 };
	if (kind == 'n' || kind == 'f') {
		arg->n = get_i64(bytes + *at);
		*at += 8;
		return kind == 'f' && (arg->n < -1 || arg->n >= PLAN_SLOTS);
	}
	arg->len = get_u32(bytes + *at);
	arg->count = get_u32(bytes + *at + 4);
	arg->p = (const char *)bytes + *at + 8;
	room = end - *at - 8;
	need = (uint64_t)arg->len + (kind == 's');
	if (need > room)
		return -1;
	if (kind == 's' && (memchr(arg->p, 0, arg->len) || arg->p[arg->len]))
		return -1;
	if (kind == 'l' && check_list(arg->p, arg->len, arg->count))
		return -1;
	need = (need + 7) & ~7ull;
	if (need > room)
		return -1;
	*at += 8 + (uint32_t)need;
	return 0;
}

static int decode_record(const struct plan *plan, uint32_t at, struct op *op,
			 uint32_t *next)
{
	struct plan_record head;
	const char *args;
	uint32_t end;

	if (plan->size - at < sizeof(head))
		return EINVAL;
	memcpy(&head, plan->bytes + at, sizeof(head));
	if (head.size < sizeof(head) || head.size > plan->size - at)
		return EINVAL;
	args = signature(head.code);
	if (!args)
		return ENOSYS;
	op->code = head.code;
	op->last = head.last;
	op->index = plan->next;
	end = at + head.size;
	at += (uint32_t)sizeof(head);
	for (int i = 0; args[i]; i++)
		if (decode_arg(args[i], plan->bytes, end, &at, &op->a[i]))
			return EINVAL;
	for (int i = 0, more = 1; head.last >> i; i++) {
		more = more && args[i];
		if (head.last >> i & 1 && (!more || args[i] != 'f'))
			return EINVAL;
	}
	if (at != end)
		return EINVAL;
	*next = end;
	return 0;
}

int plan_next(struct plan *plan, struct op *op)
{
	uint32_t next;

	if (plan->next == plan->ops)
		return 1;
	errno = decode_record(plan, plan->at, op, &next);
	if (errno)
		return -1;
	plan->at = next;
	plan->next++;
	return 0;
}

int plan_open(struct plan *plan, const void *bytes, size_t size,
	      int slot[PLAN_SLOTS])
{
	struct plan_head head;
	struct plan walk;
	struct op op;
	uint32_t at;
	int r;

	errno = EINVAL;
	if (size < sizeof(head))
		return -1;
	memcpy(&head, bytes, sizeof(head));
	if (head.magic != PLAN_MAGIC || head.version != PLAN_VERSION ||
	    head.size != size || size > PLAN_MAX || head.fds > PLAN_SLOTS)
		return -1;
	at = (uint32_t)sizeof(head);
	if (size - at < ((size_t)head.fds * 4 + 7) / 8 * 8)
		return -1;
	for (uint32_t i = 0; i < PLAN_SLOTS; i++)
		slot[i] = -1;
	for (uint32_t i = 0; i < head.fds; i++) {
		slot[i] = (int)get_u32((const unsigned char *)bytes + at +
				       i * 4);
		if (slot[i] < 0)
			return -1;
	}
	at += (head.fds * 4 + 7) / 8 * 8;
	*plan = (struct plan){ bytes, (uint32_t)size, head.ops, 0, at };
	walk = *plan;
	while ((r = plan_next(&walk, &op)) == 0)
		;
	if (r < 0)
		return -1;
	errno = EINVAL;
	return walk.at == walk.size ? 0 : -1;
}

/* Walks a copy: the plan stays at its start. */
bool find_op(const struct plan *plan, uint16_t code, struct op *op)
{
	struct plan walk = *plan;

	while (plan_next(&walk, op) == 0)
		if (op->code == code)
			return true;
	return false;
}

/* The seals matter: a plan that could still change would be checked twice. */
const void *map_plan(int fd, size_t *size)
{
	const int seals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	struct stat st;
	void *p;
	int got;

	got = fcntl(fd, F_GET_SEALS);
	if (got < 0 || fstat(fd, &st) < 0)
		return NULL;
	if ((got & seals) != seals || st.st_size <= 0 ||
	    st.st_size > (off_t)PLAN_MAX) {
		errno = EINVAL;
		return NULL;
	}
	*size = (size_t)st.st_size;
	p = mmap(NULL, *size, PROT_READ, MAP_PRIVATE, fd, 0);
	return p == MAP_FAILED ? NULL : p;
}
