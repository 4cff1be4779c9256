/*
 * Floor: parts. What a container leaves behind and how it is removed: shared by
 * the keeper, which does it when the container ended, the warden, which does it
 * when the keeper is gone, and `remove`, by which the host stage does it.
 */
#ifndef RUSTYRUN_TEARDOWN_H
#define RUSTYRUN_TEARDOWN_H

#include <stdbool.h>
#include <stdint.h>

#include "cgroup.h"
#include "decode.h"

#define TEARDOWN_CGROUPS 32
#define TEARDOWN_TREES 16

/* kFlags: the container has no pid namespace of its own, so that the end of
 * its first process does not end the others. */
#define TEARDOWN_SHARED_PID 1
/* The keeper puts the terminal on stdin into raw mode: the warden puts it back. */
#define TEARDOWN_TERMINAL 8
/* A signal that pid 1 would drop, and that ends other processes, ends the
 * container. */
#define KEEPER_ENDS 2
/* pid 1 is our own (`--init`), which passes every signal on. */
#define KEEPER_INIT 4

struct tree {
	uint32_t index;
	int parent;	  /* O_PATH */
	const char *name; /* one component */
	const char *above; /* parent's path, for words */
	/* -1: parent is a directory of ours alone. Else others may rename what
	 * is in it: the name is that of a directory which is private to this
	 * user, or to ours, and the tree is in there, by the same name. */
	int64_t owner;
	bool looked; /* whether that was opened; it is by us, once */
	int own;     /* O_PATH; -1 for `err` */
	int err;
};

struct teardown {
	struct cgroup cgroup[TEARDOWN_CGROUPS];
	struct tree tree[TEARDOWN_TREES];
	unsigned int cgroups;
	unsigned int trees;
	struct tree state;
	uint32_t mount_index;
	int mount;     /* the container's root, in a mount namespace that is
			* ours as well; -1: it has one of its own */
	int state_dir; /* holds the lock; -1: there is no state */
	int userns;    /* the container's, -1: the one we are in */
	const char *way_out; /* kExec's: cgroup.procs of a cgroup that is not
			      * frozen, NULL: there is none */
	int flags;
	bool inside; /* of that namespace */
	bool stays; /* something of ours is still there */
	const char *failed; /* what could not be removed, or is not ours */
	const char *above;  /* where that is, NULL: it says so itself */
	int err;	    /* and why */
	/* Is told of each thing that stays; may be NULL. */
	void (*tell)(uint32_t index, int err, const char *what);
};

void teardown_init(struct teardown *t);
/* Leaves the cgroups and the state: the container has ended and is kept. */
void teardown_spare(struct teardown *t);
/* Takes one operation and opens its parent directory. Returns 1, 0 when the
 * operation is not of this group, or -1 with errno. `slot` is the table that
 * the operation's plan was opened with. */
int teardown_add(struct teardown *t, const struct op *op,
		 const int slot[PLAN_SLOTS]);
/* Removes everything, as far as REMOVE_* say; what is gone already, or goes by
 * somebody else's hand meanwhile, is fine. Returns 0, or -1 with t->failed and
 * t->err. */
int teardown_run(struct teardown *t, int how);
/* Lists the descriptors that the table holds; returns how many (at most
 * TEARDOWN_FDS). */
#define TEARDOWN_FDS (TEARDOWN_CGROUPS + TEARDOWN_TREES + 4)
unsigned int teardown_fds(const struct teardown *t, int fd[TEARDOWN_FDS]);

/* Opens the private directories around the trees, by the ids of the user
 * namespace that we are in now. */
void teardown_look(struct teardown *t);

#endif
