/*
 * Mount operations: everything from descriptor to descriptor (open_tree,
 * fsopen, mount_setattr, move_mount).
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "calls.h"
#include "kernel.h"
#include "mounts.h"
#include "place.h"
#include "stage.h"

static int tree_open(int at, const char *path, unsigned int flags)
{
	return (int)syscall(SYS_open_tree, at, path,
			    flags | K_OPEN_TREE_CLOEXEC);
}

static int tree_clone(int fd, unsigned int flags)
{
	return tree_open(fd, "", flags | K_OPEN_TREE_CLONE | K_AT_EMPTY_PATH);
}

static int tree_move(int from, int to)
{
	return (int)syscall(SYS_move_mount, from, "", to, "",
			    K_MOVE_MOUNT_F_EMPTY_PATH |
				    K_MOVE_MOUNT_T_EMPTY_PATH);
}

static int set_readonly(int fd)
{
	struct k_mount_attr attr = { .attr_set = K_MOUNT_ATTR_RDONLY };

	return (int)syscall(SYS_mount_setattr, fd, "",
			    K_AT_EMPTY_PATH | K_AT_RECURSIVE, &attr,
			    sizeof(attr));
}

static int is_readonly(int fd)
{
	struct statfs fs;

	check(fstatfs(fd, &fs), NULL);
	return (fs.f_flags & ST_RDONLY) != 0;
}

/* The kernel says in the context's log what it does not like; the first line
 * of it goes into the report. */
static _Noreturn void fail_fs(int fd, const char *what)
{
	char log[REPORT_TEXT];
	int err = errno;
	ssize_t n = read(fd, log, sizeof(log) - 1);

	if (n <= 0)
		fail(err, what);
	log[n] = 0;
	log[strcspn(log, "\n")] = 0;
	fail(err, log);
}

static void set_options(int fd, const struct arg *list)
{
	const char *p = list->p;
	char key[256];

	for (uint32_t i = 0; i < list->count; i++, p += strlen(p) + 1) {
		const char *eq = strchr(p, '=');
		size_t n = eq ? (size_t)(eq - p) : strlen(p);
		long r;

		if (n >= sizeof(key))
			fail(ENAMETOOLONG, p);
		memcpy(key, p, n);
		key[n] = 0;
		r = syscall(SYS_fsconfig, fd,
			    eq ? K_FSCONFIG_SET_STRING : K_FSCONFIG_SET_FLAG,
			    key, eq ? eq + 1 : NULL, 0);
		if (r < 0)
			fail_fs(fd, p);
	}
}

static void run_fsmount(const struct op *op)
{
	const struct arg *a = op->a;
	int fs, fd;

	fs = (int)syscall(SYS_fsopen, a[1].p, K_FSOPEN_CLOEXEC);
	if (fs < 0)
		fail(errno, a[1].p);
	set_options(fs, &a[2]);
	if (syscall(SYS_fsconfig, fs, K_FSCONFIG_CMD_CREATE, NULL, NULL, 0) <
	    0)
		fail_fs(fs, a[1].p);
	fd = (int)syscall(SYS_fsmount, fs, K_FSMOUNT_CLOEXEC,
			  narrow(a[3].n));
	if (fd < 0)
		fail_fs(fs, a[1].p);
	close(fs);
	slot_set(a[0].n, fd);
}

static void run_reconfigure(const struct op *op)
{
	int fs = (int)syscall(SYS_fspick, slot_fd(op->a[0].n), "",
			      K_FSPICK_CLOEXEC | K_FSPICK_EMPTY_PATH);

	if (fs < 0)
		fail(errno, NULL);
	set_options(fs, &op->a[1]);
	if (syscall(SYS_fsconfig, fs, K_FSCONFIG_CMD_RECONFIGURE, NULL, NULL,
		    0) < 0)
		fail_fs(fs, NULL);
	close(fs);
}

static void run_setattr(const struct op *op)
{
	const struct arg *a = op->a;
	struct k_mount_attr attr = {
		.attr_set = (uint64_t)a[3].n,
		.attr_clr = (uint64_t)a[4].n,
		.propagation = (uint64_t)a[5].n,
	};
	unsigned int flags = narrow(a[2].n);

	if (a[6].n >= 0)
		attr.userns_fd = (uint64_t)slot_fd(a[6].n);
	if (!a[1].len)
		flags |= K_AT_EMPTY_PATH;
	if (syscall(SYS_mount_setattr, slot_at(a[0].n), a[1].p, flags, &attr,
		    sizeof(attr)) < 0)
		fail(errno, a[1].p);
}

