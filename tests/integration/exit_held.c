/*
 * A first process that stops on its way out: its child traces it with
 * PTRACE_O_TRACEEXIT and never looks; ptrace(2). With "gone" it ends by itself.
 */
#include <signal.h>
#include <stdio.h>
#include <sys/ptrace.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	int pair[2];
	char word;

	(void)argv;
	if (pipe(pair) < 0)
		return 1;
	if (fork() == 0) {
		for (int sig = 1; sig < 65; sig++)
			signal(sig, SIG_IGN);
		if (ptrace(PTRACE_SEIZE, getppid(), 0, PTRACE_O_TRACEEXIT) < 0)
			perror("PTRACE_SEIZE");
		if (write(pair[1], "x", 1) < 0)
			return 1;
		for (;;)
			pause();
	}
	if (read(pair[0], &word, 1) < 0)
		return 1;
	puts("traced");
	fflush(stdout);
	while (argc < 2)
		pause();
	return 0;
}
