/*
 * The keeper: what the rustyrun process is while its container runs. It has
 * the pid that the user started; it forwards signals, relays the terminal,
 * waits, removes what the container leaves behind, and ends as it ended.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"
#include "cgroup.h"
#include "decode.h"
#include "held.h"
#include "keeper.h"
#include "kernel.h"
#include "measure.h"
#include "output.h"
#include "proc.h"
#include "result.h"
#include "signals.h"
#include "teardown.h"
#include "tty.h"
#include "vector.h"
#include "verdict.h"
#include "wake.h"

/* How long a container that was killed may take to be gone. */
#define GONE_MS 10000
/* How long the warden may take to answer: it may be stopped. */
#define WARDEN_MS 1000
/* How long who copies the output may take to end when it has been killed. */
#define COPIER_MS 1000
/* How long what a terminal still has to say is waited for before the container is
 * removed. */
#define SLOW_MS 200
/* What is polled: the terminal's, five of our own, the output's. */
#define OUTPUT_AT (TTY_POLLS + 5)

static struct keeper keeper;

static int take_slot(const struct keeper *k, int64_t slot)
{
	return slot < 0 || slot >= PLAN_SLOTS ? -1 : k->slot[slot];
}

static int take_run(struct keeper *k, const struct arg *a)
{
	if (a[0].n <= 0 || a[0].n > INT32_MAX || a[1].n < 0 ||
	    a[1].n > INT32_MAX)
		return -1;
	k->init = (pid_t)a[0].n;
	k->warden = (pid_t)a[1].n;
	k->channel = take_slot(k, a[2].n);
	k->control = take_slot(k, a[3].n);
	k->tty.master = take_slot(k, a[4].n);
	return 0;
}

/* The caller's own descriptors are the container's affair: a pipe must not
 * stay open because the keeper has it too. */
static void close_foreign(struct keeper *k)
{
	struct op op;
	int keep[20];
	unsigned int n = 0;

	for (int fd = 0; fd < 3; fd++)
		keep[n++] = fd;
	keep[n++] = k->signals;
	if (find_op(&k->plan, OP_K_RUN, &op))
		for (int i = 2; i < 5; i++)
			keep[n++] = take_slot(k, op.a[i].n);
	if (find_op(&k->plan, OP_K_STATE, &op))
		keep[n++] = take_slot(k, op.a[2].n);
	if (find_op(&k->plan, OP_K_MOUNT, &op))
		keep[n++] = take_slot(k, op.a[0].n);
	if (find_op(&k->plan, OP_K_RESULT, &op))
		keep[n++] = take_slot(k, op.a[0].n);
	if (find_op(&k->plan, OP_K_OUTPUT, &op)) {
		keep[n++] = take_slot(k, op.a[0].n);
		keep[n++] = take_slot(k, op.a[1].n);
	}
	if (find_op(&k->plan, OP_K_DETACH, &op)) {
		keep[n++] = k->caller = take_slot(k, op.a[0].n);
		keep[n++] = take_slot(k, op.a[2].n);
	}
	close_others(0, keep, n);
	syscall(SYS_close_range, 3u, ~0u, K_CLOSE_RANGE_CLOEXEC);
}

static void read_keeper_plan(struct keeper *k, int fd)
{
	struct plan walk;
	struct op op;
	const void *bytes;
	size_t size;
	int r, runs = 0;

	bytes = map_plan(fd, &size);
	if (!bytes || plan_open(&k->plan, bytes, size, k->slot) < 0)
		give_up("bad plan");
	close_foreign(k);
	walk = k->plan;
	while (plan_next(&walk, &op) == 0) {
		if (op.code == OP_K_RUN)
			r = runs++ ? -1 : take_run(k, op.a);
		else
			r = teardown_add(&k->td, &op, k->slot);
		if (r < 0)
			give_up(op.a[0].p ? op.a[0].p : "bad plan");
	}
	if (!runs)
		give_up("bad plan");
}

/* stdout and stdin belong to the container alone: whoever reads or feeds them
 * must see the end when the container closes them. */
static void leave_stdio(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (fd < 0) {
		close(0);
		close(1);
		return;
	}
	dup2(fd, 0);
	dup2(fd, 1);
	if (fd > 1)
		close(fd);
}

static void reap(struct keeper *k)
{
	struct rusage usage;
	int status;
	pid_t pid;

	while ((pid = wait4(-1, &status, WNOHANG | __WALL, &usage)) > 0) {
		if (pid == k->init) {
			k->ended = true;
			k->status = status;
			k->usage = usage;
			k->over = now_ms();
		} else if (pid == k->warden) {
			k->warden = 0;
		}
	}
	/* Not our child, then: nothing can be waited for. */
	if (pid < 0 && errno == ECHILD && !k->ended)
		give_up("its first process is not a child of this process");
}

