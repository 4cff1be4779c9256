/*
 * The container's user namespace: a user's container may give files of its cgroup
 * to ids that only this has. Its owner has every capability in it after setns(2).
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "kernel.h"
#include "proc.h"
#include "userns.h"

static bool is_same(int fd, const struct stat *st)
{
	struct stat there;

	return fstat(fd, &there) == 0 && there.st_ino == st->st_ino &&
	       there.st_dev == st->st_dev;
}

int open_userns(pid_t pid)
{
	struct stat ours;
	char path[32];
	int fd, above;

	if (stat("/proc/self/ns/user", &ours) < 0)
		return -1;
	fd = open(proc_path(path, pid, "/ns/user"), O_RDONLY | O_CLOEXEC);
	if (fd >= 0 && is_same(fd, &ours)) {
		close(fd);
		return -1;
	}
	/* There are 32 at the most in each other, user_namespaces(7). */
	while (fd >= 0) {
		above = ioctl(fd, K_NS_GET_PARENT);
		if (above >= 0 && is_same(above, &ours)) {
			close(above);
			break;
		}
		close(fd);
		fd = above;
	}
	return fd;
}

bool write_inside(int userns, int root, const char *path, const char *name,
		  const char *text)
{
	const ssize_t len = (ssize_t)strlen(text);
	int status = 0, fd;
	pid_t pid;

	pid = fork();
	if (pid == 0) {
		if (setns(userns, CLONE_NEWUSER) < 0)
			_exit(1);
		fd = openat(root, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
		fd = openat(fd, name, O_WRONLY | O_CLOEXEC);
		_exit(fd < 0 || write(fd, text, (size_t)len) != len);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return false;
	return pid > 0 && WIFEXITED(status) && !WEXITSTATUS(status);
}
