/*
 * A first process that another one of the container keeps from its end. Its child
 * traces it with PTRACE_O_TRACEEXIT and never looks, ptrace(2); with "gone" it ends
 * by itself then. With "thread" the child traces its second thread alone. With
 * "pipe" it waits to write to one whose lock the child has, which sleeps in
 * splice(2) to a socket that is full.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int told[2];
static volatile int thread;

static void *wait_here(void *unused)
{
	thread = (int)syscall(SYS_gettid);
	for (;;)
		pause();
	return unused;
}

static void trace(int pid)
{
	if (ptrace(PTRACE_SEIZE, pid, 0, PTRACE_O_TRACEEXIT) < 0)
		perror("PTRACE_SEIZE");
	if (write(told[1], "x", 1) < 0)
		perror("write");
}

/* Takes what a pipe holds to where there is no room for it. */
static void hold(int from)
{
	static const char block[4096];
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		perror("socketpair");
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	while (write(pair[0], block, sizeof(block)) > 0 ||
	       write(pair[0], block, 1) > 0)
		;
	fcntl(pair[0], F_SETFL, 0);
	if (write(told[1], "x", 1) < 0)
		perror("write");
	splice(from, NULL, pair[0], NULL, 100, 0);
	perror("splice");
}

int main(int argc, char **argv)
{
	const char *how = argc > 1 ? argv[1] : "";
	const int pipes = !strcmp(how, "pipe");
	pthread_t other;
	int held[2];
	char word;

	if (pipe(told) < 0 || pipe(held) < 0 || write(held[1], "some", 4) < 0)
		return 1;
	if (!strcmp(how, "thread")) {
		pthread_create(&other, NULL, wait_here, NULL);
		while (!thread)
			usleep(1000);
	}
	if (fork() == 0) {
		for (int sig = 1; sig < 65; sig++)
			signal(sig, SIG_IGN);
		if (pipes)
			hold(held[0]);
		else
			trace(thread ? thread : getppid());
		for (;;)
			pause();
	}
	if (read(told[0], &word, 1) < 0)
		return 1;
	if (pipes)
		sleep(1); /* nothing tells that it is in there */
	puts(pipes ? "waits" : "traced");
	fflush(stdout);
	if (pipes && write(held[1], "x", 1) < 0)
		return 1;
	while (strcmp(how, "gone"))
		pause();
	return 0;
}
