/*
 * The container's user namespace: a user's container may give files of its cgroup
 * to ids that only this has. Its owner has every capability in it after setns(2).
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "userns.h"

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
