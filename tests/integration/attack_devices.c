/*
 * What a hostile program tries with its standard streams and with devices.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "attack_devices.h"

#ifndef SYS_open_tree
#define SYS_open_tree 428
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif

/* Changes what may be changed of a file by its descriptor: mode, owner, times,
 * attributes. */
static void change(int fd)
{
	const struct timespec times[2] = { { 1, 0 }, { 2, 0 } };
	static const char *const names[] = { "user.x", "trusted.x",
					     "security.x" };
	unsigned long flags = 0x10; /* FS_IMMUTABLE_FL */

	fchmod(fd, 0600);
	fchown(fd, 5, 6);
	futimens(fd, times);
	for (int i = 0; i < 3; i++)
		fsetxattr(fd, names[i], "y", 1, 0);
	ioctl(fd, _IOW('f', 2, long), &flags); /* FS_IOC_SETFLAGS */
}

/* The same after it has tried to make the file's mount writable, and by a copy of
 * that mount. */
static void change_all(int fd)
{
	struct {
		uint64_t set, clear, propagation, userns;
	} attr = { 0, 1 /* MOUNT_ATTR_RDONLY */, 0, 0 };
	char path[32];
	int tree, again;

	change(fd);
	syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH, &attr, sizeof(attr));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	mount(NULL, path, NULL, MS_REMOUNT | MS_BIND, NULL);
	change(fd);
	again = open(path, O_RDWR);
	change(again);
	close(again);
	/* OPEN_TREE_CLONE */
	tree = (int)syscall(SYS_open_tree, fd, "", AT_EMPTY_PATH | 1);
	syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH, &attr,
		sizeof(attr));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", tree);
	again = open(path, O_RDWR);
	change(again);
	close(again);
	close(tree);
}

int devices(char **paths)
{
	int said = open("/said.new", O_WRONLY | O_CREAT | O_TRUNC, 0644);

	for (int fd = 0; fd < 3; fd++) {
		char path[32], link[64] = "", byte = 'x';
		ssize_t got = -2, put = -2;
		struct stat st;

		if (fstat(fd, &st) < 0)
			continue;
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		/* What waits for nobody. */
		if (S_ISCHR(st.st_mode) && major(st.st_rdev) == 1) {
			if (readlink(path, link, sizeof(link) - 1) < 0)
				return 1;
			got = read(fd, &byte, 1);
			put = write(fd, "x", 1);
		}
		dprintf(said, "%d %o %u:%u %s reads %zd writes %zd\n", fd,
			st.st_mode & S_IFMT, major(st.st_rdev),
			minor(st.st_rdev), link, got, put);
		change_all(fd);
	}
	for (; *paths; paths++) {
		int fd = open(*paths, O_RDWR);

		change_all(fd);
		close(fd);
		mount(NULL, *paths, NULL, MS_REMOUNT | MS_BIND, NULL);
		chmod(*paths, 0600);
		if (chown(*paths, 5, 6) < 0)
			continue;
	}
	close(said);
	return rename("/said.new", "/said") < 0;
}
