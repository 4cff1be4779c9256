/*
 * Who traces a process may hold it at its end: with PTRACE_O_TRACEEXIT it stops
 * before it is dead for as long as the tracer does not look (ptrace(2),
 * PTRACE_EVENT_EXIT), and no second SIGKILL changes that. The end of the tracer
 * does.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel.h"
#include "proc.h"
#include "tracer.h"

/* So many may trace each other in a row. */
#define CHAIN 32

static pid_t read_pid(pid_t pid, const char *key)
{
	char path[32], text[4096];

	if (pid <= 0 ||
	    read_whole(proc_path(path, pid, "/status"), text, sizeof(text)) < 0)
		return 0;
	return (pid_t)read_field(text, key, 10);
}

static bool read_namespace(pid_t pid, char name[64])
{
	char path[32];
	const ssize_t n = readlinkat(AT_FDCWD, proc_path(path, pid, "/ns/pid"),
				     name, 63);

	name[n < 0 ? 0 : n] = 0;
	return n > 0;
}

/* A debugger of the host's is none of ours. */
static bool is_inside(pid_t tracer, pid_t pid)
{
	char a[64], b[64];

	return read_namespace(tracer, a) && read_namespace(pid, b) &&
	       !strcmp(a, b);
}

bool is_traced(pid_t pid)
{
	return read_pid(pid, "\nTracerPid:") > 0;
}

void kill_tracers(pid_t pid)
{
	const pid_t first = pid;

	for (int i = 0; i < CHAIN; i++) {
		/* A thread, maybe. */
		const pid_t tracer = read_pid(pid, "\nTracerPid:");
		const pid_t whole = read_pid(tracer, "\nTgid:");
		const int fd = whole <= 0 ? -1 :
					    (int)syscall(SYS_pidfd_open, whole,
							 0u);

		if (fd < 0)
			return;
		/* From here on the number is nobody else's, if it is still its. */
		if (read_pid(pid, "\nTracerPid:") != tracer ||
		    !is_inside(tracer, first)) {
			close(fd);
			return;
		}
		syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0u);
		close(fd);
		pid = whole;
	}
}
