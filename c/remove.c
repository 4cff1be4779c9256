/*
 * Removal for the host stage: what a container has left behind, for `delete`,
 * for a start that fails, and for what others have left. The k operations of a
 * plan name it, as they do for the keeper and the warden.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"
#include "decode.h"
#include "remove.h"
#include "stage.h"
#include "teardown.h"
#include "tree.h"
#include "vector.h"

/* Who is to remove what others have left waits for so many steps: some 10 ms;
 * and where a step takes long (a file in many pieces, a disk that stands still), so
 * many milliseconds. */
#define PATIENCE 512
#define PATIENCE_MS 300

/* From the process that removes to the one that waits for it. */
struct word {
	uint32_t index; /* of what stays, or GOES_ON */
	int32_t err;
	char what[REPORT_TEXT];
};

#define GOES_ON UINT32_MAX

static struct {
	struct teardown td;
	struct op program; /* goes on once nothing stays; code 0: none does */
	bool begun;
	int waits;	   /* pipe to who waits, as long as there is somebody */
	unsigned int left; /* steps until nobody does */
} removal;

static void tell(uint32_t index, int err, const char *what)
{
	child.index = index;
	report(REPORT_STAYS, err, 0, what, -1);
}

/* The operation is the last one with its slot; from here on the descriptor is
 * the removal's, who has it until the end. */
static void keep_slot(int64_t slot)
{
	child.slot[slot] = -1;
}

/* Where the directory above is gone, so is what was in it. */
static void add(const struct op *op)
{
	if (teardown_add(&removal.td, op, child.slot) < 0) {
		if (errno != ENOENT && errno != ENOTDIR)
			tell(op->index, errno, op->a[0].p);
		return;
	}
	/* Before the plan enters a user namespace, where ids are others. */
	teardown_look(&removal.td);
	if (op->code == OP_K_STATE)
		keep_slot(op->a[2].n);
	if (op->code == OP_K_MOUNT)
		keep_slot(op->a[0].n);
}

/* Less than a pipe takes in one piece. Where nobody waits, nobody hears it. */
static void send_word(uint32_t index, int err, const char *what)
{
	struct word word = { .index = index, .err = err };
	ssize_t n;

	for (size_t i = 0; what[i] && i < sizeof(word.what) - 1; i++)
		word.what[i] = what[i];
	do
		n = write(removal.waits, &word, sizeof(word));
	while (n < 0 && errno == EINTR);
}

static void take_steps(unsigned int more)
{
	if (removal.left > more) {
		removal.left -= more;
		return;
	}
	if (!removal.left)
		return;
	removal.left = 0;
	send_word(GOES_ON, 0, "");
	/* By that name it is alone. */
	prctl(PR_SET_NAME, "rustyrun-remove");
}

/* What rustyrun itself has to do. It has null devices as standard streams: nobody
 * waits for it. */
_Noreturn static void become_program(const struct op *op)
{
	int fd;

	send_word(GOES_ON, 0, "");
	do
		fd = open("/dev/null", O_RDWR);
	while (fd >= 0 && fd < 2);
	if (fd > 2)
		close(fd);
	signal(SIGPIPE, SIG_DFL);
	exec_lists(NULL, &op->a[0], &op->a[1]);
	_exit(127);
}

/* Holds what is to be removed and the state's lock, and nothing of whoever
 * started it: neither its streams nor its session, nor the report channel. */
_Noreturn static void work(int how)
{
	int keep[TEARDOWN_FDS + TEARDOWN_TREES + 1];
	struct teardown *td = &removal.td;
	unsigned int n = teardown_fds(td, keep);

	for (unsigned int i = 0; i < td->trees; i++)
		keep[n++] = td->tree[i].own;
	keep[n++] = removal.waits;
	setsid();
	close_others(0, keep, n);
	tell_steps(take_steps);
	removal.left = PATIENCE;
	td->tell = send_word;
	if (chdir("/") < 0)
		_exit(125);
	teardown_run(td, how);
	if (removal.program.code && !td->stays)
		become_program(&removal.program);
	_exit(0);
}

/* Waits for the end, or for the word that it will take longer, or until it does. */
static void remove_patiently(int how)
{
	const int64_t until = now_ms() + PATIENCE_MS;
	struct pollfd p = { .events = POLLIN };
	int end[2], status = 0;
	struct word word;
	bool late = false;
	int64_t left;
	ssize_t n;
	pid_t pid;

	check(pipe2(end, O_CLOEXEC), "pipe2");
	removal.waits = end[1];
	pid = fork();
	check(pid, "fork");
	if (pid == 0)
		work(how);
	close(end[1]);
	p.fd = end[0];
	for (;;) {
		left = until - now_ms();
		n = left > 0 ? poll(&p, 1, (int)left) : 0;
		late = n == 0;
		if (late)
			break;
		if (n > 0)
			n = read(end[0], &word, sizeof(word));
		if (n < 0 && errno == EINTR)
			continue;
		if (n != (ssize_t)sizeof(word) || word.index == GOES_ON)
			break;
		if (word.index >= child.plan.ops)
			fail(EINVAL, "what the removal says");
		word.what[sizeof(word.what) - 1] = 0;
		tell(word.index, word.err, word.what);
	}
	close(end[0]);
	if (late || n == (ssize_t)sizeof(word))
		return;
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (WIFSIGNALED(status))
		kill(getpid(), WTERMSIG(status));
	else if (status)
		fail(EIO, NULL);
}

int run_remove_op(const struct op *op)
{
	int how;

	if (!removal.begun) {
		teardown_init(&removal.td);
		removal.td.tell = tell;
		removal.begun = true;
	}
	switch (op->code) {
	case OP_K_CGROUP:
	case OP_K_STATE:
	case OP_K_TREE:
	case OP_K_MOUNT:
	case OP_K_FLAGS:
		add(op);
		return 1;
	case OP_K_DELETE:
		removal.program = *op;
		return 1;
	case OP_REMOVE:
		how = (int)narrow(op->a[0].n);
		if (how & REMOVE_LATER)
			remove_patiently(how);
		else
			teardown_run(&removal.td, how);
		return 1;
	}
	return 0;
}