static void release_held(struct keeper *k)
{
	for (int i = 0; i < 64; i++) {
		if (k->held[i].ssi_signo)
			deliver(k, &k->held[i]);
		k->held[i].ssi_signo = 0;
	}
}

static void open_output(struct keeper *k)
{
	struct op op;

	if (!find_op(&k->plan, OP_K_OUTPUT, &op))
		output_none(&k->out);
	else if (!output_open(&k->out, take_slot(k, op.a[0].n),
			      take_slot(k, op.a[1].n), op.a[2].n)) {
		kill_init(k);
		give_up("no process for its output");
	}
}

static int make_timer(struct keeper *k, const struct itimerspec *at)
{
	int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);

	if (timerfd_settime(fd, 0, at, NULL) < 0) {
		kill_init(k);
		give_up("timerfd");
	}
	return fd;
}

/* The caller's alarm(2) goes on by a descriptor: a process has one timer of that
 * kind, and it is needed. */
static void open_wake(struct keeper *k)
{
	struct itimerval left = { 0 };
	struct itimerspec alarm = { 0 };

	if (k->tty.master < 0)
		return;
	if (!wake_open(&left)) {
		kill_init(k);
		give_up("timer");
	}
	alarm.it_value.tv_sec = left.it_value.tv_sec;
	alarm.it_value.tv_nsec = left.it_value.tv_usec * 1000;
	alarm.it_interval.tv_sec = left.it_interval.tv_sec;
	alarm.it_interval.tv_nsec = left.it_interval.tv_usec * 1000;
	if (alarm.it_value.tv_sec || alarm.it_value.tv_nsec)
		k->alarm = make_timer(k, &alarm);
}

static void start_timer(struct keeper *k)
{
	struct itimerspec end = { 0 };
	struct op op;

	if (!find_op(&k->plan, OP_K_TIME, &op))
		return;
	end.it_value.tv_sec = (time_t)(op.a[0].n / 1000);
	end.it_value.tv_nsec = (long)(op.a[0].n % 1000) * 1000000;
	k->timer = make_timer(k, &end);
}

/* A user's own container may give files and cgroups to ids that only its user
 * namespace may touch. The warden has that since it was made; later the first
 * process may be in another one, and the warden stopped. */
static void take_userns(struct keeper *k)
{
	struct pollfd p = { .fd = k->control, .events = POLLIN };
	int fds[PACKET_FDS];
	char byte;

	if (k->control < 0 || (!k->td.trees && !k->td.cgroups) ||
	    geteuid() == 0 || send(k->control, "U", 1, MSG_NOSIGNAL) != 1 ||
	    poll(&p, 1, WARDEN_MS) <= 0)
		return;
	if (receive_fds(k->control, &byte, 1, fds) == 1)
		k->td.userns = fds[0];
}

/* From here on the container runs. */
static void open_gate(struct keeper *k)
{
	take_userns(k);
	measure_open(k);
	if (!k->ended && !held_open(k)) {
		kill_init(k);
		give_up("pidfd_open");
	}
	k->began = k->over = now_ms();
	start_timer(k);
	if (k->tty.master < 0)
		leave_stdio();
	/* Where nobody reads it, the channel's end is read next. */
	if (k->channel >= 0 && !k->aborted && !k->ended)
		(void)send(k->channel, "g", 1, MSG_NOSIGNAL);
}

