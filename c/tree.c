/*
 * Removes a directory tree that a container could write: no link is followed,
 * no mount is entered, and a tree of any depth needs two descriptors and no
 * recursion, because what lies deeper is moved up before it is emptied. No path
 * of more than one name is used, and no "..": whoever renames meanwhile leads
 * nobody out. Somebody else may remove the same tree at the same time: what is
 * gone is gone.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "calls.h"
#include "kernel.h"
#include "proc.h"
#include "tree.h"

static void (*steps_told)(unsigned int more);

void tell_steps(void (*told)(unsigned int more))
{
	steps_told = told;
}

void count_steps(unsigned int more)
{
	if (steps_told)
		steps_told(more);
}

static bool is_dot(const char *name)
{
	return name[0] == '.' &&
	       (!name[1] || (name[1] == '.' && !name[2]));
}

void dir_start(struct dir *d, int fd)
{
	d->fd = fd;
	d->size = lseek(fd, 0, SEEK_SET) < 0 ? -1 : 0;
	d->at = 0;
	d->ino = 0;
	d->name = NULL;
}

const char *dir_next(struct dir *d, bool *is_dir)
{
	const struct k_dirent64 *e;

	while (d->size >= 0) {
		if (d->at >= d->size) {
			d->at = 0;
			d->size = syscall(SYS_getdents64, d->fd, d->room,
					  sizeof(d->room));
			if (d->size <= 0)
				break;
		}
		e = (const void *)(d->room + d->at);
		d->at += e->d_reclen;
		d->ino = e->d_ino;
		d->name = e->d_name;
		*is_dir = e->d_type == K_DT_DIR;
		if (!is_dot(e->d_name))
			return e->d_name;
	}
	return NULL;
}

static int open_below(int dir, const char *name, int flags)
{
	return open_at2(dir, name,
			(uint64_t)(flags | O_DIRECTORY | O_NOFOLLOW), 0,
			K_RESOLVE_NO_XDEV | K_RESOLVE_NO_SYMLINKS |
				K_RESOLVE_BENEATH);
}

int open_private(int parent, const char *name, int64_t owner)
{
	int fd = open_below(parent, name, O_PATH);
	struct stat st;

	if (fd < 0) {
		if (errno == ENOTDIR || errno == ELOOP || errno == EXDEV)
			errno = ESTALE;
		return -1;
	}
	if (fstat(fd, &st) == 0 && !(st.st_mode & 077) &&
	    (st.st_uid == owner || st.st_uid == geteuid()))
		return fd;
	close(fd);
	errno = ESTALE;
	return -1;
}

/* A directory of our own user may have no rights at all: overlay's work/work
 * has mode 0000. chmod by name would follow a link that somebody puts there;
 * fchmod does not take O_PATH, the name of such a descriptor does. */
void make_accessible(int dir, const char *name)
{
	char path[32];
	int fd = open_below(dir, name, O_PATH);

	if (fd < 0)
		return;
	/* Where that does not help, the next try says so. */
	(void)fchmodat(AT_FDCWD, fd_path(path, "/proc/self/fd/", fd), 0700, 0);
	close(fd);
}

static int open_dir(int dir, const char *name)
{
	int fd = open_below(dir, name, O_RDONLY);

	if (fd < 0 && errno == EACCES) {
		make_accessible(dir, name);
		fd = open_below(dir, name, O_RDONLY);
	}
	return fd;
}

