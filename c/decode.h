/*
 * Floor: the ground. The plan as the helper reads it, plan.h as it is written.
 */
#ifndef RUSTYRUN_DECODE_H
#define RUSTYRUN_DECODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "plan.h"

/* One argument of an operation: `n` for numbers and slots; `p`, `len` for
 * strings (NUL-terminated), blobs and lists, `count` strings in a list. */
struct arg {
	int64_t n;
	const char *p;
	uint32_t len;
	uint32_t count;
};

struct op {
	uint16_t code;
	uint16_t last; /* bit i: nothing uses the slot of argument i any more */
	uint32_t index;
	struct arg a[PLAN_ARGS];
};

struct plan {
	const unsigned char *bytes;
	uint32_t size;
	uint32_t ops;  /* operations in all */
	uint32_t next; /* index of the next one */
	uint32_t at;   /* its offset */
};

/* Maps a sealed plan; NULL with errno when it is not sealed. */
const void *map_plan(int fd, size_t *size);
/* Both return 0, or -1 with errno EINVAL/ENOSYS. plan_open checks every record
 * of the plan once and fills slot[] with the inherited descriptors; plan_next
 * can then only say that it is at the end (1). */
int plan_open(struct plan *plan, const void *bytes, size_t size,
	      int slot[PLAN_SLOTS]);
int plan_next(struct plan *plan, struct op *op);
/* The first operation from here on with a code; false when there is none. The
 * plan stays where it is. */
bool find_op(const struct plan *plan, uint16_t code, struct op *op);

#endif
