/*
 * Teardown: the table of what a container leaves behind, and its removal. All
 * of it goes through descriptors that were opened while the container was
 * made, so a name that somebody uses again later is not touched.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"
#include "cgroup.h"
#include "decode.h"
#include "kernel.h"
#include "teardown.h"
#include "tree.h"

/* How often a cgroup may be found busy: tasks leave it some time after they
 * died, for 2 s; killed ones have 10 s for it, they may have much memory to give
 * back. Not by the clock: where the whole machine stood still, they had no time
 * either. */
#define BUSY_TRIES 64
#define KILLED_TRIES 320
/* A wait for them is as much as so many removals: a millisecond is one. */
#define WAIT_STEPS 32
/* How many mounts may lie on each other on the container's root. */
#define MOUNTS_MAX 4096

void teardown_init(struct teardown *t)
{
	memset(t, 0, sizeof(*t));
	t->mount = -1;
	t->state_dir = -1;
	t->userns = -1;
}

static int open_root(const char *path)
{
	return open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static bool is_component(const char *name, size_t len)
{
	return len && len < 256 && !memchr(name, '/', len) &&
	       !(name[0] == '.' && (len == 1 || (len == 2 && name[1] == '.')));
}

/* Relative, no empty, "." or ".." component. */
static bool is_below(const char *path)
{
	size_t len;

	for (;;) {
		len = strcspn(path, "/");
		if (!is_component(path, len))
			return false;
		if (!path[len])
			return true;
		path += len + 1;
	}
}

static int invalid(void)
{
	errno = EINVAL;
	return -1;
}

static int add_cgroup(struct teardown *t, const struct op *op)
{
	struct cgroup *g = &t->cgroup[t->cgroups];
	const struct arg *a = op->a;

	if (t->cgroups == TEARDOWN_CGROUPS || !is_below(a[1].p) ||
	    a[1].len >= 4096 || a[2].n < 0 || a[2].n > 4096 ||
	    a[3].n < CGROUP_V1 || a[3].n > CGROUP_V2)
		return invalid();
	g->root = open_root(a[0].p);
	if (g->root < 0)
		return -1;
	g->index = op->index;
	g->path = a[1].p;
	g->above = a[0].p;
	g->own = (unsigned int)a[2].n;
	g->kind = (int)a[3].n;
	t->cgroups++;
	return 1;
}

static int add_tree(struct tree *tree, const struct op *op)
{
	const struct arg *a = op->a;

	if (!is_component(a[1].p, a[1].len))
		return invalid();
	tree->owner = -1;
	tree->looked = false;
	tree->own = -1;
	tree->parent = open_root(a[0].p);
	if (tree->parent < 0)
		return -1;
	tree->index = op->index;
	tree->name = a[1].p;
	tree->above = a[0].p;
	return 1;
}

/* The lock's descriptor says which directory is ours: one that came under the
 * same name later has another inode. */
static int add_state(struct teardown *t, const struct op *op,
		     const int slot[PLAN_SLOTS])
{
	const struct arg *a = op->a;

	if (t->state_dir >= 0 || a[2].n < 0 || a[2].n >= PLAN_SLOTS ||
	    slot[a[2].n] < 0)
		return invalid();
	if (add_tree(&t->state, op) < 0)
		return -1;
	t->state_dir = slot[a[2].n];
	return 1;
}

static int add_mount(struct teardown *t, const struct op *op,
		     const int slot[PLAN_SLOTS])
{
	const struct arg *a = op->a;

	if (t->mount >= 0 || a[0].n < 0 || a[0].n >= PLAN_SLOTS ||
	    slot[a[0].n] < 0)
		return invalid();
	t->mount = slot[a[0].n];
	t->mount_index = op->index;
	return 1;
}

void teardown_spare(struct teardown *t)
{
	t->cgroups = 0;
	t->state_dir = -1;
}

int teardown_add(struct teardown *t, const struct op *op,
		 const int slot[PLAN_SLOTS])
{
	int r;

	switch (op->code) {
	case OP_K_CGROUP:
		return add_cgroup(t, op);
	case OP_K_STATE:
		return add_state(t, op, slot);
	case OP_K_TREE:
		if (t->trees == TEARDOWN_TREES)
			return invalid();
		r = add_tree(&t->tree[t->trees], op);
		if (r > 0)
			t->tree[t->trees++].owner = op->a[2].n;
		return r;
	case OP_K_MOUNT:
		return add_mount(t, op, slot);
	case OP_K_FLAGS:
		t->flags = (int)op->a[0].n;
		return 1;
	case OP_K_EXEC:
		t->way_out = op->a[1].len ? op->a[1].p : NULL;
		return 1;
	}
	return 0;
}

unsigned int teardown_fds(const struct teardown *t, int fd[TEARDOWN_FDS])
{
	unsigned int n = 0;

	for (unsigned int i = 0; i < t->cgroups; i++)
		fd[n++] = t->cgroup[i].root;
	for (unsigned int i = 0; i < t->trees; i++)
		fd[n++] = t->tree[i].parent;
	if (t->state_dir >= 0) {
		fd[n++] = t->state.parent;
		fd[n++] = t->state_dir;
	}
	if (t->userns >= 0)
		fd[n++] = t->userns;
	if (t->mount >= 0)
		fd[n++] = t->mount;
	return n;
}

/* What somebody else has put where ours was is told, and is nothing to come
 * back for: errno is ESTALE. */
static void note(struct teardown *t, uint32_t index, const char *above,
		 const char *what)
{
	int err = errno;

	t->stays |= err != ESTALE;
	if (t->tell)
		t->tell(index, err, what);
	if (t->failed)
		return;
	t->failed = what;
	t->above = above;
	t->err = err;
}

static void remove_cgroups(struct teardown *t, int how)
{
	/* In its user namespace it comes to the rest. */
	const bool first = t->userns >= 0 && !t->inside;
	const bool frees = how & (REMOVE_KILL | REMOVE_FREE);
	const int most = frees && !first ? KILLED_TRIES : BUSY_TRIES;
	const bool below = how & REMOVE_BELOW;
	const int userns = t->inside ? -1 : t->userns;
	int wait = 1, tries = 0;
	bool let = false;

	/* Who lives may make cgroups faster than they are removed. */
	if (how & REMOVE_KILL)
		cgroup_kill(t->cgroup, t->cgroups, userns);
	for (unsigned int i = 0; i < t->cgroups; i++) {
		const struct cgroup *g = &t->cgroup[i];

		while (cgroup_remove(g, below) < 0) {
			int err = errno;

			if (err == EBUSY && how & REMOVE_KILL)
				cgroup_kill(t->cgroup, t->cgroups, userns);
			/* With some time most are dead by now. */
			if (err == EBUSY && frees &&
			    (below ? tries % 64 == 4 : !let)) {
				cgroup_let_die(t->cgroup, t->cgroups, -1);
				let = true;
			}
			if (err != EBUSY || tries == most || !below) {
				errno = err;
				note(t, g->index, g->above, g->path);
				break;
			}
			tries++;
			count_steps(WAIT_STEPS);
			sleep_ms(wait);
			wait = wait < 32 ? wait * 2 : 32;
		}
	}
}

void teardown_look(struct teardown *t)
{
	for (unsigned int i = 0; i < t->trees; i++) {
		struct tree *tree = &t->tree[i];

		if (tree->owner < 0 || tree->looked)
			continue;
		tree->looked = true;
		tree->own = open_private(tree->parent, tree->name, tree->owner);
		tree->err = errno;
	}
}

static int remove_in(int parent, const char *name, int how)
{
	return how & REMOVE_TREES ? tree_remove(parent, name) :
				    unlinkat(parent, name, AT_REMOVEDIR);
}

/* Whoever may rename the private directory may put another one of ours in its
 * place, but never the tree's name into that: so nothing in it is touched. The
 * directory itself goes only if it is empty, as whoever may rename it could
 * remove it, too. */
static int remove_owned(const struct tree *tree, int how)
{
	struct stat st;
	bool missing;

	if (tree->own < 0) {
		errno = tree->err;
		return -1;
	}
	missing = fstatat(tree->own, tree->name, &st, AT_SYMLINK_NOFOLLOW) < 0 &&
		  errno == ENOENT;
	if (!missing && remove_in(tree->own, tree->name, how) < 0)
		return -1;
	if (unlinkat(tree->parent, tree->name, AT_REMOVEDIR) == 0)
		return 0;
	if (errno == ENOTDIR || (missing && errno == ENOTEMPTY))
		errno = ESTALE;
	return -1;
}

static void remove_trees(struct teardown *t, int how)
{
	int r;

	for (unsigned int i = 0; i < t->trees; i++) {
		const struct tree *tree = &t->tree[i];

		r = tree->owner < 0 ?
			    remove_in(tree->parent, tree->name, how) :
			    remove_owned(tree, how);
		if (r < 0 && errno != ENOENT)
			note(t, tree->index, tree->above, tree->name);
	}
}

enum owner { OWNER_US, OWNER_NOBODY, OWNER_OTHER };

/* Whose the name of our state's directory is by now: who deletes a container by
 * force does not wait for a keeper that is stopped. */
static enum owner state_owner(const struct teardown *t)
{
	struct stat ours, there;

	if (t->state_dir < 0)
		return OWNER_US;
	if (fstat(t->state_dir, &ours) < 0 ||
	    fstatat(t->state.parent, t->state.name, &there,
		    AT_SYMLINK_NOFOLLOW) < 0)
		return OWNER_NOBODY;
	return ours.st_ino == there.st_ino && ours.st_dev == there.st_dev ?
		       OWNER_US :
		       OWNER_OTHER;
}

static void remove_state(struct teardown *t)
{
	int dir;

	if (t->state_dir < 0 || state_owner(t) != OWNER_US)
		return;
	/* A file description of its own: the lock's has a shared offset. */
	dir = openat(t->state_dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0 || tree_empty(dir) < 0 ||
	    (unlinkat(t->state.parent, t->state.name, AT_REMOVEDIR) < 0 &&
	     errno != ENOENT))
		note(t, t->state.index, t->state.above, t->state.name);
	if (dir >= 0)
		close(dir);
}

/* All that the container has mounted in our mount namespace hangs on one mount,
 * and the descriptor names it for as long as it is there: no path, which may
 * have been renamed, is walked. umount2(2) takes the topmost mount on a place:
 * what was mounted over the root goes before it. */
static void remove_mount(struct teardown *t)
{
	struct k_mount_attr private = { .propagation = MS_PRIVATE };

	if (t->mount < 0)
		return;
	for (int tries = 0; tries < MOUNTS_MAX; tries++) {
		/* An unmount propagates like a mount: without this, what lies
		 * below a volume would go from where the volume is from. */
		if (syscall(SYS_mount_setattr, t->mount, "",
			    K_AT_EMPTY_PATH | K_AT_RECURSIVE, &private,
			    sizeof(private)) < 0 ||
		    fchdir(t->mount) < 0 || umount2(".", MNT_DETACH) < 0)
			break;
		errno = EBUSY;
	}
	/* It is in no mount namespace: it never was, or is no more. */
	if (errno != EINVAL)
		note(t, t->mount_index, NULL,
		     "the mounts of the container");
	if (chdir("/") < 0)
		note(t, t->mount_index, NULL, "/");
}

/* What users of a user namespace made belongs to ids that only it may touch:
 * its owner has every capability in it after setns(2). */
static void remove_inside(struct teardown *t, int how)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return;
	if (pid == 0) {
		t->stays = false;
		if (setns(t->userns, CLONE_NEWUSER) < 0)
			_exit(1);
		t->inside = true;
		remove_cgroups(t, how);
		remove_trees(t, how);
		_exit(t->stays ? 1 : 0);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return;
	if (!WIFEXITED(status) || WEXITSTATUS(status))
		return;
	t->stays = false;
	if (t->err != ESTALE)
		t->failed = NULL;
}

/* The state goes last: while it is there, a later run finds what is left. */
int teardown_run(struct teardown *t, int how)
{
	t->failed = NULL;
	t->stays = false;
	if (how & REMOVE_SHOW) {
		cgroup_show(t->cgroup, t->cgroups);
		return 0;
	}
	/* Another container has the id, and may have the cgroup: whoever took
	 * the id from ours has removed what was in it. */
	if (state_owner(t) == OWNER_OTHER)
		how &= ~(REMOVE_BELOW | REMOVE_KILL);
	remove_cgroups(t, how);
	remove_mount(t);
	teardown_look(t);
	remove_trees(t, how);
	if (t->stays && t->userns >= 0)
		remove_inside(t, how);
	if (!t->stays && !(how & REMOVE_SPARE))
		remove_state(t);
	return t->failed ? -1 : 0;
}

