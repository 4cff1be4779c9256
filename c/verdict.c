/*
 * What the keeper tells the user when the container has ended: the exit code,
 * and the words of the plan for what an exit code does not say.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "decode.h"
#include "proc.h"
#include "verdict.h"

/* kText's op for a helper that died without a word. */
#define KEEPER_DIED (-2)

static void print(const char *text, size_t size)
{
	ssize_t n;

	while (size) {
		n = write(2, text, size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return;
		text += n;
		size -= (size_t)n;
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

_Noreturn void give_up(const char *why)
{
	print_text("rustyrun: Cannot keep the container: ");
	print_text(why);
	print_text("\n");
	_exit(125);
}

/* A name of a list; NULL beyond its end. */
static const char *list_at(const struct arg *list, uint32_t index)
{
	const char *p = list->p;

	if (index >= list->count)
		return NULL;
	while (index--)
		p += strlen(p) + 1;
	return p;
}

/* The counter behind "key " at the start of a line. */
static bool was_out_of_memory(const struct op *oom)
{
	char text[1024];
	size_t len = oom->a[1].len;

	if (!len || read_whole(oom->a[0].p, text, sizeof(text)) < 0)
		return false;
	for (const char *p = text; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (strncmp(p, oom->a[1].p, len) || p[len] != ' ')
			continue;
		return p[len + 1] >= '1' && p[len + 1] <= '9';
	}
	return false;
}

/* The words for a failure after the hand-over; 0 when the plan has none. */
static int print_late(const struct keeper *k, int64_t op_index, int64_t err)
{
	struct plan walk = k->plan;
	struct op op;

	while (plan_next(&walk, &op) == 0) {
		if (op.code != OP_K_TEXT)
			continue;
		if (op.a[0].n != op_index &&
		    (op.a[0].n != -1 || op_index == KEEPER_DIED))
			continue;
		if (op.a[1].n != err && op.a[1].n != -1)
			continue;
		print(op.a[3].p, op.a[3].len);
		return op.a[2].n > 0 && op.a[2].n < 256 ? (int)op.a[2].n : 125;
	}
	return 0;
}

static int tell_failure(const struct keeper *k)
{
	int code = print_late(k, k->late.index, k->late.err);

	if (code)
		return code;
	print_text("rustyrun: Cannot start the command: operation ");
	print_number(k->late.index);
	print_text(" failed with errno ");
	print_number(k->late.err);
	print_text("\n");
	return 125;
}

static int tell_death(const struct keeper *k)
{
	int sig = WIFSIGNALED(k->status) ? WTERMSIG(k->status) : 0;
	int code = print_late(k, KEEPER_DIED, sig);

	if (code)
		return code;
	print_text("rustyrun: Cannot start the command: the helper ended with ");
	print_text(sig ? "signal " : "code ");
	print_number(sig ? sig : WEXITSTATUS(k->status));
	print_text("\n");
	return 125;
}

/* What ended it: the kill that stands for a signal counts as that one. */
static int find_signal(const struct keeper *k)
{
	int sig = WIFSIGNALED(k->status) ? WTERMSIG(k->status) : 0;

	return sig == SIGKILL && k->dropped && !k->refused ? k->dropped : sig;
}

static int find_exit_code(const struct keeper *k)
{
	if (k->aborted)
		return 128 + k->aborted;
	if (WIFSIGNALED(k->status))
		return 128 + find_signal(k);
	return WEXITSTATUS(k->status);
}

/* Why the container was killed, when it was not the user who asked for it. */
static void print_killed(const struct keeper *k, bool oom)
{
	struct op op;

	if (oom && find_op(&k->plan, OP_K_OOM, &op))
		print(op.a[2].p, op.a[2].len);
	if (k->refused && find_op(&k->plan, OP_K_REFUSE, &op))
		print(op.a[0].p, op.a[0].len);
}

/* What the user is told beside the exit code. */
int tell_end(const struct keeper *k, bool *oom)
{
	int code = find_exit_code(k);
	struct op op;

	*oom = code == 128 + SIGKILL && !k->aborted && !k->refused &&
	       find_op(&k->plan, OP_K_OOM, &op) && was_out_of_memory(&op);
	if (!find_op(&k->plan, OP_K_JSON, &op))
		print_killed(k, *oom);
	if (k->aborted)
		return code;
	if (k->failed)
		return tell_failure(k);
	if (!k->about_to_exec)
		return tell_death(k);
	return code;
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
bool keep_code(const struct keeper *k, int code)
{
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

void print_json(const struct keeper *k, int code, bool oom)
{
	int sig = find_signal(k);
	const char *name;
	struct op op;

	/* A command that did not start has its own words, once. */
	if (!k->about_to_exec || k->failed ||
	    !find_op(&k->plan, OP_K_JSON, &op))
		return;
	print(op.a[0].p, op.a[0].len);
	/* One object: in there the words are members of it. */
	print_killed(k, oom);
	print_text("\"exitCode\":");
	print_number(code);
	print_text(",\"signal\":");
	name = list_at(&op.a[1], (uint32_t)sig);
	if (!sig)
		print_text("null");
	else if (name)
		print_text(name);
	else
		print_number(sig);
	print_text(oom ? ",\"oom\":true}\n" : ",\"oom\":false}\n");
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