/* A new file system gets mode and owner of what it is going to cover; the mode
 * of the plan where nothing is there yet. */
static void run_cover(const struct op *op)
{
	const struct arg *a = op->a;
	const struct place p = place_of(a + 1);
	int tree = slot_fd(a[0].n), fd = -1;
	mode_t mode = narrow(a[5].n);
	uint32_t take = narrow(a[6].n);
	struct stat st;

	errno = EXDEV;
	if (p.at >= 0)
		fd = open_below(&p);
	if (fd < 0 && errno == EXDEV)
		fd = open_path(&p);
	if (fd < 0 && errno != ENOENT)
		fail(errno, p.path);
	if (fd >= 0) {
		if (fstat(fd, &st) < 0)
			fail(errno, p.path);
		mode = st.st_mode & 07777;
		if ((take & (COVER_UID | COVER_GID)) &&
		    fchownat(tree, "",
			     take & COVER_UID ? st.st_uid : (uid_t)-1,
			     take & COVER_GID ? st.st_gid : (gid_t)-1,
			     AT_EMPTY_PATH) < 0)
			fail(errno, p.path);
		close(fd);
	}
	if ((take & COVER_MODE) && fchmodat(tree, ".", mode, 0) < 0)
		fail(errno, p.path);
}

/* A detached tree of another mount namespace (or, before 6.15, any detached
 * one) cannot be cloned, but it can be moved: the first mask takes the tree
 * itself, and the others are clones of that, since it is attached then. */
static void mask(int fd, const struct arg *covers, const char *path)
{
	struct stat st;
	int cover, tree;

	check(fstat(fd, &st), path);
	cover = slot_fd(covers[S_ISDIR(st.st_mode) ? 1 : 0].n);
	/* Masked already, by its mount. */
	if (is_same(fd, cover)) {
		close(fd);
		return;
	}
	tree = tree_clone(cover, 0);
	if (tree < 0 && errno != EINVAL)
		fail(errno, path);
	if (tree_move(tree < 0 ? cover : tree, fd) < 0)
		fail(errno, path);
	if (tree >= 0)
		close(tree);
	close(fd);
}

/* First in the mount that was made there, wherever that is now; then whatever
 * the path leads to. */
static void run_mask(const struct op *op)
{
	const struct place p = place_of(op->a);
	int fd;

	if ((fd = find_below(&p)) >= 0)
		mask(fd, op->a + 4, p.path);
	if ((fd = find_path(&p)) >= 0)
		mask(fd, op->a + 4, p.path);
}

/* Returns the read-only tree that lies there now. */
static int make_readonly(int fd, const char *path)
{
	int tree = tree_clone(fd, K_AT_RECURSIVE);

	if (tree < 0 || set_readonly(tree) < 0 || tree_move(tree, fd) < 0)
		fail(errno, path);
	close(fd);
	return tree;
}

static void run_readonly(const struct op *op)
{
	const struct place p = place_of(op->a);
	int fd, tree = -1;

	if ((fd = find_below(&p)) >= 0)
		tree = make_readonly(fd, p.path);
	if ((fd = find_path(&p)) >= 0) {
		if (tree < 0 || !is_same(fd, tree) || !is_readonly(fd))
			close(make_readonly(fd, p.path));
		else
			close(fd);
	}
	if (tree >= 0 && !*p.below)
		/* It lies over the whole mount: what is below is found in it. */
		slot_set(op->a[0].n, tree);
	else if (tree >= 0)
		close(tree);
}

/* "." twice: the old root ends up stacked on the new one and is unmounted at
 * once, pivot_root(2) "pivot_root(".", ".")". It is made a slave first, so that
 * the unmount stays in this namespace; and "/.." must be "/" afterwards, or
 * something of the host is still below. */
