/*
 * Kills processes of rustyrun at the k-th system call they make. Between two
 * system calls a process changes nothing that another one can see, so all k of
 * a run are all the instants there are.
 *
 *   fault MODE K REPORT PROGRAM ARGS...
 *
 * MODE: host    the main thread of PROGRAM's process (after an execve into the
 *               keeper too), which is then killed
 *       helper  the processes that run the helper, counted together; the one
 *               that makes call K is killed
 *       both    as helper, and the host is killed with it
 *       all     as helper, and every process that runs the helper is killed
 *               with the host
 * K: 0 kills nothing and counts
 * REPORT: a file that gets "MODE COUNT killed PID NUMBER COMM" or, when nothing
 * was killed, "MODE COUNT ended FIRST": the call that was the first flock(2),
 * with which a command begins to change something
 *
 * Exits as PROGRAM's process does; 128+n for a signal. Linux 5.3
 * (PTRACE_GET_SYSCALL_INFO). Seen at the entry of a call: the call does not
 * happen.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/ptrace.h>

enum { MAX = 512 };

struct tracee {
	pid_t tid;
	bool helper;
};

static struct tracee tracees[MAX];
static int count;
static pid_t host;
static long calls, wanted, first;
static const char *mode;
static FILE *out;

static struct tracee *find(pid_t tid, bool add)
{
	for (int i = 0; i < count; i++)
		if (tracees[i].tid == tid)
			return &tracees[i];
	if (!add || count == MAX)
		return NULL;
	tracees[count] = (struct tracee){ .tid = tid };
	return &tracees[count++];
}

static void forget(pid_t tid)
{
	struct tracee *t = find(tid, false);

	if (t)
		*t = tracees[--count];
}

static void read_file(pid_t tid, const char *name, char *text, size_t size)
{
	char path[64];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", tid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd < 0 ? -1 : read(fd, text, size - 1);
	text[n < 0 ? 0 : n] = 0;
	text[strcspn(text, "\n")] = 0;
	if (fd >= 0)
		close(fd);
}

static bool runs_helper(pid_t tid)
{
	char path[64], exe[256];
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%d/exe", tid);
	n = readlink(path, exe, sizeof(exe) - 1);
	exe[n < 0 ? 0 : n] = 0;
	return strstr(exe, "rustyrun-helper") != NULL;
}

/* A thread of the host, not a process. */
static bool is_thread(pid_t tid)
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/task/%d", host, tid);
	return tid != host && access(path, F_OK) == 0;
}

static bool is_counted(const struct tracee *t)
{
	return strcmp(mode, "host") == 0 ? t->tid == host :
					   t->helper && t->tid != host;
}

static void finish(void)
{
	fclose(out);
	_exit(0); /* what is still traced goes on by itself */
}

static void strike(pid_t tid, long number)
{
	char comm[64];

	read_file(tid, "comm", comm, sizeof(comm));
	fprintf(out, "%s %ld killed %d %ld %s\n", mode, calls, tid, number,
		comm);
	if (strcmp(mode, "both") == 0 || strcmp(mode, "all") == 0)
		kill(host, SIGKILL);
	for (int i = 0; i < count && strcmp(mode, "all") == 0; i++)
		if (tracees[i].helper)
			kill(tracees[i].tid, SIGKILL);
	kill(tid, SIGKILL);
	finish();
}

/* Returns the request that lets the tracee go on. */
static int on_stop(pid_t tid, int status, int *signal)
{
	struct tracee *t = find(tid, true);
	int event = status >> 16;
	struct ptrace_syscall_info info;

	if (!t)
		return PTRACE_DETACH;
	if (event == PTRACE_EVENT_EXEC)
		t->helper = runs_helper(tid);
	if (event == PTRACE_EVENT_CLONE || event == PTRACE_EVENT_FORK ||
	    event == PTRACE_EVENT_VFORK) {
		unsigned long child = 0;
		struct tracee *c;

		ptrace(PTRACE_GETEVENTMSG, tid, NULL, &child);
		c = find((pid_t)child, true);
		t = find(tid, false);
		if (c && t)
			c->helper = t->helper;
	}
	if (event == PTRACE_EVENT_STOP && is_thread(tid)) {
		forget(tid);
		return PTRACE_DETACH;
	}
	/* What the container runs is not ours. */
	if (event == PTRACE_EVENT_EXEC && tid != host && !t->helper) {
		forget(tid);
		return PTRACE_DETACH;
	}
	if (!event && WSTOPSIG(status) == (SIGTRAP | 0x80)) {
		if (!is_counted(t) ||
		    ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof(info), &info) <
			    0 ||
		    info.op != PTRACE_SYSCALL_INFO_ENTRY)
			return PTRACE_SYSCALL;
		if (++calls == wanted)
			strike(tid, (long)info.entry.nr);
		if (!first && info.entry.nr == SYS_flock)
			first = calls;
	} else if (!event) {
		*signal = WSTOPSIG(status);
	} else if (event == PTRACE_EVENT_STOP && WSTOPSIG(status) != SIGTRAP) {
		return PTRACE_LISTEN; /* a group stop */
	}
	return PTRACE_SYSCALL;
}

static void trace(void)
{
	int status;
	pid_t tid;

	for (;;) {
		tid = waitpid(-1, &status, __WALL);
		if (tid < 0 && errno == EINTR)
			continue;
		if (tid < 0)
			break;
		if (WIFSTOPPED(status)) {
			int signal = 0, how = on_stop(tid, status, &signal);

			ptrace(how, tid, NULL, (void *)(long)signal);
			continue;
		}
		forget(tid);
		/* What lives on has nobody to be killed against. */
		if (tid == host)
			break;
	}
	fprintf(out, "%s %ld ended %ld\n", mode, calls, first);
	finish();
}

int main(int argc, char **argv)
{
	const long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACEEXEC |
			     PTRACE_O_TRACECLONE | PTRACE_O_TRACEFORK |
			     PTRACE_O_TRACEVFORK;
	int go[2], ready[2], status = 0;
	char byte;

	if (argc < 5 || !(out = fopen(argv[3], "we")) || pipe2(go, O_CLOEXEC) ||
	    pipe2(ready, O_CLOEXEC))
		return 99;
	mode = argv[1];
	wanted = atol(argv[2]);
	host = fork();
	if (host == 0) {
		close(go[1]);
		if (read(go[0], &byte, 1) != 1)
			_exit(98);
		execv(argv[4], argv + 4);
		_exit(97);
	}
	if (fork() == 0) {
		/* The tracer must neither keep pipes open nor be an orphan that
		 * outlives the test. */
		close(0);
		close(1);
		close(2);
		close(ready[0]);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (ptrace(PTRACE_SEIZE, host, NULL, (void *)options) < 0)
			_exit(96);
		find(host, true);
		if (write(ready[1], "r", 1) != 1)
			_exit(95);
		trace();
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) != 1 || write(go[1], "g", 1) != 1)
		return 94;
	while (waitpid(host, &status, 0) < 0 && errno == EINTR)
		;
	while (wait(NULL) > 0 || errno == EINTR)
		;
	return WIFSIGNALED(status) ? 128 + WTERMSIG(status) :
				     WEXITSTATUS(status);
}
