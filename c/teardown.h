/*
 * What a container leaves behind and how it is removed: shared by the keeper,
 * which does it when the container ended, the warden, which does it when the
 * keeper is gone, and `remove`, by which the host stage does it.
 */
#ifndef RUSTYRUN_TEARDOWN_H
#define RUSTYRUN_TEARDOWN_H

#include <stdbool.h>
#include <stdint.h>
#include <termios.h>

#include "helper.h"
#include "kernel.h"

#define TEARDOWN_CGROUPS 32
#define TEARDOWN_TREES 16

/* kCgroup's kind, as mod/plan.ts writes it. */
#define CGROUP_V1 0
#define CGROUP_FREEZER 1
#define CGROUP_V2 2

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

struct cgroup {
	uint32_t index;	  /* of the operation that names it */
	int root;	  /* O_PATH: the hierarchy, or a directory in it */
	int kind;	  /* CGROUP_* */
	unsigned int own; /* last components of `path` that are ours */
	const char *path; /* relative to root */
	const char *above; /* root's own path, for words */
};

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

/* cgroup.c: kills what is in the container's cgroups. */
void cgroup_kill(const struct teardown *t);
/* cgroup.c: lets a frozen container run: v1 tasks do not die while frozen. */
void cgroup_thaw(const struct teardown *t);
/* cgroup.c: moves a killed process of an exec out of a frozen cgroup (v1), which
 * is not ours to thaw: there it goes on, and so dies. */
void cgroup_free(const struct teardown *t, pid_t pid);
/* cgroup.c: one try at removing a cgroup with those inside it; 0 when it is
 * gone, else -1 with errno (EBUSY: somebody is still in it). */
int cgroup_remove(const struct cgroup *g, bool below);

/* teardown.c: opens the private directories around the trees, by the ids of the
 * user namespace that we are in now. */
void teardown_look(struct teardown *t);

/* tree.c: opens (O_PATH) a directory in which nobody but its owner can do
 * anything, who is `owner` or our own user; -1 with ESTALE when it is another. */
int open_private(int parent, const char *name, int64_t owner);
/* tree.c: removes a directory and all below it, following nothing. */
int tree_remove(int parent, const char *name);
/* tree.c: removes what is in a directory. */
int tree_empty(int dir);
/* tree.c: reads a directory from its start. dir_next gives the next name ("."
 * and ".." are left out) or NULL. */
struct dir {
	int fd;
	long size;
	long at;
	uint64_t ino; /* of the name that dir_next gave last */
	_Alignas(8) char room[2048];
};
void dir_start(struct dir *d, int fd);
const char *dir_next(struct dir *d, bool *is_dir);

/* tty.c: puts a terminal that the keeper has left raw back to what it was; one
 * that somebody else has changed since stays. */
void tty_put_back(int fd, const struct termios *saved);
/* teardown.c: small parts that both processes use. */
/* Blocks every signal, real-time ones too; returns the mask before. */
uint64_t block_signals(void);
void restore_signals(uint64_t mask);
void sleep_ms(int ms);
int64_t now_ms(void);
/* Closes every descriptor that is not in the list; sorts the list. */
void close_others(int *keep, unsigned int count);

#endif
