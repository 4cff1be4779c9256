/*
 * What the files of the helper share: the decoded plan, the state of the
 * child stage, and how it reports.
 */
#ifndef RUSTYRUN_HELPER_H
#define RUSTYRUN_HELPER_H

#include <stdbool.h>
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

/* The child stage. Static: there is one, and there is no heap. */
struct child {
	struct plan plan;
	void *rest;	      /* the plan behind close-fds, in memory of its own */
	int slot[PLAN_SLOTS]; /* -1: empty */
	int channel;	      /* report channel (SOCK_SEQPACKET), or the fifo */
	int warden;	      /* socket to the warden, -1: there is none */
	bool holds_userns;    /* the warden gets the user namespace */
	uint32_t index;	      /* the operation that runs, for reports */
	const char *exec;     /* what find-exec chose */
	char *word;	      /* "child" of the command line: say_progress */
};

extern struct child child;

/* decode.c: both return 0, or -1 with errno EINVAL/ENOSYS. plan_open checks
 * every record of the plan once and fills slot[] with the inherited
 * descriptors; plan_next can then only say that it is at the end (1). */
int plan_open(struct plan *plan, const void *bytes, size_t size,
	      int slot[PLAN_SLOTS]);
int plan_next(struct plan *plan, struct op *op);

/* child.c: maps a sealed plan; NULL with errno when it is not sealed. */
const void *map_plan(int fd, size_t *size);
/* child.c: writes over the second word of /proc/PID/cmdline, for whoever asks
 * how far a first process has come (mod/container/status.ts): "child" up to
 * the fifo, "start" behind it, "watch" as pid 1 of --init. It takes no system
 * call, which a filter may refuse. */
void say_progress(const char word[5]);
/* child.c: sends one packet; the descriptor goes along unless it is -1. */
int report(uint32_t kind, int err, int detail, const char *text, int fd);
/* child.c: reports the running operation as failed and ends the process. */
_Noreturn void fail(int err, const char *text);
_Noreturn void fail_detail(int err, int detail, const char *text);
/* child.c: fails with errno when a call has said -1. */
void check(long result, const char *text);
/* child.c: a slot's descriptor; `at` takes -1 as the current directory, `fd`
 * ends the plan with EBADF when the slot is empty. */
int slot_at(int64_t slot);
int slot_fd(int64_t slot);
void slot_set(int64_t slot, int fd);
/* child.c: a number that the kernel takes as 32 bits; ends the plan with
 * EINVAL when it has more, since what is left of it may mean root. */
uint32_t narrow(int64_t n);
/* child.c: openat2; returns a descriptor (close-on-exec) or -1 with errno. */
int open_at2(int at, const char *path, uint64_t flags, uint64_t mode,
	     uint64_t resolve);
/* child.c: fork for a helper of this stage: an ordinary child of this process.
 * With a clone3 flag set of its own, and the pidfd when `pidfd` is given. */
pid_t clone_child(uint64_t flags, int cgroup, int *pidfd);

/* vector.c: execve with two lists as its vectors; without a path the first word
 * of argv is the program. Returns -1 with errno. */
int exec_lists(const char *path, const struct arg *argv, const struct arg *env);

/* files.c: a name that is a single component; ends the plan with EINVAL when
 * it is none. */
const char *plain_name(const struct arg *arg);
/* child.c: no signal is ignored or blocked. */
void default_signals(void);

/* A signal's si_code, of the keeper's making: for the command's whole group. */
#define SIGNAL_TO_GROUP (-1061)

/* forget.c: leaves nothing of the plan but what is still to be run. It maps
 * memory, which a filter may refuse later. */
void forget_done(void);
/* forget.c: leaves nothing of it at all. It takes no system call. */
void forget_rest(void);

/* init.c: runs OP_INIT. Returns in the process that becomes the command; this
 * one stays as pid 1. */
void run_init(void);
/* copy.c: copies what is in one directory into another, empty one. */
void copy_up(int source, int onto);

/* Each runs one operation of its group, or returns 0 when it has no such. */
int run_file_op(const struct op *op);    /* files.c */
int run_mount_op(const struct op *op);   /* mounts.c */
int run_namespace_op(const struct op *op); /* namespaces.c */
int run_process_op(const struct op *op);   /* process.c */
int run_remove_op(const struct op *op);	   /* remove.c */

/* warden.c: runs OP_WARDEN. Returns in a new process (same parent as the
 * caller, see CLONE_PARENT) with child.warden set; the calling process
 * becomes the warden and never returns. */
void warden_split(struct child *c, const struct op *op);
/* warden.c: tells the warden of the container's first process. */
void warden_tell(struct child *c, int pidfd, pid_t pid);

/* keeper.c: the foreground process after Deno has gone. */
_Noreturn void keeper_main(int plan_fd);

#endif
