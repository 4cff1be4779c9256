/*
 * Floor: parts. The child stage as each of its operations sees it: its state,
 * its slots, its reports. child.c runs the operations.
 */
#ifndef RUSTYRUN_STAGE_H
#define RUSTYRUN_STAGE_H

#include <stdbool.h>
#include <stdint.h>

#include "decode.h"

/* Static: there is one, and there is no heap. */
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

/* Writes over the second word of /proc/PID/cmdline, for whoever asks how far a
 * first process has come (mod/container/status.ts): "child" up to the fifo,
 * "start" behind it, "watch" as pid 1 of --init. It takes no system call, which
 * a filter may refuse. */
void say_progress(const char word[5]);
/* Sends one packet; the descriptor goes along unless it is -1. */
int report(uint32_t kind, int err, int detail, const char *text, int fd);
/* Reports the running operation as failed and ends the process. */
_Noreturn void fail(int err, const char *text);
_Noreturn void fail_detail(int err, int detail, const char *text);
/* Fails with errno when a call has said -1. */
void check(long result, const char *text);
/* A slot's descriptor; `at` takes -1 as the current directory, `fd` ends the
 * plan with EBADF when the slot is empty. */
int slot_at(int64_t slot);
int slot_fd(int64_t slot);
void slot_set(int64_t slot, int fd);
/* A number that the kernel takes as 32 bits; ends the plan with EINVAL when it
 * has more, since what is left of it may mean root. */
uint32_t narrow(int64_t n);
/* A name that is a single component; ends the plan with EINVAL when it is
 * none. */
const char *plain_name(const struct arg *arg);

#endif