/* 0: gone. 1: a directory with something in it. -1: errno. */
static int remove_entry(int dir, const char *name, bool is_dir)
{
	count_steps(1);
	if (!is_dir) {
		if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
			return 0;
		if (errno != EISDIR)
			return -1;
	}
	if (unlinkat(dir, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	if (errno == ENOTDIR)
		return unlinkat(dir, name, 0) == 0 || errno == ENOENT ? 0 : -1;
	return errno == ENOTEMPTY || errno == EEXIST ? 1 : -1;
}

/* What was moved up waits in base under the names .rustyrun-N; the next N. */
static uint32_t hoisted;

static const char *hoisted_name(char name[32], uint32_t v)
{
	size_t at = 10;

	memcpy(name, ".rustyrun-", at);
	for (; v; v >>= 4)
		name[at++] = "0123456789abcdef"[v & 15];
	name[at] = 0;
	return name;
}

/* A directory that hands on its project (quota) takes none of another's: EXDEV.
 * Returns whether it did so until now. */
static bool end_project(int dir)
{
	struct k_fsxattr it;

	if (syscall(SYS_ioctl, dir, K_FS_IOC_FSGETXATTR, &it) < 0 ||
	    !(it.fsx_xflags & K_FS_XFLAG_PROJINHERIT))
		return false;
	it.fsx_xflags &= ~K_FS_XFLAG_PROJINHERIT;
	return syscall(SYS_ioctl, dir, K_FS_IOC_FSSETXATTR, &it) == 0;
}

/* Moves base/<dir>/name to base/.rustyrun-N. */
static int hoist(int base, int dir, const char *name)
{
	char to[32];
	bool again = false;

	for (;;) {
		if (syscall(SYS_renameat2, dir, name, base,
			    hoisted_name(to, hoisted), 0u) == 0) {
			hoisted++;
			return 0;
		}
		if (errno == ENOENT)
			return 0;
		/* The kernel writes ".." of what it moves. */
		if (errno == EACCES && !again) {
			make_accessible(dir, name);
			again = true;
			continue;
		}
		if (errno == EXDEV && end_project(base))
			continue;
		if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR)
			return -1;
		hoisted++; /* the container has used that name */
	}
}

/* Empties a directory one level below base: its files go, its directories
 * move up. Counts what it did; returns errno of what stays, or 0. */
static int flatten(int base, int dir, uint64_t *done)
{
	struct dir d;
	const char *name;
	int err = 0, r;
	bool is_dir, opened = false;

	dir_start(&d, dir);
	while ((name = dir_next(&d, &is_dir))) {
		r = remove_entry(dir, name, is_dir);
		if (r < 0 && errno == EACCES && !opened) {
			opened = true;
			fchmod(dir, 0700);
			r = remove_entry(dir, name, is_dir);
		}
		if (r > 0)
			r = hoist(base, dir, name);
		if (r == 0)
			(*done)++;
		else
			err = errno;
	}
	return err;
}

/* Removes one entry of base, down to where its directories have moved up.
 * Returns errno of what stays, or 0. */
static int empty_entry(int base, const char *name, bool is_dir, uint64_t *done)
{
	int r = remove_entry(base, name, is_dir), dir;

	if (r > 0) {
		dir = open_dir(base, name);
		if (dir < 0)
			return errno == ENOENT ? 0 : errno;
		r = flatten(base, dir, done);
		close(dir);
		if (r)
			return r;
		r = remove_entry(base, name, true);
	}
	if (r)
		return r > 0 ? ENOTEMPTY : errno;
	(*done)++;
	return 0;
}

/* One pass over base, and over what has moved up meanwhile, each once: what
 * stays is not tried again for every level of something deep. Returns errno of
 * what stays, 0 when nothing does. */
static int empty_once(int base, uint64_t *seen, uint64_t *done)
{
	uint32_t from = hoisted;
	struct dir d;
	const char *name;
	char room[32];
	int err = 0, r;
	bool is_dir;

	dir_start(&d, base);
	while ((name = dir_next(&d, &is_dir))) {
		(*seen)++;
		r = empty_entry(base, name, is_dir, done);
		err = r ? r : err;
	}
	for (; from != hoisted; from++) {
		r = empty_entry(base, hoisted_name(room, from), true, done);
		err = r ? r : err;
	}
	return err;
}

/* A pass that removes nothing ends it: what cannot be removed (an immutable
 * file, a mount) is tried once more, not for ever. */
int tree_empty(int dir)
{
	uint64_t seen, done;
	int err;

	do {
		seen = 0;
		done = 0;
		err = empty_once(dir, &seen, &done);
		if (!seen)
			return 0;
	} while (done);
	errno = err ? err : ENOTEMPTY;
	return -1;
}

int tree_remove(int parent, const char *name)
{
	int dir, r = remove_entry(parent, name, true);

	if (r <= 0)
		return r;
	dir = open_dir(parent, name);
	if (dir < 0)
		return errno == ENOENT ? 0 : -1;
	fchmod(dir, 0700);
	r = tree_empty(dir);
	close(dir);
	if (r < 0)
		return -1;
	r = unlinkat(parent, name, AT_REMOVEDIR);
	return r < 0 && errno == ENOENT ? 0 : r;
}
