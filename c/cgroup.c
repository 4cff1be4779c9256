/*
 * The end of a container's cgroups: kills who is inside and removes them with
 * the cgroups that the container made below. A container may have made them
 * deep: the walks go down and up by descriptor, without recursion.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "calls.h"
#include "cgroup.h"
#include "kernel.h"
#include "limits.h"
#include "proc.h"
#include "tree.h"
#include "userns.h"

/* Steps of a walk that stands before a kill: how many cgroups there are is the
 * container's choice. */
#define CALM_MOST 512

#define DIR_FLAGS ((uint64_t)(O_RDONLY | O_DIRECTORY | O_NOFOLLOW))
#define DIR_RESOLVE \
	((uint64_t)(K_RESOLVE_NO_XDEV | K_RESOLVE_NO_SYMLINKS | \
		    K_RESOLVE_BENEATH))

static int open_cgroup(int dir, const char *path)
{
	int fd = open_at2(dir, path, DIR_FLAGS, 0, DIR_RESOLVE);

	if (fd < 0 && errno == EACCES) {
		make_accessible(dir, path);
		fd = open_at2(dir, path, DIR_FLAGS, 0, DIR_RESOLVE);
	}
	return fd;
}

static const char *next_cgroup(struct dir *d)
{
	const char *name;
	bool is_dir;

	do
		name = dir_next(d, &is_dir);
	while (name && !is_dir);
	return name;
}

/* So many cgroups on the way down stay open, half read. Those further up are read
 * again from their start: a place in one is a hash of the name, and a container
 * can have all its names share one. */
#define LEVELS 8

static struct walk {
	unsigned int depth;
	struct level {
		int dir; /* -1: not open */
		unsigned int depth;
		struct dir d;
	} level[LEVELS];
} walk; /* one at a time; large */

static struct level *here(void)
{
	return &walk.level[walk.depth % LEVELS];
}

static void walk_close(void)
{
	for (unsigned int i = 0; i < LEVELS; i++)
		if (walk.level[i].dir >= 0)
			close(walk.level[i].dir);
}

static void walk_open(int dir)
{
	for (unsigned int i = 0; i < LEVELS; i++)
		walk.level[i].dir = -1;
	walk.depth = 0;
	here()->depth = 0;
	here()->dir = dir;
	dir_start(&here()->d, dir);
}

/* Into a cgroup that was read last; false when that cannot be. */
static bool walk_down(const char *name)
{
	int down = open_cgroup(here()->dir, name);

	if (down < 0)
		return false;
	count_steps(1);
	walk.depth++;
	if (here()->dir >= 0)
		close(here()->dir);
	here()->depth = walk.depth;
	here()->dir = down;
	dir_start(&here()->d, down);
	return true;
}

/* Back, and returns the name of where it was. One that went meanwhile is not
 * found: then the others there are left to the next walk. */
