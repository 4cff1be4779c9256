/*
 * The floor of a start: the helper with a plan that was made before, the cgroups,
 * and nothing else. No state, no warden, no signal is passed on.
 *
 *     floor HELPER DIRECTORY
 *
 * DIRECTORY/plan is the plan, whose only slot is the channel, descriptor 3.
 * DIRECTORY/cgroups has a line for each step: "D PATH" makes a directory, "W FILE
 * VALUE" writes a value.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../c/plan.h"

#define CHANNEL 3
#define PLAN 4
#define OURS 10
#define LINES 4096
#define SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static _Noreturn void die(const char *what)
{
	fprintf(stderr, "floor: %s: %s\n", what, strerror(errno));
	exit(1);
}

static char *read_file(const char *dir, const char *name, size_t *size)
{
	char path[4096];
	struct stat st;
	char *bytes;
	int fd;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		die(path);
	*size = (size_t)st.st_size;
	bytes = malloc(*size + 1);
	if (!bytes || read(fd, bytes, *size) != st.st_size)
		die(path);
	bytes[*size] = 0;
	close(fd);
	return bytes;
}

/* The helper takes a plan that nobody can change any more. */
static void seal_plan(const char *bytes, size_t size)
{
	int fd = memfd_create("plan", MFD_ALLOW_SEALING);

	if (fd < 0 || write(fd, bytes, size) != (ssize_t)size ||
	    fcntl(fd, F_ADD_SEALS, SEALS) < 0)
		die("plan");
	if (fd != PLAN && (dup2(fd, PLAN) < 0 || close(fd) < 0))
		die("plan");
}

static void start_helper(const char *helper)
{
	pid_t pid = vfork();

	if (pid == 0) {
		execl(helper, "rustyrun-helper", "child", "4", (char *)NULL);
		_exit(127);
	}
	if (pid < 0)
		die("vfork");
	close(CHANNEL);
	close(PLAN);
}

static void write_value(const char *file, const char *value)
{
	int fd = open(file, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		die(file);
	close(fd);
}

/* Returns how many directories were made; they are listed in `dirs`. */
static int make_cgroups(char *text, char **dirs)
{
	int count = 0;

	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n")) {
		char *value = strchr(line + 2, ' ');

		if (*line == 'W' && value) {
			*value = 0;
			write_value(line + 2, value + 1);
		} else if (count < LINES && !mkdir(line + 2, 0755)) {
			dirs[count++] = line + 2;
		} else {
			die(line);
		}
	}
	return count;
}

/* Answers until the command runs; returns the pid of its process. */
static pid_t serve(int channel)
{
	struct report report;
	pid_t first = 0;

	while (recv(channel, &report, sizeof(report), 0) > 0) {
		if (report.kind == REPORT_ERROR) {
			errno = report.err;
			die(report.text);
		}
		if (report.kind == REPORT_FORKED)
			first = report.detail;
		if (report.kind == REPORT_SYNC && write(channel, "", 1) != 1)
			die("channel");
	}
	return first;
}

int main(int argc, char **argv)
{
	static char *dirs[LINES];
	int pair[2], status, code = 1, count;
	size_t size;
	char *plan, *cgroups;
	pid_t pid, first;

	if (argc != 3)
		return 2;
	/* Whatever the caller has handed on. */
	if (syscall(SYS_close_range, CHANNEL, ~0u, 0) < 0)
		die("close_range");
	plan = read_file(argv[2], "plan", &size);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0 ||
	    pair[0] != CHANNEL || fcntl(pair[1], F_DUPFD_CLOEXEC, OURS) != OURS ||
	    close(pair[1]) < 0)
		die("socketpair");
	seal_plan(plan, size);
	start_helper(argv[1]);
	cgroups = read_file(argv[2], "cgroups", &size);
	count = make_cgroups(cgroups, dirs);
	first = serve(OURS);
	while ((pid = waitpid(-1, &status, __WALL)) > 0)
		if (pid == first)
			code = WIFEXITED(status) ? WEXITSTATUS(status) : 128;
	while (count > 0)
		while (rmdir(dirs[--count]) < 0)
			if (errno != EBUSY)
				die(dirs[count]);
			else
				count++;
	return code;
}
