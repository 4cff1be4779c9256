/*
 * copy-up: fills a fresh tmpfs with what the image has at its place
 * (tmpcopyup): directories, files, links, nodes, with owner, mode, times and
 * extended attributes. No link is followed and no mount is entered.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "calls.h"
#include "copy.h"
#include "kernel.h"
#include "stage.h"
#include "tree.h"

/* Deeper trees are an error: each level keeps two descriptors open. */
#define COPY_DEPTH 64

static const uint64_t INSIDE = K_RESOLVE_NO_SYMLINKS | K_RESOLVE_BENEATH |
			       K_RESOLVE_NO_XDEV;

static void copy_xattrs(int from, int to, const char *name)
{
	static char list[65536], value[65536];
	ssize_t n = flistxattr(from, list, sizeof(list)), size;

	if (n < 0 && errno == ENOTSUP)
		return;
	check(n, name);
	for (const char *p = list; p < list + n; p += strlen(p) + 1) {
		size = fgetxattr(from, p, value, sizeof(value));
		check(size, name);
		/* What this tmpfs or user may not have is left out. */
		if (fsetxattr(to, p, value, (size_t)size, 0) < 0 &&
		    errno != ENOTSUP && errno != EPERM)
			fail(errno, name);
	}
}

static void copy_times(int dir, const char *name, const struct stat *st)
{
	const struct timespec times[2] = { st->st_atim, st->st_mtim };

	check(utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW), name);
}

static void copy_file(int from, int to, const char *name,
		      const struct stat *st)
{
	/* In a shared volume a FIFO may have come in its place. */
	int in = open_at2(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0,
			  INSIDE);
	struct stat now;
	int out;
	ssize_t n;

	check(in, name);
	check(fstat(in, &now), name);
	if (!S_ISREG(now.st_mode))
		fail(EAGAIN, name);
	out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	check(out, name);
	do {
		n = sendfile(out, in, NULL, 1 << 30);
		if (n < 0 && errno == EINTR)
			n = 1;
		check(n, name);
	} while (n > 0);
	check(fchown(out, st->st_uid, st->st_gid), name);
	check(fchmod(out, st->st_mode & 07777), name);
	copy_xattrs(in, out, name);
	close(in);
	close(out);
}

static void copy_link(int from, int to, const char *name,
		      const struct stat *st)
{
	char target[4096];
	ssize_t n = readlinkat(from, name, target, sizeof(target) - 1);

	check(n, name);
	target[n] = 0;
	check(symlinkat(target, to, name), name);
	check(fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW),
	      name);
}

static void copy_tree(int from, int to, int depth);

static void copy_directory(int from, int to, const char *name,
			   const struct stat *st, int depth)
{
	int in = open_at2(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0,
			  INSIDE);
	int out;

	/* A mount in the image's directory has nothing to do with it. */
	if (in < 0 && errno == EXDEV)
		return;
	check(in, name);
	check(mkdirat(to, name, 0700), name);
	out = open_at2(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0,
		       INSIDE);
	check(out, name);
	copy_tree(in, out, depth + 1);
	check(fchown(out, st->st_uid, st->st_gid), name);
	check(fchmod(out, st->st_mode & 07777), name);
	copy_xattrs(in, out, name);
	close(in);
	close(out);
}

static void copy_entry(int from, int to, const char *name, int depth)
{
	struct stat st;

	check(fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW), name);
	if (S_ISDIR(st.st_mode)) {
		copy_directory(from, to, name, &st, depth);
	} else if (S_ISREG(st.st_mode)) {
		copy_file(from, to, name, &st);
	} else if (S_ISLNK(st.st_mode)) {
		copy_link(from, to, name, &st);
	} else if (S_ISFIFO(st.st_mode) || S_ISCHR(st.st_mode) ||
		   S_ISBLK(st.st_mode)) {
		check(mknodat(to, name, st.st_mode, st.st_rdev), name);
		check(fchownat(to, name, st.st_uid, st.st_gid,
			       AT_SYMLINK_NOFOLLOW),
		      name);
	} else {
		return; /* a socket is nothing without its process */
	}
	copy_times(to, name, &st);
}

static void copy_tree(int from, int to, int depth)
{
	struct dir d;
	const char *name;
	bool is_dir;

	if (depth > COPY_DEPTH)
		fail(ELOOP, "the directory to copy is too deep");
	dir_start(&d, from);
	while ((name = dir_next(&d, &is_dir)))
		copy_entry(from, to, name, depth);
}

/* O_PATH descriptors and fresh mounts are opened anew for reading. */
static int reopen(int fd)
{
	int again = open_at2(fd, ".", O_RDONLY | O_DIRECTORY, 0, 0);

	check(again, "copy");
	return again;
}

/* Owner and mode of the directory itself are not its part: OP_COVER. */
void copy_up(int source, int onto)
{
	int from = reopen(source), to = reopen(onto);

	copy_tree(from, to, 0);
	close(from);
	close(to);
}
