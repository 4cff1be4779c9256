/*
 * Removes a directory tree that a container could write: no link is followed,
 * no mount is entered, and a tree of any depth needs two descriptors and no
 * recursion, because what lies deeper is moved up before it is emptied.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel.h"
#include "teardown.h"

static bool is_dot(const char *name)
{
	return name[0] == '.' &&
	       (!name[1] || (name[1] == '.' && !name[2]));
}

void dir_start(struct dir *d, int fd, int64_t offset)
{
	d->fd = fd;
	d->size = lseek(fd, offset, SEEK_SET) < 0 ? -1 : 0;
	d->at = 0;
	d->offset = offset;
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
		d->offset = e->d_off;
		*is_dir = e->d_type == K_DT_DIR;
		if (!is_dot(e->d_name))
			return e->d_name;
	}
	return NULL;
}

/* A directory of our own user may have no rights at all: overlay's work/work
 * has mode 0000. chmod by name follows links, so the type is looked at; the
 * container, who could race, is dead. */
static void make_accessible(int dir, const char *name)
{
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISDIR(st.st_mode))
		fchmodat(dir, name, 0700, 0);
}

static int open_dir(int dir, const char *name)
{
	const uint64_t flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
	const uint64_t resolve = K_RESOLVE_NO_XDEV | K_RESOLVE_NO_SYMLINKS |
				 K_RESOLVE_BENEATH;
	int fd = open_at2(dir, name, flags, 0, resolve);

	if (fd < 0 && errno == EACCES) {
		make_accessible(dir, name);
		fd = open_at2(dir, name, flags, 0, resolve);
	}
	return fd;
}

/* 0: gone. 1: a directory with something in it. -1: errno. */
static int remove_entry(int dir, const char *name, bool is_dir)
{
	if (!is_dir) {
		if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
			return 0;
		if (errno != EISDIR)
			return -1;
	}
	if (unlinkat(dir, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	if (errno == ENOTDIR)
		return unlinkat(dir, name, 0);
	return errno == ENOTEMPTY || errno == EEXIST ? 1 : -1;
}

/* Moves base/<dir>/name to base/.rustyrun-N. */
static int hoist(int base, int dir, const char *name)
{
	static uint32_t counter;
	char to[32] = ".rustyrun-";
	bool again = false;

	for (;;) {
		uint32_t v = counter++;
		size_t at = 10;

		for (; v; v >>= 4)
			to[at++] = "0123456789abcdef"[v & 15];
		to[at] = 0;
		if (syscall(SYS_renameat2, dir, name, base, to, 0u) == 0)
			return 0;
		/* The kernel writes ".." of what it moves. */
		if (errno == EACCES && !again) {
			make_accessible(dir, name);
			again = true;
			continue;
		}
		if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR)
			return -1;
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

	dir_start(&d, dir, 0);
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

/* One pass over base. Returns errno of what stays, 0 when nothing was seen. */
static int empty_once(int base, uint64_t *seen, uint64_t *done)
{
	struct dir d;
	const char *name;
	int err = 0, dir, r;
	bool is_dir;

	dir_start(&d, base, 0);
	while ((name = dir_next(&d, &is_dir))) {
		(*seen)++;
		r = remove_entry(base, name, is_dir);
		if (r > 0) {
			dir = open_dir(base, name);
			r = dir < 0 ? errno : flatten(base, dir, done);
			if (dir >= 0)
				close(dir);
			if (r) {
				err = r;
				continue;
			}
			r = remove_entry(base, name, true);
		}
		if (r == 0)
			(*done)++;
		else
			err = r > 0 ? ENOTEMPTY : errno;
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
		return -1;
	fchmod(dir, 0700);
	r = tree_empty(dir);
	close(dir);
	if (r < 0)
		return -1;
	return unlinkat(parent, name, AT_REMOVEDIR);
}
