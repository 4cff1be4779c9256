/*
 * `--init`: the container's pid 1, which forwards signals, reaps, and ends as
 * the command ends. Or, idle, pid 1 of a container in which others are started
 * one after the other: it reaps, and ends by what asks a program to end.
 */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"
#include "forget.h"
#include "init.h"
#include "kernel.h"
#include "stage.h"

/* A value that came with the signal (sigqueue) goes along. What the keeper's
 * terminal has sent is for all that a terminal would have reached. */
static void forward(pid_t command, int sig, siginfo_t *info)
{
	if (info->si_code == SIGNAL_TO_GROUP && kill(-command, sig) == 0)
		return;
	if (info->si_code == SI_QUEUE &&
	    syscall(SYS_rt_sigqueueinfo, command, sig, info) == 0)
		return;
	kill(command, sig);
}

static bool is_request_to_end(int sig)
{
	return sig == SIGTERM || sig == SIGINT || sig == SIGHUP ||
	       sig == SIGQUIT;
}

/* `command` 0: there is none. */
_Noreturn static void init_main(pid_t command)
{
	sigset_t all;
	siginfo_t info;
	int sig, status;
	pid_t pid;

	sigfillset(&all);
	syscall(SYS_close_range, 3u, ~0u, 0);
	for (;;) {
		sig = sigwaitinfo(&all, &info);
		if (sig < 0)
			continue;
		if (!command && is_request_to_end(sig))
			_exit(128 + sig);
		if (sig != SIGCHLD) {
			if (!command)
				continue;
			forward(command, sig, &info);
			continue;
		}
		while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
			if (pid != command)
				continue;
			if (WIFEXITED(status))
				_exit(WEXITSTATUS(status));
			_exit(128 + WTERMSIG(status));
		}
	}
}

void run_init(bool idle)
{
	sigset_t all;
	pid_t pid;

	sigfillset(&all);
	check(sigprocmask(SIG_SETMASK, &all, NULL), "sigprocmask");
	if (idle) {
		say_progress("watch");
		/* The end of the channel behind it says that it is there. */
		report(REPORT_ABOUT_TO_EXEC, 0, 0, NULL, -1);
		forget_rest();
		/* As after execve: who owns it may have more run beside it.
		 * There is nothing left of the host's to be read. */
		prctl(PR_SET_DUMPABLE, 1);
		init_main(0);
	}
	pid = fork();
	check(pid, "fork");
	if (pid) {
		/* Whichever of the two is first. */
		setpgid(pid, pid);
		say_progress("watch");
		forget_rest();
		init_main(pid);
	}
	/* Its own group in front of the terminal, as a shell would do. */
	setpgid(0, 0);
	tcsetpgrp(0, getpid());
}