static void run_pivot(const struct op *op)
{
	struct stat root, above;
	int old = open_at2(AT_FDCWD, "/", O_PATH | O_DIRECTORY, 0, 0);

	check(old, "/");
	check(fchdir(slot_fd(op->a[0].n)), "fchdir");
	check(syscall(SYS_pivot_root, ".", "."), "pivot_root");
	/* To mount(2) "." is the new root still, whose shared mounts would be
	 * none: umount2(2) alone looks at what lies on top of it. */
	check(fchdir(old), "fchdir");
	close(old);
	check(mount(NULL, ".", NULL, MS_SLAVE | MS_REC, NULL), "mount");
	check(umount2(".", MNT_DETACH), "umount2");
	check(chdir("/"), "chdir");
	check(stat("/", &root), "stat");
	check(stat("/..", &above), "stat");
	if (root.st_dev != above.st_dev || root.st_ino != above.st_ino)
		fail(EBUSY, "the host's root is still there");
}

static void run_chroot(const struct op *op)
{
	int root = slot_fd(op->a[0].n);
	int top = open_at2(AT_FDCWD, "/", O_PATH | O_DIRECTORY, 0, 0);

	if (top < 0 || fchdir(root) < 0)
		fail(errno, "fchdir");
	if (tree_move(root, top) < 0)
		fail(errno, "move_mount");
	if (chroot(".") < 0)
		fail(errno, "chroot");
	if (chdir("/") < 0)
		fail(errno, "chdir");
	close(top);
}

/* Without a mount namespace of its own: only this process's root changes. */
static void run_enter(const struct op *op)
{
	check(fchdir(slot_fd(op->a[0].n)), "fchdir");
	check(chroot("."), "chroot");
	check(chdir("/"), "chdir");
}

/* Takes off whatever is mounted on a name in a directory of the tree. */
static void run_unmount(const struct op *op)
{
	const char *name = plain_name(&op->a[2]);
	const char *path = op->a[1].p + strspn(op->a[1].p, "/");
	const struct place p = { -1, "", slot_fd(op->a[0].n), path };
	int parent = find_path(&p);

	if (parent < 0)
		return;
	check(fchdir(parent), path);
	close(parent);
	while (!umount2(name, MNT_DETACH | UMOUNT_NOFOLLOW))
		;
	/* Nothing (more) is mounted there, or it went with what it lay in. */
	if (errno != EINVAL && errno != ENOENT)
		fail(errno, name);
}

/* A tree is attached to a directory or a file of its own. It stays in its slot:
 * what is to be hidden in it is found from there. */
static void run_stage(const struct op *op)
{
	const char *name = plain_name(&op->a[2]);
	int tree = slot_fd(op->a[0].n), dir = slot_fd(op->a[1].n), fd;
	struct stat st;

	check(fstat(tree, &st), name);
	if (S_ISDIR(st.st_mode))
		check(mkdirat(dir, name, 0), name);
	else
		check(mknodat(dir, name, S_IFREG, 0), name);
	fd = open_at2(dir, name, O_PATH | O_NOFOLLOW, 0, 0);
	check(fd, name);
	check(tree_move(tree, fd), name);
	close(fd);
}

int run_mount_op(const struct op *op)
{
	const struct arg *a = op->a;
	struct place place;
	int fd;

	switch (op->code) {
	case OP_OPEN_TREE:
		fd = tree_open(slot_at(a[1].n), a[2].p, narrow(a[3].n));
		if (fd < 0)
			fail(errno, a[2].p);
		slot_set(a[0].n, fd);
		return 1;
	case OP_FSMOUNT:
		run_fsmount(op);
		return 1;
	case OP_MOUNT_SETATTR:
		run_setattr(op);
		return 1;
	case OP_MOVE_MOUNT:
		if (tree_move(slot_fd(a[0].n), slot_fd(a[1].n)) < 0)
			fail(errno, NULL);
		return 1;
	case OP_TARGET:
		place = place_of(a + 1);
		slot_set(a[0].n, open_target(&place, (int)narrow(a[5].n),
					     narrow(a[6].n)));
		return 1;
	case OP_COVER:
		run_cover(op);
		return 1;
	case OP_MASK:
		run_mask(op);
		return 1;
	case OP_READONLY:
		run_readonly(op);
		return 1;
	case OP_RECONFIGURE:
		run_reconfigure(op);
		return 1;
	case OP_PIVOT:
		run_pivot(op);
		return 1;
	case OP_CHROOT:
		run_chroot(op);
		return 1;
	case OP_ENTER:
		run_enter(op);
		return 1;
	case OP_UNMOUNT:
		run_unmount(op);
		return 1;
	case OP_STAGE:
		run_stage(op);
		return 1;
	case OP_FCHDIR:
		check(fchdir(slot_fd(a[0].n)), NULL);
		return 1;
	}
	return 0;
}
