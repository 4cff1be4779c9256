/*
 * What the parts of the fuzzer share. It runs the helper's own code on plans
 * that nobody would write; the kernel below it is made up (fuzz_kernel.c), so
 * no system call of the helper leaves this process.
 */
#ifndef RUSTYRUN_FUZZ_H
#define RUSTYRUN_FUZZ_H

#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../c/stage.h"

/* Larger plans are not made: what matters happens at the edges of small ones.
 * decode_test.c has the longest list and the largest plan. */
#define FUZZ_PLAN_MAX (1u << 18)
#define FUZZ_OPS 4096
/* System calls of one execution: an endless retry ends here. */
#define FUZZ_CALLS 12000

enum fuzz_end {
	FUZZ_EXIT = 1, /* _exit */
	FUZZ_EXEC,     /* execve worked */
	FUZZ_BUDGET,   /* FUZZ_CALLS */
};

enum fuzz_mode { FUZZ_DECODE, FUZZ_CHILD, FUZZ_KEEPER };

struct fuzz {
	uint64_t rng;
	unsigned char *plan; /* exactly plan_size bytes of the heap */
	size_t plan_size;
	void *rest; /* what the helper has mapped of its own; NULL: nothing */
	size_t rest_size;
	uint32_t maps; /* how often it has mapped a plan */
	struct op ops[FUZZ_OPS]; /* the plan, when the decoder took it */
	uint32_t count;
	enum fuzz_mode mode;
	uint32_t error_rate; /* one call in so many fails; 0: none */
	uint32_t missing_rate; /* one path in so many is not there; 0: none */
	uint32_t opened; /* the operation that has opened a path, and one */
	uint32_t calls;
	int status; /* of _exit */
	jmp_buf end;
};

extern struct fuzz fuzz;

uint64_t fuzz_random(void);
/* 0 .. n - 1; 0 for n = 0 */
uint32_t fuzz_below(uint32_t n);
/* A number from the edges: 0, -1, powers of two and their neighbours. */
int64_t fuzz_edge(void);
/* Ends the execution, in the middle of the helper. */
_Noreturn void fuzz_stop(enum fuzz_end how);
/* Says what is wrong and ends the fuzzer; the input is kept. */
_Noreturn void fuzz_bad(const char *what);

/* fuzz_mutate.c: makes a plan of a seed and some of another; returns the size.
 * `out` has room for FUZZ_PLAN_MAX. */
size_t fuzz_mutate(const unsigned char *seed, size_t size,
		   const unsigned char *other, size_t other_size,
		   unsigned char *out);
/* Makes a plan of a few operations of one kind, with made-up arguments. */
size_t fuzz_make(unsigned char *out);
const char *fuzz_signature(uint16_t code);

/* fuzz.c, for fuzz_bounds.h: returns n, which must not be more than room. */
size_t fuzz_bounds(size_t n, size_t room);

/* fuzz_unit.c: the statics of the files as at the start of a process. */
void fuzz_reset_keeper(void);
void fuzz_reset_remove(void);
void fuzz_reset_stage(void);
void fuzz_reset_warden(void);
/* main.c's main. */
int helper_main(int argc, char **argv);

#endif
