/*
 * What the keeper tells the user when the container has ended: the exit code,
 * and the words of the plan for what an exit code does not say.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "decode.h"
#include "measure.h"
#include "signals.h"
#include "verdict.h"
#include "wake.h"

/* kText's op for a helper that died without a word. */
#define KEEPER_DIED (-2)

/* How long nobody may read a terminal. Who reads a pipe may take its time, until
 * somebody wants us to end. */
#define READ_MS 1000

static int signals = -1;
/* Nobody hears the rest. */
static bool unheard;

void tell_until(int fd)
{
	signals = fd;
}

/* All signals are blocked, so it never waits but here; whoever has the same open
 * file may set O_NONBLOCK on it, or fill what had room. */
static void print(const char *text, size_t size)
{
	struct pollfd p[2] = { { .fd = 2, .events = POLLOUT },
			       { .fd = signals, .events = POLLIN } };
	struct signalfd_siginfo unused;
	struct itimerval left;
	ssize_t n;

	if (!wake_is_open())
		wake_open(&left);
	while (size && !unheard) {
		n = poll(p, 2, isatty(2) ? READ_MS : -1);
		if (n < 0)
			continue;
		if (!p[0].revents) {
			unheard = n == 0 || is_asked_to_end(signals);
			continue;
		}
		wake_on();
		n = write(2, text, size < PIPE_BUF ? size : PIPE_BUF);
		wake_off(&unused);
		if (n > 0) {
			text += n;
			size -= (size_t)n;
		}
		unheard = n <= 0 && errno != EINTR && errno != EAGAIN;
	}
}

static void print_text(const char *text)
{
	print(text, strlen(text));
}

static void print_number(int64_t v)
{
	char digits[24];
	size_t at = sizeof(digits);
	bool minus = v < 0;

	do {
		digits[--at] = (char)('0' + (v < 0 ? -(v % 10) : v % 10));
		v /= 10;
	} while (v);
	if (minus)
		digits[--at] = '-';
	print(digits + at, sizeof(digits) - at);
}

/* The signal that ended the first process; 0: it ended by itself. */
static int death_signal(const struct keeper *k)
{
	return WIFSIGNALED(k->status) ? WTERMSIG(k->status) : 0;
}

_Noreturn void give_up(const char *why)
{
	print_text("rustyrun: Cannot keep the container: ");
	print_text(why);
	print_text("\n");
	_exit(125);
}

const char *list_at(const struct arg *list, uint32_t index)
{
	const char *p = list->p;

	if (index >= list->count)
		return NULL;
	while (index--)
		p += strlen(p) + 1;
	return p;
}

bool find_late(const struct keeper *k, struct op *op)
{
	const bool died = !k->failed;
	const int64_t index = died ? KEEPER_DIED : (int64_t)k->late.index;
	const int64_t err = died ? death_signal(k) : k->late.err;
	struct plan walk = k->plan;

	while (plan_next(&walk, op) == 0) {
		if (op->code != OP_K_TEXT)
			continue;
		if (op->a[0].n != index && (op->a[0].n != -1 || died))
			continue;
		if (op->a[1].n == err || op->a[1].n == -1)
			return true;
	}
	return false;
}

bool has_started(const struct keeper *k)
{
	return k->aborted || k->cause || (k->about_to_exec && !k->failed);
}

/* What ended it: the kill that stands for a signal counts as that one. */
int find_signal(const struct keeper *k)
{
	int sig = death_signal(k);

	return sig == SIGKILL && k->dropped && !k->refused ? k->dropped : sig;
}

/* A code of the plan's: what cannot be one is 125. */
static int plan_code(int64_t code)
{
	return code > 0 && code < 256 ? (int)code : 125;
}

/* The operation that says what to tell when we ended it ourselves. */
static bool find_cause(const struct keeper *k, struct op *op)
{
	return k->cause && find_op(&k->plan,
				   k->cause == TIME_IS_UP ? OP_K_TIME :
							    OP_K_OUTPUT,
				   op);
}

static int find_code(const struct keeper *k)
{
	struct op op;

	if (k->aborted)
		return 128 + k->aborted;
	if (find_cause(k, &op))
		return plan_code(op.a[op.code == OP_K_TIME ? 1 : 3].n);
	return WIFSIGNALED(k->status) ? 128 + find_signal(k) :
					WEXITSTATUS(k->status);
}

