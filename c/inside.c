/*
 * A killed first process ends its pid namespace, but first it has to end itself; and
 * others in there can keep it from that. Who traces one of its threads with
 * PTRACE_O_TRACEEXIT stops that before it is dead for as long as the tracer does not
 * look (ptrace(2), PTRACE_EVENT_EXIT); who sleeps in splice(2) holds a pipe that it
 * may wait to write to, where no signal is taken. Their end frees it, and only then
 * would the kernel have killed them. cgroup.kill does the same where there is one.
 */
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "inside.h"
#include "kernel.h"
#include "proc.h"
#include "tree.h"

/* So many steps up from child to parent. Who lives in a pid namespace further in
 * dies with the first process of that. */
#define CLIMB 32

static pid_t read_pid(pid_t pid, const char *key)
{
	char path[32], text[4096];

	if (pid <= 0 ||
	    read_whole(proc_path(path, pid, "/status"), text, sizeof(text)) < 0)
		return 0;
	return (pid_t)read_field(text, key, 10);
}

bool is_traced(pid_t pid)
{
	return read_pid(pid, "\nTracerPid:") > 0;
}

static bool read_namespace(pid_t pid, char name[64])
{
	char path[32];
	const ssize_t n = readlinkat(AT_FDCWD, proc_path(path, pid, "/ns/pid"),
				     name, 63);

	name[n < 0 ? 0 : n] = 0;
	return n > 0;
}

/* "NSpid:\t4711\t1": its number in each pid namespace, its own last. */
static bool is_first(pid_t pid)
{
	char path[32], text[4096];
	const char *line, *end;

	if (read_whole(proc_path(path, pid, "/status"), text, sizeof(text)) < 0)
		return false;
	line = strstr(text, "\nNSpid:\t");
	end = line ? strchr(line + 1, '\n') : NULL;
	return end && end - line > 10 && !memcmp(end - 2, "\t1", 2);
}

static pid_t to_number(const char *name)
{
	const char *p = name;
	const uint64_t n = read_number(&p, 10);

	return *p || n > INT32_MAX ? 0 : (pid_t)n;
}

/* The homes of the container and of this process. */
static struct {
	char inside[64], ours[64];
} home;

static bool lives_inside(pid_t pid, pid_t first)
{
	char name[64];

	for (int i = 0; i < CLIMB && pid > 1 && pid != first; i++) {
		if (read_namespace(pid, name)) {
			if (!strcmp(name, home.inside))
				return true;
			/* Nobody above is further in. */
			if (!strcmp(name, home.ours))
				return false;
		}
		pid = read_pid(pid, "\nPPid:");
	}
	return pid == first;
}

/* Numbers are those of /proc, which may be another pid namespace's than ours: a
 * pidfd says which it is there. */
static void kill_one(pid_t pid, pid_t first, int pidfd)
{
	/* From here on the number is nobody else's, if it is still its. */
	const int one = (int)syscall(SYS_pidfd_open, pid, 0u);

	if (one < 0)
		return;
	if (find_pid(one) == pid && lives_inside(pid, first) &&
	    find_pid(pidfd) == first)
		syscall(SYS_pidfd_send_signal, one, SIGKILL, NULL, 0u);
	close(one);
}

static bool read_homes(pid_t first)
{
	const ssize_t n = readlinkat(AT_FDCWD, "/proc/self/ns/pid", home.ours,
				     sizeof(home.ours) - 1);

	if (n <= 0 || !is_first(first) || !read_namespace(first, home.inside))
		return false;
	home.ours[n] = 0;
	return strcmp(home.inside, home.ours) != 0;
}

void kill_inside(int pidfd)
{
	static struct dir all;
	const pid_t first = find_pid(pidfd);
	const char *name;
	bool is_dir;
	int fd;

	if (first <= 1 || !read_homes(first))
		return;
	fd = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	dir_start(&all, fd);
	while ((name = dir_next(&all, &is_dir))) {
		const pid_t pid = to_number(name);

		if (pid > 1 && pid != first && lives_inside(pid, first))
			kill_one(pid, first, pidfd);
	}
	close(fd);
}