static const char *walk_up(void)
{
	struct level *from = here();
	const char *name;
	struct stat st;

	walk.depth--;
	if (here()->dir >= 0 && here()->depth == walk.depth) {
		close(from->dir);
		from->dir = -1;
		return here()->d.name;
	}
	if (here()->dir >= 0)
		close(here()->dir);
	/* Nobody moves a cgroup, so ".." is where we came from. */
	here()->dir = fstat(from->dir, &st) < 0 ?
			      -1 :
			      openat(from->dir, "..",
				     O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	here()->depth = walk.depth;
	close(from->dir);
	from->dir = -1;
	if (here()->dir < 0)
		return NULL;
	dir_start(&here()->d, here()->dir);
	do {
		count_steps(1);
		name = next_cgroup(&here()->d);
	} while (name && here()->d.ino != st.st_ino);
	return name;
}

/* Calls `visit` on a cgroup and on those below it, of any depth, in so many steps
 * at the most; takes over the descriptor. */
static void visit_most(int dir, void (*visit)(int dir), unsigned int most)
{
	const char *name;

	walk_open(dir);
	visit(dir);
	while (here()->dir >= 0 && --most) {
		name = next_cgroup(&here()->d);
		if (name && walk_down(name))
			visit(here()->dir);
		else if (!name && !walk.depth)
			break;
		else if (!name)
			walk_up();
	}
	walk_close();
}

static void visit_all(int dir, void (*visit)(int dir))
{
	visit_most(dir, visit, UINT_MAX);
}

static struct {
	int top;
	int pidfd; /* -1: there is none */
	unsigned int seen;
} first = { .pidfd = -1 };

/* The first process, which was killed, may be frozen or slowed further down, and the
 * others live until it dies: at the top it goes on. They may put it back, and make
 * cgroups faster than the walk goes: so it comes up again and again. Meanwhile it may
 * have ended, and somebody else have its number: so that is asked for each time. */
static void free_first(void)
{
	if (first.pidfd >= 0 && first.seen++ % CALM_MOST == 1)
		cgroup_take(first.top, find_pid(first.pidfd));
}

static void thaw_one(int dir)
{
	write_at(dir, "freezer.state", "THAWED");
	free_first();
}

static void visit_freeing(int dir, void (*visit)(int dir), int killed)
{
	first.top = dir;
	first.pidfd = killed;
	first.seen = 0;
	visit_all(fcntl(dir, F_DUPFD_CLOEXEC, 0), visit);
	first.pidfd = -1;
}

/* A pid of another pid namespace reads as 0. */
static void kill_number(int64_t pid)
{
	if (pid > 1 && pid < INT32_MAX && pid != getpid())
		kill((pid_t)pid, SIGKILL);
}

static uint32_t found; /* processes, by count_one */

static void count_one(int dir)
{
	char buf[8];

	if (read_at(dir, "cgroup.procs", buf, sizeof(buf)) > 0)
		found++;
}

/* As far as this process may: what it may not shows when the cgroup stays busy. */
static void calm_number(int64_t tid)
{
	const int normal = 0; /* struct sched_param */

	if (tid < 2 || tid >= INT32_MAX)
		return;
	if (syscall(SYS_sched_setscheduler, (pid_t)tid, SCHED_OTHER, &normal) < 0)
		errno = 0;
}

/* Returns false where there is no such list. */
static bool read_listed(int dir, const char *list, void (*use)(int64_t pid))
{
	int fd = openat(dir, list, O_RDONLY | O_CLOEXEC);
	char buf[1024];
	int64_t pid = 0;
	ssize_t n;

	if (fd < 0)
		return false;
	while ((n = read(fd, buf, sizeof(buf))) > 0)
		for (ssize_t i = 0; i < n; i++) {
			if (buf[i] >= '0' && buf[i] <= '9') {
				if (pid < INT32_MAX)
					pid = pid * 10 + (buf[i] - '0');
				continue;
			}
			use(pid);
			pid = 0;
		}
	close(fd);
	return n == 0;
}

/* A threaded cgroup (v2) has a list of threads only; kill(2) takes the number
 * of any thread for its process. */
static void kill_one(int dir)
{
	if (!read_listed(dir, "cgroup.procs", kill_number))
		read_listed(dir, "cgroup.threads", kill_number);
}

/* A thread may have given itself next to no time (SCHED_DEADLINE; SCHED_FIFO in
 * a group without), or what others leave. The kernel no longer lists one that is
 * about to be gone. */
static void calm_one(int dir)
{
	if (!read_listed(dir, "cgroup.threads", calm_number))
		read_listed(dir, "tasks", calm_number);
}

/* Frozen, nobody forks or makes a cgroup while the list is read, and no pid is
 * used again. A task in an uninterruptible sleep may not freeze: it gets its
 * SIGKILL. The dead, who are not listed, never freeze. */
static void kill_frozen(int dir)
{
	static int looks = 50; /* where it has not helped, no more */
	char state[16];
	ssize_t n;
	int i;

	write_at(dir, "freezer.state", "FROZEN");
	found = 0;
	visit_all(fcntl(dir, F_DUPFD_CLOEXEC, 0), count_one);
	for (i = 0; found && i < looks; i++) {
		n = read_at(dir, "freezer.state", state, sizeof(state));
		if (n < 0 || (n >= 6 && !memcmp(state, "FROZEN", 6)))
			break;
		count_steps(2);
		sleep_ms(2);
	}
	if (i == looks)
		looks = 1;
	if (found)
		visit_all(fcntl(dir, F_DUPFD_CLOEXEC, 0), kill_one);
	visit_all(fcntl(dir, F_DUPFD_CLOEXEC, 0), thaw_one);
}

static int open_own(const struct cgroup *g)
{
	return open_cgroup(g->root, g->path);
}

static void lift_one(int dir)
{
	lift_cgroup(dir);
	free_first();
}

static void lift_limits(const struct cgroup *groups, unsigned int count,
			int killed)
{
	static const char *const slow[] = { "cpu.shares", "cpu.weight",
					    "blkio.throttle.read_bps_device",
					    "io.max" };
	char byte;
	int dir;

	for (unsigned int i = 0; i < count; i++) {
		dir = open_own(&groups[i]);
		if (dir < 0)
			continue;
		/* What is not at the top is nowhere below. */
		for (unsigned int k = 0; k < sizeof(slow) / sizeof(*slow); k++)
			if (read_at(dir, slow[k], &byte, 1) >= 0) {
				visit_freeing(dir, lift_one, killed);
				break;
			}
		close(dir);
	}
}

void cgroup_calm(const struct cgroup *groups, unsigned int count)
{
	int dir;

	for (unsigned int i = 0; i < count; i++) {
		dir = groups[i].kind == CGROUP_V1 ? -1 : open_own(&groups[i]);
		if (dir >= 0)
			visit_most(dir, calm_one, CALM_MOST);
	}
}

static void show_one(int dir)
{
	static const char *const lists[] = { "cgroup.events", "cgroup.procs" };

	for (unsigned int i = 0; i < sizeof(lists) / sizeof(*lists); i++)
		if (fchmod(dir, 0755) < 0 || fchmodat(dir, lists[i], 0644, 0) < 0)
			errno = 0; /* the next look says so */
}

void cgroup_show(const struct cgroup *groups, unsigned int count)
{
	int dir;

	for (unsigned int i = 0; i < count; i++) {
		dir = open_own(&groups[i]);
		if (dir >= 0)
			visit_most(dir, show_one, CALM_MOST);
	}
}

/* A user's container may have taken its owner's rights away, or have given the file
 * or all of the cgroup to another of its ids. dir: -1 where we may not open it. */
static bool kill_by_file(const struct cgroup *g, int dir, int userns)
{
	static const char name[] = "cgroup.kill";

	if (dir >= 0 && write_at(dir, name, "1"))
		return true;
	if (errno != EACCES)
		return false;
	if (dir >= 0 && fchmodat(dir, name, 0600, 0) == 0 &&
	    write_at(dir, name, "1"))
		return true;
	return userns >= 0 && write_inside(userns, g->root, g->path, name, "1");
}

/* cgroup.kill (since 5.14) and the freezer see every process; the list of
 * another v1 hierarchy is only for where there is neither. */
void cgroup_kill(const struct cgroup *groups, unsigned int count, int userns)
{
	bool done = false;
	int dir;

	cgroup_calm(groups, count);
	for (unsigned int i = 0; i < count; i++) {
		if (groups[i].kind == CGROUP_V1)
			continue;
		dir = open_own(&groups[i]);
		if (groups[i].kind == CGROUP_V2 &&
		    kill_by_file(&groups[i], dir, userns))
			done = true;
		else if (groups[i].kind == CGROUP_V2 && dir >= 0)
			visit_all(fcntl(dir, F_DUPFD_CLOEXEC, 0), kill_one);
		else if (dir >= 0)
			kill_frozen(dir);
		if (dir < 0)
			continue;
		done = true;
		close(dir);
	}
	for (unsigned int i = 0; i < count && !done; i++) {
		dir = open_own(&groups[i]);
		if (dir >= 0)
			visit_all(dir, kill_one);
	}
}

void cgroup_let_die(const struct cgroup *groups, unsigned int count, int killed)
{
	int dir;

	for (unsigned int i = 0; i < count; i++) {
		if (groups[i].kind != CGROUP_FREEZER)
			continue;
		dir = open_own(&groups[i]);
		if (dir < 0)
			continue;
		visit_freeing(dir, thaw_one, killed);
		close(dir);
	}
	lift_limits(groups, count, killed);
}

static int remove_one(int dir, const char *name)
{
	int r = unlinkat(dir, name, AT_REMOVEDIR);

	if (r == 0 || errno != EACCES)
		return r;
	if (fchmod(dir, 0700) == 0)
		return unlinkat(dir, name, AT_REMOVEDIR);
	/* It is another's. */
	errno = EACCES;
	return -1;
}

/* Removes what is below, the deepest first; stops at the first cgroup that is
 * busy of itself. Takes over the descriptor. Returns EACCES where rights are
 * missing, else 0. */
static int remove_below(int dir)
{
	const char *name;
	int denied = 0;

	walk_open(dir);
	while (here()->dir >= 0) {
		name = next_cgroup(&here()->d);
		if (name) {
			count_steps(1);
			if (remove_one(here()->dir, name) == 0)
				continue;
			if ((errno == EACCES || !walk_down(name)) &&
			    errno == EACCES)
				denied = EACCES;
			continue;
		}
		if (!walk.depth)
			break;
		name = walk_up();
		count_steps(1);
		if (name && remove_one(here()->dir, name) < 0)
			break;
	}
	walk_close();
	return denied;
}

/* Where the component that ends at path[len] begins. */
static size_t component(const char *path, size_t len)
{
	while (len && path[len - 1] != '/')
		len--;
	return len;
}

static int remove_at(int root, const char *path, size_t len)
{
	char part[4096];
	size_t at = component(path, len);
	int parent, r, err;

	if (len >= sizeof(part)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	memcpy(part, path, len);
	part[len] = 0;
	if (!at)
		return unlinkat(root, part, AT_REMOVEDIR);
	part[at - 1] = 0;
	parent = open_cgroup(root, part);
	if (parent < 0)
		return -1;
	r = unlinkat(parent, part + at, AT_REMOVEDIR);
	err = errno;
	close(parent);
	errno = err;
	return r;
}

/* systemd hears of an empty cgroup by a file in it, which must not go before. It
 * removes it then, with those below that are left. */
static int leave_empty(const struct cgroup *g, bool below)
{
	int dir = open_own(g);

	if (dir < 0)
		return errno == ENOENT ? 0 : -1;
	if (below)
		remove_below(fcntl(dir, F_DUPFD_CLOEXEC, 0));
	found = 0;
	visit_all(dir, count_one);
	errno = EBUSY;
	return found ? -1 : 0;
}

int cgroup_remove(const struct cgroup *g, bool below)
{
	size_t len = strlen(g->path), at;
	int r, dir, denied;

	if (!g->own)
		return leave_empty(g, below);
	r = remove_at(g->root, g->path, len);
	if (r < 0 && errno == EBUSY && below) {
		dir = open_own(g);
		denied = dir < 0 ? errno : remove_below(dir);
		r = remove_at(g->root, g->path, len);
		/* To wait for whoever is in it would help nothing. */
		if (r < 0 && errno == EBUSY && denied == EACCES)
			errno = EACCES;
	}
	if (r < 0 && errno != ENOENT)
		return -1;
	/* A parent goes with its last child; another container keeps it. */
	for (unsigned int i = 1; i < g->own; i++) {
		at = component(g->path, len);
		if (!at)
			break;
		len = at - 1;
		if (remove_at(g->root, g->path, len) < 0 && errno != ENOENT)
			break;
	}
	return 0;
}