void judge(struct keeper *k)
{
	struct op op;

	/* It had just ended by itself. */
	if (k->cause == TIME_IS_UP && death_signal(k) != SIGKILL)
		k->cause = NO_CAUSE;
	/* Whether it did so before we had read all or after: one verdict. */
	if (k->out.over && !k->cause)
		k->cause = TOO_MUCH_OUTPUT;
	if (k->failed)
		k->cause = NO_CAUSE;
	k->code = find_code(k);
	k->oom = k->code == 128 + SIGKILL && !k->aborted && !k->refused &&
		 find_op(&k->plan, OP_K_OOM, &op) && k->count[COUNT_OOM] > 0;
	if (!has_started(k))
		k->code = find_late(k, &op) ? plan_code(op.a[2].n) : 125;
}

/* Why the container was killed, when it was not the user who asked for it. */
static void print_killed(const struct keeper *k)
{
	struct op op;

	if (k->oom && find_op(&k->plan, OP_K_OOM, &op))
		print(op.a[2].p, op.a[2].len);
	if (k->refused && find_op(&k->plan, OP_K_REFUSE, &op))
		print(op.a[0].p, op.a[0].len);
	if (find_cause(k, &op)) {
		const struct arg *text = &op.a[op.code == OP_K_TIME ? 2 : 4];

		print(text->p, text->len);
	}
}

static void print_failure(const struct keeper *k)
{
	const int sig = death_signal(k);
	struct op op;

	if (find_late(k, &op)) {
		print(op.a[3].p, op.a[3].len);
		return;
	}
	print_text("rustyrun: Cannot start the command: ");
	if (k->failed) {
		print_text("operation ");
		print_number(k->late.index);
		print_text(" failed with errno ");
		print_number(k->late.err);
	} else {
		print_text(sig ? "the helper ended with signal " :
				 "the helper ended with code ");
		print_number(sig ? sig : WEXITSTATUS(k->status));
	}
	print_text("\n");
}

static void print_json(const struct keeper *k, const struct op *json)
{
	int sig = find_signal(k);
	const char *name = list_at(&json->a[1], (uint32_t)sig);

	print(json->a[0].p, json->a[0].len);
	/* One object: in there the words are members of it. */
	print_killed(k);
	print_text("\"exitCode\":");
	print_number(k->code);
	print_text(",\"signal\":");
	if (!sig)
		print_text("null");
	else if (name)
		print_text(name);
	else
		print_number(sig);
	print_text(k->oom ? ",\"oom\":true}\n" : ",\"oom\":false}\n");
}

void tell_end(const struct keeper *k)
{
	const bool started = has_started(k);
	struct op op;

	if (!find_op(&k->plan, OP_K_JSON, &op))
		print_killed(k);
	else if (started && (k->about_to_exec || k->cause) && !k->failed)
		print_json(k, &op);
	/* It has words of its own, once. */
	if (!started)
		print_failure(k);
}

bool tell_caller(struct keeper *k)
{
	struct op op;
	ssize_t n;
	int null;

	if (k->caller < 0 || !find_op(&k->plan, OP_K_DETACH, &op))
		return true;
	n = send(k->caller, op.a[1].p, op.a[1].len, MSG_NOSIGNAL);
	close(k->caller);
	k->caller = -1;
	/* Until now our words went there. */
	null = open("/dev/null", O_WRONLY | O_CLOEXEC);
	dup2(null, 2);
	close(null);
	return n == (ssize_t)op.a[1].len;
}

/* Whole or not at all: a reader may come at any time. */
bool keep_code(const struct keeper *k)
{
	const int code = k->code;
	char text[4] = { 0 };
	struct op op;
	int fd, dir, n = 0;

	if (k->caller >= 0 || !find_op(&k->plan, OP_K_DETACH, &op) ||
	    op.a[2].n < 0)
		return false;
	dir = k->slot[op.a[2].n];
	for (int d = 100; d; d /= 10)
		if (code >= d || d == 1)
			text[n++] = (char)('0' + code / d % 10);
	fd = openat(dir, "exit.new",
		    O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC,
		    0600);
	if (write(fd, text, (size_t)n) == n)
		renameat(dir, "exit.new", dir, "exit");
	close(fd);
	return true;
}

void tell_lost(const struct keeper *k, int fd, int err)
{
	struct op op;

	/* With --json that promises one object. */
	if (find_op(&k->plan, OP_K_JSON, &op))
		return;
	print_text("rustyrun: Cannot write the result to descriptor ");
	print_number(fd);
	print_text(": ");
	print_text(err == EAGAIN ? "it is full, and nobody reads it" :
				   strerror(err));
	print_text("\n");
}

void tell_leftover(const struct keeper *k)
{
	print_text("rustyrun: Cannot remove \"");
	if (k->td.above) {
		print_text(k->td.above);
		print_text("/");
	}
	print_text(k->td.failed);
	print_text("\": ");
	print_text(k->td.err == ESTALE ?
			   "it is not what was made for the container" :
			   strerror(k->td.err));
	print_text("\n");
}
