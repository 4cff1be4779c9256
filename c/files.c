/*
 * Operations on descriptors and files. A name in the container is always a
 * single component on a directory's descriptor; a path is resolved by the
 * kernel under the rules that the plan gives.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "calls.h"
#include "copy.h"
#include "files.h"
#include "kernel.h"
#include "stage.h"
#include "tree.h"

static void run_open(const struct op *op)
{
	const struct arg *a = op->a;
	int fd = open_at2(slot_at(a[1].n), a[2].p, (uint64_t)a[3].n,
			  (uint64_t)a[4].n, (uint64_t)a[5].n);

	if (fd < 0)
		fail(errno, a[2].p);
	slot_set(a[0].n, fd);
}

static void run_verify(const struct op *op)
{
	const struct arg *a = op->a;
	int fd = slot_fd(a[0].n);
	struct statfs fs;
	struct stat st;

	if (fstat(fd, &st) < 0 || fstatfs(fd, &fs) < 0)
		fail(errno, NULL);
	if (a[1].n && (st.st_mode & S_IFMT) != narrow(a[1].n))
		fail(ENODEV, "another type of file");
	if (a[2].n && st.st_rdev != (dev_t)a[2].n)
		fail(ENODEV, "another device");
	if (a[3].n && (int64_t)fs.f_type != a[3].n)
		fail(ENODEV, "another file system");
}

/* What the host stage has judged by its path is what was opened by it. */
static void run_same(const struct op *op)
{
	struct stat st;

	if (fstat(slot_fd(op->a[0].n), &st) < 0)
		fail(errno, NULL);
	if (st.st_dev != (dev_t)op->a[1].n || st.st_ino != (ino_t)op->a[2].n)
		fail(ESTALE, "another file than before");
}

/* One write: the files of cgroupfs and procfs take a value whole. */
static void run_write(const struct op *op)
{
	const struct arg *a = op->a;
	uint64_t resolve = K_RESOLVE_NO_MAGICLINKS;
	ssize_t n;
	int fd;

	if (a[0].n >= 0)
		resolve |= K_RESOLVE_BENEATH | K_RESOLVE_NO_XDEV;
	fd = open_at2(slot_at(a[0].n), a[1].p,
		      O_WRONLY | (uint64_t)a[3].n, 0, resolve);
	if (fd < 0)
		fail(errno, a[1].p);
	do
		n = write(fd, a[2].p, a[2].len);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		fail(errno, a[1].p);
	if ((uint32_t)n != a[2].len)
		fail(EIO, a[1].p);
	close(fd);
}

/* For files that were opened with the host's ids: a cgroup's tasks. */
static void run_write_fd(const struct op *op)
{
	const struct arg *a = op->a;
	ssize_t n;

	do
		n = write(slot_fd(a[0].n), a[1].p, a[1].len);
	while (n < 0 && errno == EINTR);
	if (n < 0 || (uint32_t)n != a[1].len)
		fail(n < 0 ? errno : EIO, NULL);
	close(slot_fd(a[0].n));
	child.slot[a[0].n] = -1;
}

static void run_mkdir(const struct op *op)
{
	const char *name = plain_name(&op->a[1]);

	if (mkdirat(slot_fd(op->a[0].n), name, narrow(op->a[2].n)) < 0 &&
	    errno != EEXIST)
		fail(errno, name);
}

/* In a directory that others may write, where a name is whatever they rename to
 * it: what was opened is ours alone, and empty, or it is not what was made. */
static void run_mkdir_own(const struct op *op)
{
	const char *name = plain_name(&op->a[2]);
	int at = slot_fd(op->a[1].n), fd, list;
	struct stat st;
	struct dir d;
	bool is_dir;

	if (mkdirat(at, name, 0700) < 0)
		fail(errno, name);
	fd = open_private(at, name, geteuid());
	if (fd < 0 || fstat(fd, &st) < 0)
		fail(errno, name);
	list = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (list < 0)
		fail(errno, name);
	dir_start(&d, list);
	if (dir_next(&d, &is_dir))
		fail(ESTALE, name);
	close(list);
	slot_set(op->a[0].n, fd);
}

static void run_mknod(const struct op *op)
{
	const struct arg *a = op->a;
	const char *name = plain_name(&a[1]);
	mode_t mode = narrow(a[2].n);
	dev_t rdev = (dev_t)a[3].n;
	int dir = slot_fd(a[0].n);
	struct stat st;
	int fresh, fd;

	fresh = mknodat(dir, name, mode, rdev) == 0;
	if (!fresh && errno != EEXIST)
		fail(errno, name);
	fd = open_at2(dir, name, O_PATH | O_NOFOLLOW, 0, 0);
	if (fd < 0 || fstat(fd, &st) < 0)
		fail(errno, name);
	if ((st.st_mode & S_IFMT) != (mode & S_IFMT) || st.st_rdev != rdev)
		fail(EEXIST, name);
	if (fchownat(fd, "", narrow(a[4].n), narrow(a[5].n), AT_EMPTY_PATH) < 0)
		fail(errno, name);
	close(fd);
}

static void run_symlink(const struct op *op)
{
	const char *name = plain_name(&op->a[1]);
	char now[4096];
	ssize_t n;
	int dir = slot_fd(op->a[0].n);

	if (symlinkat(op->a[2].p, dir, name) == 0)
		return;
	if (errno != EEXIST)
		fail(errno, name);
	n = readlinkat(dir, name, now, sizeof(now));
	if (n < 0 || (uint32_t)n != op->a[2].len ||
	    memcmp(now, op->a[2].p, (size_t)n))
		fail(EEXIST, name);
}

static void run_file(const struct op *op)
{
	const struct arg *a = op->a;
	const char *name = plain_name(&a[1]);
	uint32_t at = 0;
	ssize_t n;
	int fd;

	fd = openat(slot_fd(a[0].n), name,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		    narrow(a[2].n));
	if (fd < 0)
		fail(errno, name);
	while (at < a[3].len) {
		n = write(fd, a[3].p + at, a[3].len - at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			fail(n < 0 ? errno : EIO, name);
		at += (uint32_t)n;
	}
	close(fd);
}

int run_file_op(const struct op *op)
{
	const struct arg *a = op->a;

	switch (op->code) {
	case OP_OPEN:
		run_open(op);
		return 1;
	case OP_CLOSE:
		close(slot_fd(a[0].n));
		child.slot[a[0].n] = -1;
		return 1;
	case OP_VERIFY:
		run_verify(op);
		return 1;
	case OP_SAME:
		run_same(op);
		return 1;
	case OP_SETXATTR:
		check(fsetxattr(slot_fd(a[0].n), a[1].p, a[2].p, a[2].len, 0),
		      a[1].p);
		return 1;
	case OP_WRITE:
		run_write(op);
		return 1;
	case OP_WRITE_FD:
		run_write_fd(op);
		return 1;
	case OP_MKDIR_OWN:
		run_mkdir_own(op);
		return 1;
	case OP_MKDIR:
		run_mkdir(op);
		return 1;
	case OP_MKNOD:
		run_mknod(op);
		return 1;
	case OP_SYMLINK:
		run_symlink(op);
		return 1;
	case OP_FILE:
		run_file(op);
		return 1;
	case OP_COPY_UP:
		copy_up(slot_fd(a[0].n), slot_fd(a[1].n));
		return 1;
	case OP_CHOWN:
		if (fchownat(slot_fd(a[0].n), "", narrow(a[1].n),
			     narrow(a[2].n), AT_EMPTY_PATH) < 0)
			fail(errno, NULL);
		return 1;
	}
	return 0;
}