/* Reads what the helper reports until the end: a failure, or execve. */
static void read_channel(struct keeper *k)
{
	struct report packet;
	ssize_t n;

	while (k->channel >= 0) {
		n = recv(k->channel, &packet, sizeof(packet), MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return;
		if (n == (ssize_t)sizeof(packet)) {
			if (packet.kind == REPORT_ABOUT_TO_EXEC)
				k->about_to_exec = true;
			if (packet.kind != REPORT_ERROR || k->failed)
				continue;
			k->late = packet;
			k->failed = true;
			continue;
		}
		close(k->channel);
		k->channel = -1;
		if (k->about_to_exec && !k->failed && !k->aborted) {
			if (!tell_caller(k))
				kill_init(k);
			release_held(k);
		}
	}
}

static void handle_before_start(struct keeper *k,
				const struct signalfd_siginfo *info)
{
	int sig = (int)info->ssi_signo;
	struct signalfd_siginfo *held = &k->held[sig - 1];

	/* About to exec, the command may run already: the channel ends when the
	 * last of the helper's processes has let go of it. The signal is the
	 * command's, unless it comes again. */
	if (!ends_start(sig) || (k->about_to_exec && !held->ssi_signo)) {
		*held = *info;
		/* The last of the two rules, as in signal(7). */
		if (sig == SIGTSTP || sig == SIGCONT)
			k->held[(sig == SIGCONT ? SIGTSTP : SIGCONT) - 1]
				.ssi_signo = 0;
		if (ends_start(sig) && !is_ignored_here(sig))
			held_ask(k, sig);
		return;
	}
	k->aborted = sig;
	kill_init(k);
}

static void handle_signal(struct keeper *k, const struct signalfd_siginfo *info)
{
	int sig = (int)info->ssi_signo;
	bool by_user = info->ssi_code <= 0;

	if (sig == SIGCHLD) {
		reap(k);
		return;
	}
	/* What the container's first process sends us must not come back to
	 * it (kill(-1) without a pid namespace). */
	if (by_user && (pid_t)info->ssi_pid == k->init)
		return;
	/* From our own write. */
	if (sig == SIGPIPE && (pid_t)info->ssi_pid == getpid())
		return;
	if (sig == SIGWINCH && k->tty.master >= 0) {
		tty_resize(&k->tty);
		return;
	}
	/* A caller's nohup, or a shell's "&": the container begins with no
	 * signal ignored, and is to hear nothing of these either. */
	if ((sig == SIGHUP || sig == SIGINT || sig == SIGQUIT) &&
	    is_ignored_here(sig))
		return;
	read_channel(k); /* the command may have started meanwhile */
	if (k->channel >= 0) {
		handle_before_start(k, info);
		return;
	}
	deliver(k, info);
	if (ends_start(sig) && !is_ignored_here(sig))
		held_ask(k, sig);
}

static void read_signals(struct keeper *k)
{
	struct signalfd_siginfo info[4];
	ssize_t n;

	do {
		n = read(k->signals, info, sizeof(info));
		for (ssize_t i = 0; i < n / (ssize_t)sizeof(info[0]); i++)
			handle_signal(k, &info[i]);
	} while (n == (ssize_t)sizeof(info));
}

/* The first cause is the one that counts. */
static void stop(struct keeper *k, enum cause cause)
{
	if (k->timer >= 0)
		close(k->timer);
	k->timer = -1;
	k->cause = cause;
}

/* Moves what can be moved; who shares the terminal may make that wait. */
static void move(struct keeper *k, const struct pollfd *p)
{
	struct signalfd_siginfo info;

	wake_on();
	tty_move(&k->tty, p);
	if (wake_off(&info))
		handle_signal(k, &info);
}

/* As the kernel would have said it. */
static void take_alarm(struct keeper *k)
{
	const struct signalfd_siginfo info = { .ssi_signo = SIGALRM,
					       .ssi_code = SI_KERNEL };
	uint64_t times;

	if (read(k->alarm, &times, sizeof(times)) == sizeof(times))
		handle_signal(k, &info);
}

static void run(struct keeper *k)
{
	struct pollfd p[OUTPUT_AT + OUTPUT_POLLS + MEASURE_POLLS];
	struct pollfd *const bells = p + OUTPUT_AT + OUTPUT_POLLS;
	int timeout, n;

	while (!k->ended) {
		tty_polls(&k->tty, p);
		p[3] = (struct pollfd){ .fd = k->signals, .events = POLLIN };
		p[4] = (struct pollfd){ .fd = k->channel, .events = POLLIN };
		p[5] = (struct pollfd){ .fd = k->timer, .events = POLLIN };
		p[6] = (struct pollfd){ .fd = k->end, .events = POLLIN };
		p[7] = (struct pollfd){ .fd = k->alarm, .events = POLLIN };
		timeout = held_timeout(k, tty_timeout(&k->tty));
		output_polls(&k->out, p + OUTPUT_AT);
		measure_polls(k, bells);
		n = poll(p, OUTPUT_AT + OUTPUT_POLLS + MEASURE_POLLS, timeout);
		if (n < 0)
			continue;
		/* Before anything else: its cgroup may go now. */
		if (p[6].revents)
			measure_now(k);
		measure_heard(k, bells);
		if (n == 0)
			held_look(k);
		if (p[4].revents)
			read_channel(k);
		move(k, p);
		output_hear(&k->out, p + OUTPUT_AT);
		while (k->tty.interrupts-- > 0)
			typed(k, SIGINT);
		while (k->tty.quits-- > 0)
			typed(k, SIGQUIT);
		if (p[3].revents)
			read_signals(k);
		if (p[7].revents)
			take_alarm(k);
		if ((p[6].revents || k->zombie) && !k->ended) {
			reap(k);
			if (!k->ended)
				held_zombie(k);
		}
		if (p[5].revents && !k->ended)
			stop(k, TIME_IS_UP);
		if (k->out.over && !k->cause && !k->ended)
			stop(k, TOO_MUCH_OUTPUT);
		/* Somebody has killed who copies it. */
		if (output_is_lost(&k->out) && !k->killed && !k->ended)
			kill_init(k);
		held_stop(k);
	}
	read_channel(k);
}

/* Hooks and systemd units need policy, which C has not: rustyrun itself does
 * it. It inherits the state's lock. How it ends changes no exit code. */
static void run_delete(const struct keeper *k)
{
	struct op op;
	int status;
	pid_t pid;

	if (!find_op(&k->plan, OP_K_DELETE, &op) || !op.a[0].count)
		return;
	pid = fork();
	if (pid == 0) {
		signal(SIGPIPE, SIG_DFL);
		restore_signals(0);
		if (k->td.state_dir >= 0)
			fcntl(k->td.state_dir, F_SETFD, 0);
		exec_lists(NULL, &op.a[0], &op.a[1]);
		_exit(127);
	}
	while (pid > 0 && waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
}

/* The warden ends at once; one that is stopped is not waited for. */
static void dismiss_warden(struct keeper *k)
{
	/* Its end alone: what it has said late is read by nobody. */
	struct pollfd p = { .fd = k->control };

	if (k->control < 0)
		return;
	if (send(k->control, "D", 1, MSG_NOSIGNAL) == 1 &&
	    poll(&p, 1, WARDEN_MS) > 0 && k->warden)
		while (waitpid(k->warden, NULL, __WALL) < 0 && errno == EINTR)
			;
}

/* What the container still had to say. Nothing is left of it but that, and its
 * reader may take the time that it needs; but what was killed must end. */
static void drain_output(struct keeper *k)
{
	struct pollfd p[OUTPUT_POLLS + 1];
	int n;

	while (output_waits(&k->out)) {
		output_polls(&k->out, p);
		p[OUTPUT_POLLS] = (struct pollfd){ .fd = k->signals,
						   .events = POLLIN };
		n = poll(p, OUTPUT_POLLS + 1, k->cause ? GONE_MS : -1);
		if (n == 0 || (n > 0 && p[OUTPUT_POLLS].revents &&
			       is_asked_to_end(k->signals)))
			break;
		if (n > 0)
			output_hear(&k->out, p);
	}
	output_close(&k->out, COPIER_MS);
}

_Noreturn static void finish(struct keeper *k)
{
	const bool shared = k->td.flags & TEARDOWN_SHARED_PID;
	bool drained = true, removed;
	struct op op;
	/* With exec others live on, who may have the terminal open. */
	const int quiet = shared || find_op(&k->plan, OP_K_EXEC, &op) ?
				  100 :
				  GONE_MS;

	if (shared)
		cgroup_kill(k->td.cgroup, k->td.cgroups, k->td.userns);
	if (k->about_to_exec && !k->aborted)
		drained = tty_drain(&k->tty, quiet, SLOW_MS, k->signals);
	if (drained)
		tty_restore(&k->tty);
	output_count(&k->out, GONE_MS);
	measure_now(k);
	judge(k);
	write_result(k);
	if (keep_code(k))
		teardown_spare(&k->td);
	run_delete(k);
	removed = teardown_run(&k->td,
			       REMOVE_ALL | (shared ? REMOVE_KILL : 0)) >= 0;
	dismiss_warden(k);
	/* Whoever reads the terminal may take its time, as below. */
	if (!drained && !is_asked_to_end(k->signals))
		tty_drain(&k->tty, quiet, k->cause ? GONE_MS : -1, k->signals);
	tty_restore(&k->tty);
	if (!removed)
		tell_leftover(k);
	drain_output(k);
	tell_end(k);
	_exit(k->code);
}

_Noreturn void keeper_main(int plan_fd)
{
	struct keeper *k = &keeper;
	const uint64_t all = ~0ull;

	prctl(PR_SET_DUMPABLE, 0);
	block_signals();
	k->signals = (int)syscall(SYS_signalfd4, -1, &all, sizeof(all),
				  SFD_CLOEXEC | SFD_NONBLOCK);
	if (k->signals < 0)
		give_up("signalfd");
	tell_until(k->signals);
	/* An ignored SIGCHLD, which a caller may leave us, hides exit codes. */
	signal(SIGCHLD, SIG_DFL);
	signal(SIGPIPE, SIG_IGN);
	prctl(PR_SET_NAME, "rustyrun");
	teardown_init(&k->td);
	k->tty.master = k->caller = k->timer = k->alarm = k->end = -1;
	read_keeper_plan(k, plan_fd);
	open_output(k);
	tty_open(&k->tty, k->tty.master);
	open_wake(k);
	tty_enter(&k->tty);
	/* It may have ended already. */
	k->about_to_exec = k->channel < 0;
	if (k->about_to_exec && !tell_caller(k))
		kill_init(k);
	read_signals(k);
	reap(k);
	open_gate(k);
	run(k);
	finish(k);
}
