/*
 * What becomes of a signal that came to the keeper: it is the command's, that
 * of the command's whole process group, or the end of the container.
 */
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"
#include "held.h"
#include "kernel.h"
#include "proc.h"
#include "signals.h"
#include "tty.h"

/* Three times Ctrl-C within this time end a container, whatever it does. */
#define PRESS_MS 2000
/* How often a process is looked at before it is said to take no signal. */
#define LOOKS 3

bool is_ignored_here(int sig)
{
	struct sigaction now;

	return sigaction(sig, NULL, &now) == 0 && now.sa_handler == SIG_IGN;
}

bool ends_start(int sig)
{
	return sig == SIGHUP || sig == SIGINT || sig == SIGQUIT ||
	       sig == SIGTERM;
}

bool is_asked_to_end(int signals)
{
	struct signalfd_siginfo info;

	while (read(signals, &info, sizeof(info)) == sizeof(info))
		if (ends_start((int)info.ssi_signo) &&
		    !is_ignored_here((int)info.ssi_signo))
			return true;
	return false;
}

struct dispositions {
	pid_t parent;
	uint64_t caught;
	uint64_t blocked;
	uint64_t ignored;
};

static bool read_dispositions(pid_t pid, struct dispositions *d)
{
	char path[32], text[4096];

	if (read_whole(proc_path(path, pid, "/status"), text,
		       sizeof(text)) < 0)
		return false;
	d->caught = read_field(text, "\nSigCgt:", 16);
	d->blocked = read_field(text, "\nSigBlk:", 16);
	d->ignored = read_field(text, "\nSigIgn:", 16);
	d->parent = (pid_t)read_field(text, "\nPPid:", 10);
	return true;
}

/* How long the read of one word may take; who is slower is asked no more. */
#define READ_MS 500

/* Whether a set of signals in another process's memory has one, or may have it.
 * That memory can be such that reading it takes for ever (userfaultfd(2), a file
 * of a FUSE of theirs), and nothing but SIGKILL ends that: a child reads. One
 * that is killed is reaped with the others. */
static bool is_in_set(pid_t pid, void *address, uint64_t bit)
{
	uint64_t set = 0;
	struct iovec ours = { &set, sizeof(set) };
	struct iovec theirs = { address, sizeof(set) };
	struct pollfd p = { .events = POLLIN };
	int status = 0, ended;
	pid_t reader;

	reader = clone_child(0, -1, &p.fd);
	if (reader < 0)
		return true;
	if (reader == 0)
		_exit(process_vm_readv(pid, &ours, 1, &theirs, 1, 0) !=
			      (ssize_t)sizeof(set) ||
		      set & bit);
	ended = poll(&p, 1, READ_MS);
	close(p.fd);
	if (ended <= 0) {
		kill(reader, SIGKILL);
		return true;
	}
	return waitpid(reader, &status, 0) != reader || status;
}

/* Whoever sits in sigwait(3) has the signals that it waits for unblocked just
 * then, rt_sigtimedwait(2): tini and other inits do. What may not be looked at
 * may be one. */
static bool is_waited_for(pid_t pid, uint64_t bit)
{
	char path[32], text[256];
	const char *p = text;
	uint64_t number;

	/* "NUMBER 0xARGUMENT ...", or "running" */
	if (read_whole(proc_path(path, pid, "/syscall"), text,
		       sizeof(text)) < 0)
		return true;
	if (*p < '0' || *p > '9')
		return false;
	number = read_number(&p, 10);
	if (number != SYS_rt_sigtimedwait &&
	    number != K_COMPAT_SIGTIMEDWAIT &&
	    number != K_COMPAT_SIGTIMEDWAIT64)
		return false;
	if (strncmp(p, " 0x", 3) != 0)
		return true;
	p += 3;
	return is_in_set(pid, (void *)(uintptr_t)read_number(&p, 16), bit);
}

/* Whether the container's first process, as pid 1 of its namespace, never gets
 * the signal because it has no handler: to any other process that would be the
 * end. Who blocks a signal reads it by signalfd(2). */
static bool is_dropped(const struct keeper *k, int sig)
{
	const uint64_t bit = 1ull << (sig - 1);
	struct dispositions d;

	if (k->td.flags & (TEARDOWN_SHARED_PID | KEEPER_INIT))
		return false;
	/* Between two looks it may go into sigwait(3) or come out of it. */
	for (int i = 0; i < LOOKS; i++)
		if (!read_dispositions(k->init, &d) ||
		    (d.caught | d.blocked | d.ignored) & bit ||
		    is_waited_for(k->init, bit))
			return false;
	return true;
}

