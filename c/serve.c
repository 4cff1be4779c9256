/*
 * The keeper in the host's place. After a start from a recipe
 * (mod/container/replay.ts) Deno is gone while the child stage still works, and
 * what it would have done at the gate is in the keeper's plan. Where the child
 * stage fails, all of it is removed and rustyrun is started again, which goes
 * the long way and finds the words for the error.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "keeper.h"
#include "kernel.h"

/* How long the warden may take to remove what was never let through. */
#define REMOVE_MS 10000
/* How often to look, a millisecond apart, for the end of who is ending. */
#define END_TRIES 1000

/* From outside, so that a tiny limit cannot break the setup; prlimit(2). */
static int apply_limits(const struct keeper *k)
{
	struct plan walk = k->plan;
	struct op op;

	while (plan_next(&walk, &op) == 0) {
		uint64_t limit[2];

		if (op.code != OP_K_LIMIT)
			continue;
		limit[0] = (uint64_t)op.a[1].n;
		limit[1] = (uint64_t)op.a[2].n;
		if (syscall(SYS_prlimit64, k->init, (unsigned int)op.a[0].n,
			    limit, NULL) < 0)
			return -1;
	}
	return 0;
}

static int write_all(int fd, const char *p, size_t size)
{
	ssize_t n;

	while (size) {
		n = write(fd, p, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

static int write_text(int fd, const char *text)
{
	return write_all(fd, text, strlen(text));
}

static const char *number_text(char room[16], pid_t n)
{
	size_t at = 15;

	room[at] = '\0';
	do {
		room[--at] = (char)('0' + n % 10);
		n /= 10;
	} while (n && at);
	return room + at;
}

/* Field 22 of /proc/PID/stat, the start time: proc_pid_stat(5). The name in
 * field 2 may hold blanks and brackets. */
static const char *start_time(char *stat)
{
	char *p = strrchr(stat, ')');

	for (int field = 2; p && field < 22; field++) {
		p = strchr(p, ' ');
		if (p)
			p++;
	}
	if (p)
		p[strspn(p, "0123456789")] = '\0';
	return p && *p ? p : NULL;
}

/* The state, with what was not known when the plan was written. */
static int write_state(const struct keeper *k, const struct op *op)
{
	const struct arg *text = &op->a[2];
	char path[32], stat[1024], pid[16];
	const char *start;
	int fd;

	if (k->td.state_dir < 0 ||
	    read_whole(proc_path(path, k->init, "/stat"), stat,
		       sizeof(stat)) < 0)
		return -1;
	start = start_time(stat);
	if (!start)
		return -1;
	fd = openat(k->td.state_dir, op->a[3].p,
		    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	if (write_all(fd, text->p, text->len) < 0 ||
	    write_text(fd, ",\"pid\":") < 0 ||
	    write_text(fd, number_text(pid, k->init)) < 0 ||
	    write_text(fd, ",\"startTime\":\"") < 0 ||
	    write_text(fd, start) < 0 || write_text(fd, "\"}") < 0) {
		close(fd);
		return -1;
	}
	close(fd);
	return renameat(k->td.state_dir, op->a[3].p, k->td.state_dir,
			op->a[4].p);
}

static bool give_limits(struct keeper *k)
{
	if (!k->limited && apply_limits(k) < 0)
		return false;
	k->limited = true;
	if (!k->at_ready)
		return true;
	k->at_ready = false;
	return send(k->channel, "g", 1, MSG_NOSIGNAL) == 1;
}

static bool fail_serving(struct keeper *k)
{
	k->late.err = errno;
	k->failed = true;
	stop_serving(k);
	return false;
}

static void wipe(char **words)
{
	for (; *words; words++)
		memset(*words, 0, strlen(*words));
}

/* The gate opens when the child stage is there and its pid is known: the one
 * may come before the other. */
bool serve_packet(struct keeper *k, const struct report *packet)
{
	struct op op;

	if (!k->serving || k->ended || !find_op(k, OP_K_SERVE, &op))
		return false;
	if (packet->kind == REPORT_FORKED && !k->init && packet->detail > 0)
		k->init = packet->detail;
	if (packet->kind == REPORT_SYNC && packet->detail == op.a[0].n)
		k->at_ready = true;
	if (packet->kind == REPORT_SYNC && packet->detail == op.a[1].n)
		k->at_gate = true;
	if (!k->init || k->failed)
		return false;
	if ((k->at_ready || k->at_gate) && !give_limits(k))
		return fail_serving(k);
	if (!k->at_gate)
		return false;
	if (write_state(k, &op) < 0)
		return fail_serving(k);
	k->serving = false;
	/* The caller's command line and environment are in /proc/PID for as
	 * long as we are, and the one of them for everybody. */
	wipe(k->again);
	wipe(environ);
	return true;
}

void stop_serving(struct keeper *k)
{
	kill_init(k);
	k->ended = true;
}

/* The warden knows by now what is ours and what is another's. Returns whether
 * it has removed all of it. */
static bool withdraw(struct keeper *k)
{
	struct pollfd p = { .fd = k->control, .events = POLLIN };
	int status = -1;

	if (k->control < 0 || !k->warden)
		return false;
	shutdown(k->control, SHUT_WR);
	/* One that was stopped does not do it later. */
	if (poll(&p, 1, REMOVE_MS) <= 0)
		kill(k->warden, SIGKILL);
	while (waitpid(k->warden, &status, __WALL) < 0 && errno == EINTR)
		;
	k->warden = 0;
	return status == 0;
}

/* Who closed the channel by its end is a zombie a little later: rustyrun must
 * not get children that it does not know. Those that the caller had before it
 * became us do not end for us: not for ever. */
static void start_again(const struct keeper *k)
{
	int tries = 0;
	pid_t pid;

	while ((pid = waitpid(-1, NULL, WNOHANG | __WALL)) > 0 ||
	       (!pid && tries++ < END_TRIES))
		if (!pid)
			sleep_ms(1);
	restore_signals(k->mask);
	execve(k->again[0], k->again, environ);
}

_Noreturn void end_serving(struct keeper *k)
{
	const bool owned = k->init || k->at_gate;
	bool clean, oom;
	int code;

	if (k->channel >= 0)
		close(k->channel);
	clean = withdraw(k) || teardown_run(&k->td, owned, owned) == 0;
	if (clean && !k->aborted && *k->again)
		start_again(k);
	code = tell_end(k, &oom);
	if (!clean)
		tell_leftover(k);
	_exit(code);
}

_Noreturn void refuse_plan(const struct keeper *k, const char *why)
{
	if (*k->again) {
		/* The warden sees our end of its socket go. */
		syscall(SYS_close_range, 3u, ~0u, 0u);
		start_again(k);
	}
	give_up(why);
}
