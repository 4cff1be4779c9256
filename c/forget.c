/*
 * What a container's first process has of the host in its memory. Whoever may
 * trace it reads that (/proc/PID/mem), and it may wait for long: at the fifo, or
 * as pid 1 of --init.
 */
#include <string.h>
#include <sys/mman.h>

#include "forget.h"
#include "stage.h"

/* More than any operation's own frames have; the kernel gives a stack twice as
 * much where no limit is lower than that. */
#define STACK_USED (1 << 15)

__attribute__((noinline)) static void wipe_stack(void)
{
	volatile unsigned char room[STACK_USED];

	for (size_t i = 0; i < sizeof(room); i++)
		room[i] = 0;
}

void forget_done(void)
{
	struct plan *plan = &child.plan;
	uint32_t left = plan->size - plan->at;
	void *rest;

	if (child.rest)
		return;
	rest = mmap(NULL, left ? left : 1, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (rest == MAP_FAILED)
		check(-1, "mmap");
	memcpy(rest, plan->bytes + plan->at, left);
	check(munmap((void *)(uintptr_t)plan->bytes, plan->size), "munmap");
	plan->bytes = rest;
	plan->size = left;
	plan->at = 0;
	child.rest = rest;
	wipe_stack();
}

void forget_all(void)
{
	struct plan *plan = &child.plan;

	check(munmap(child.rest, plan->size ? plan->size : 1), "munmap");
	child.rest = NULL;
	*plan = (struct plan){ 0 };
}

void forget_rest(void)
{
	if (child.rest)
		memset(child.rest, 0, child.plan.size);
	wipe_stack();
}