/* By default they do nothing or stop; signal(7). */
static bool ends_by_default(int sig)
{
	return sig != SIGCHLD && sig != SIGCONT && sig != SIGURG &&
	       sig != SIGWINCH && sig != SIGSTOP && sig != SIGTSTP &&
	       sig != SIGTTIN && sig != SIGTTOU;
}

/* The container ends as a process would that the signal ends. */
static void end_by(struct keeper *k, int sig)
{
	if (!k->dropped)
		k->dropped = sig;
	kill_init(k);
}

/* With a siginfo of our own making: a value, or whom it is for. */
static bool queue(struct keeper *k, const struct signalfd_siginfo *from,
		  int code)
{
	siginfo_t info;
	int sig = (int)from->ssi_signo;

	memset(&info, 0, sizeof(info));
	info.si_signo = sig;
	info.si_code = code;
	info.si_pid = (pid_t)from->ssi_pid;
	info.si_uid = from->ssi_uid;
	memcpy(&info.si_value, &from->ssi_ptr, sizeof(info.si_value));
	return syscall(SYS_rt_sigqueueinfo, k->init, sig, &info) == 0;
}

/* A value that came with the signal (sigqueue) goes along. */
static void forward(struct keeper *k, const struct signalfd_siginfo *from)
{
	if (from->ssi_code != SI_QUEUE || !queue(k, from, SI_QUEUE))
		kill(k->init, (int)from->ssi_signo);
}

/* The group of the command, which has no terminal of ours: its own session's. */
static pid_t command_group(const struct keeper *k)
{
	pid_t group = getpgid(k->init);

	return group > 1 && group != getpgrp() ? group : 0;
}

/* As a terminal sends it: to all processes of the group in front. Without a
 * terminal nobody inside has moved another one there. */
static void send_to_group(struct keeper *k, const struct signalfd_siginfo *from)
{
	int sig = (int)from->ssi_signo;
	pid_t group;

	if (k->tty.master >= 0 &&
	    syscall(SYS_ioctl, k->tty.master, K_TIOCSIG, (long)sig) == 0)
		return;
	if (k->td.flags & KEEPER_INIT && queue(k, from, SIGNAL_TO_GROUP))
		return;
	group = command_group(k);
	if (!group || kill(-group, sig) < 0)
		forward(k, from);
}

/* Whether this is the third Ctrl-C in a row. */
static bool is_third(struct keeper *k)
{
	int64_t now = now_ms(), first = k->pressed[0];

	k->pressed[0] = k->pressed[1];
	k->pressed[1] = now;
	return first && now - first <= PRESS_MS;
}

static void refuse(struct keeper *k)
{
	pid_t group = command_group(k);

	k->refused = true;
	/* Beside exec's first process those of its group end. */
	if (group && k->init)
		kill(-group, SIGKILL);
	kill_init(k);
}

void deliver(struct keeper *k, const struct signalfd_siginfo *from)
{
	int sig = (int)from->ssi_signo;
	const bool press = sig == SIGINT || sig == SIGQUIT;
	/* From the driver of the terminal: nobody else's has this code. */
	const bool terminal = from->ssi_code == SI_KERNEL &&
			      (press || sig == SIGHUP);

	if (sig == SIGCONT)
		tty_enter(&k->tty);
	if (k->ended)
		return;
	if (terminal && press && is_third(k)) {
		refuse(k);
		return;
	}
	/* When the terminal is gone, it is for good: the container would run on
	 * with nobody to see it. */
	if (sig != SIGPIPE && ends_by_default(sig) &&
	    (k->td.flags & KEEPER_ENDS || (terminal && !press)) &&
	    is_dropped(k, sig)) {
		end_by(k, sig);
		return;
	}
	if (terminal)
		send_to_group(k, from);
	else
		forward(k, from);
}

/* The terminal inside is about to make the signal of a character, for the
 * group in front. Where that is the command's own, nobody else may get it. */
void typed(struct keeper *k, int sig)
{
	const uint64_t bit = 1ull << (sig - 1);
	const pid_t front = k->tty.front;
	struct dispositions d;
	bool dropped;

	if (k->ended || front <= 0 || !read_dispositions(front, &d))
		return;
	if (k->td.flags & KEEPER_INIT ? d.parent != k->init :
					front != getpgid(k->init))
		return;
	dropped = is_dropped(k, sig);
	if (dropped && k->td.flags & KEEPER_ENDS)
		end_by(k, sig);
	else if ((dropped || d.ignored & bit) && is_third(k))
		refuse(k);
}
