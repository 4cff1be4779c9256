/*
 * What the files of the helper share: the decoded plan, the state of the
 * child stage, and how it reports.
 */
#ifndef RUSTYRUN_HELPER_H
#define RUSTYRUN_HELPER_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

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

/* The child stage. Static: there is one, and there is no heap. */
struct child {
	struct plan plan;
	int slot[PLAN_SLOTS]; /* -1: empty */
	int channel;          /* report channel (SOCK_SEQPACKET), or the fifo */
	int warden;           /* socket to the warden, -1: there is none */
	const struct op *op;  /* the one that runs, for reports */
	const char *exec;     /* what find-exec chose */
};

/* decode.c: both return 0, or -1 with errno EINVAL/E2BIG/ENOSYS. plan_open
 * checks every record of the plan once and fills slot[] with the inherited
 * descriptors; plan_next can then only fail at the end (returns 1). */
int plan_open(struct plan *plan, const void *bytes, size_t size,
	      int slot[PLAN_SLOTS]);
int plan_next(struct plan *plan, struct op *op);

/* child.c */
_Noreturn void fail(int err, const char *text);
int report(uint32_t kind, int err, int detail, const char *text, int fd);
int slot_fd(int64_t slot);

/* child.c: reads a sealed plan from a descriptor into static memory. */
const void *read_plan(int fd, size_t *size);

/* warden.c: runs OP_WARDEN. Returns in a new process (same parent as the
 * caller, see CLONE_PARENT) with child->warden set; the calling process
 * becomes the warden and never returns. */
void warden_split(struct child *child, const struct op *op);
/* warden.c: tells the warden of the container's first process. */
void warden_tell(struct child *child, int pidfd, pid_t pid);

/* keeper.c: the foreground process after Deno has gone. */
_Noreturn void keeper_main(int plan_fd);

#endif
