/*
 * Removal for the host stage: what a container has left behind, for `delete`,
 * for a start that fails, and for what others have left. The k operations of a
 * plan name it, as they do for the keeper and the warden.
 */
#include <errno.h>

#include "decode.h"
#include "remove.h"
#include "stage.h"
#include "teardown.h"

static struct {
	struct teardown td;
	bool begun;
} removal;

static void tell(uint32_t index, int err, const char *what)
{
	child.index = index;
	report(REPORT_STAYS, err, 0, what, -1);
}

/* The operation is the last one with its slot; from here on the descriptor is
 * the removal's, who has it until the end. */
static void keep_slot(int64_t slot)
{
	child.slot[slot] = -1;
}

/* Where the directory above is gone, so is what was in it. */
static void add(const struct op *op)
{
	if (teardown_add(&removal.td, op, child.slot) < 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			tell(op->index, errno, op->a[0].p);
		return;
	}
	/* Before the plan enters a user namespace, where ids are others. */
	teardown_look(&removal.td);
	if (op->code == OP_K_STATE)
		keep_slot(op->a[2].n);
	if (op->code == OP_K_MOUNT)
		keep_slot(op->a[0].n);
}

int run_remove_op(const struct op *op)
{
	if (!removal.begun) {
		teardown_init(&removal.td);
		removal.td.tell = tell;
		removal.begun = true;
	}
	switch (op->code) {
	case OP_K_CGROUP:
	case OP_K_STATE:
	case OP_K_TREE:
	case OP_K_MOUNT:
	case OP_K_FLAGS:
		add(op);
		return 1;
	case OP_REMOVE:
		teardown_run(&removal.td, (int)narrow(op->a[0].n));
		return 1;
	}
	return 0;
}
