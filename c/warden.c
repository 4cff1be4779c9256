/*
 * The warden: the process that started the container's first one stays, holds
 * what is needed to remove the container, and does so when the foreground
 * process is gone without having done it. It is there before anything exists
 * that could be left behind.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "calls.h"
#include "cgroup.h"
#include "decode.h"
#include "inside.h"
#include "kernel.h"
#include "limits.h"
#include "proc.h"
#include "stage.h"
#include "teardown.h"
#include "tty.h"
#include "warden.h"

/* How long the container's first process may take to be told of after the
 * foreground process died, and to be gone after its SIGKILL. */
#define TELL_MS 30000
#define GONE_MS 30000

struct warden {
	int control; /* 'C': what is named is ours. 'N': it is another's,
		      * and stays. 'U': asks for the user namespace.
		      * 'D': done. End: act */
	int tell;    /* from the child stage: pid and pidfd of init */
	int parent;  /* pidfd of the foreground process */
	int init;    /* pidfd, -1: not told */
	bool has_terminal;	/* the caller's, as stdin */
	struct termios terminal; /* as it was */
	bool owned;
	struct teardown td;
};

static struct warden warden;

/* The names outlive the plan, which is unmapped to stay small. */
static unsigned char config[1 << 17];

static void read_config(const struct arg *blob, struct teardown *td)
{
	static int slot[PLAN_SLOTS];
	struct plan plan;
	struct op op;

	if (blob->len > sizeof(config))
		fail(E2BIG, "the warden's configuration");
	memcpy(config, blob->p, blob->len);
	if (plan_open(&plan, config, blob->len, slot) < 0)
		fail(errno, "the warden's configuration");
	/* Its descriptors are slots of the plan that it is a part of. */
	for (int i = 0; i < PLAN_SLOTS; i++)
		if (slot[i] >= 0)
			slot[i] = slot_fd(slot[i]);
	while (plan_next(&plan, &op) == 0) {
		int r = teardown_add(td, &op, slot);

		if (r < 0)
			fail(errno, op.a[0].p);
		if (r == 0)
			fail(ENOSYS, "the warden's configuration");
	}
}

/* An exec's warden removes nothing, and its /proc is the container's by now. */
bool warden_tell(struct child *c, int pidfd, pid_t pid)
{
	int fds[PACKET_FDS] = { pidfd,
				c->holds_userns ? open("/proc/self/ns/user",
						       O_RDONLY | O_CLOEXEC) :
						  -1 };

	bool told;

	if (c->warden < 0)
		return true;
	/* Where the warden is gone, nobody needs it. A user's processes may have
	 * too many descriptors on their way. */
	told = send_fds(c->warden, &pid, sizeof(pid), fds,
			fds[1] < 0 ? 1 : 2) >= 0 ||
	       errno != ETOOMANYREFS;
	if (fds[1] >= 0)
		close(fds[1]);
	return told;
}

/* Takes the packet of warden_tell, or the end of the child stage. */
static void take_init(struct warden *w)
{
	int fds[PACKET_FDS];
	pid_t pid;
	ssize_t n;

	n = receive_fds(w->tell, &pid, sizeof(pid), fds);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	w->init = fds[0];
	w->td.userns = fds[1];
	close(w->tell);
	w->tell = -1;
}

/* The keeper wants the container's user namespace. It is told of it before the
 * keeper can be there. */
static void give_userns(struct warden *w)
{
	if (w->tell >= 0)
		take_init(w);
	/* Where the keeper is gone, the end of its socket says so. */
	(void)send_fds(w->control, "U", 1, &w->td.userns,
		       w->td.userns < 0 ? 0 : 1);
}

static void take_word(struct warden *w, char word)
{
	if (word == 'C')
		w->owned = true;
	if (word == 'N')
		w->td.cgroups = w->td.trees = 0;
	if (word == 'U')
		give_userns(w);
}

/* Returns false at the end of the control socket. */
static bool take_control(struct warden *w)
{
	char byte[16];
	ssize_t n;

	for (;;) {
		n = recv(w->control, byte, sizeof(byte), MSG_DONTWAIT);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN)
			return true;
		if (n <= 0)
			return false;
		for (ssize_t i = 0; i < n; i++) {
			if (byte[i] == 'D')
				_exit(0);
			take_word(w, byte[i]);
		}
	}
}

static void wait_for_end(struct warden *w)
{
	struct pollfd p[3];

	for (;;) {
		p[0] = (struct pollfd){ .fd = w->control, .events = POLLIN };
		p[1] = (struct pollfd){ .fd = w->tell, .events = POLLIN };
		p[2] = (struct pollfd){ .fd = w->parent, .events = POLLIN };
		if (poll(p, 3, -1) < 0)
			continue;
		if (p[0].revents && !take_control(w))
			return;
		if (p[1].revents)
			take_init(w);
		if (p[2].revents) {
			take_control(w);
			return;
		}
	}
}

/* The child stage may be between clone3 and telling of it. */
static void wait_for_init(struct warden *w)
{
	int64_t until = now_ms() + TELL_MS, left;
	struct pollfd p = { .fd = w->tell, .events = POLLIN };

	while (w->tell >= 0 && (left = until - now_ms()) > 0)
		if (poll(&p, 1, (int)left) > 0)
			take_init(w);
}

/* What the child stage tells may come from whoever traces it: the kernel says which
 * process it is. Returns whether it has ended: with its pid namespace so has all of it. */
static bool end_init(struct warden *w)
{
	struct pollfd p = { .fd = w->init, .events = POLLIN };
	int64_t until = now_ms() + GONE_MS;
	int looks = 0;

	if (w->init < 0)
		return false;
	if (w->owned)
		cgroup_calm(w->td.cgroup, w->td.cgroups);
	do {
		syscall(SYS_pidfd_send_signal, w->init, SIGKILL, NULL, 0u);
		/* It waits for somebody: the container's own, for an exec's end
		 * is not theirs. */
		if (looks++ && w->owned && !(w->td.flags & TEARDOWN_SHARED_PID))
			kill_inside(w->init);
		if (w->owned && w->td.flags & TEARDOWN_SHARED_PID)
			cgroup_kill(w->td.cgroup, w->td.cgroups,
				    w->td.userns);
		if (w->owned)
			cgroup_let_die(w->td.cgroup, w->td.cgroups, w->init);
		if (poll(&p, 1, 100) > 0)
			return true;
		cgroup_free(w->td.way_out, find_pid(w->init));
	} while (now_ms() < until);
	return false;
}

_Noreturn static void warden_main(struct warden *w)
{
	int keep[TEARDOWN_FDS + 4];
	unsigned int n = teardown_fds(&w->td, keep);
	int how = REMOVE_ALL;
	bool ended;

	keep[n++] = w->control;
	keep[n++] = w->tell;
	keep[n++] = w->parent;
	if (w->has_terminal)
		keep[n++] = 0;
	close_others(0, keep, n);
	setsid();
	if (chdir("/") < 0)
		_exit(125);
	prctl(PR_SET_NAME, "rustyrun-warden");
	prctl(PR_SET_DUMPABLE, 0);
	munmap((void *)(uintptr_t)child.plan.bytes, child.plan.size);
	wait_for_end(w);
	if (w->has_terminal)
		tty_put_back(0, &w->terminal);
	wait_for_init(w);
	ended = end_init(w);
	/* It lives, and its state is all that tells of it. */
	if (w->init >= 0 && !ended && !w->td.cgroups)
		_exit(1);
	if (!ended || w->td.flags & TEARDOWN_SHARED_PID)
		how |= REMOVE_KILL;
	teardown_run(&w->td, w->owned ? how : 0);
	_exit(w->td.failed ? 1 : 0);
}

/* What the warden needs is opened before the split, while an error still has
 * a reader. */
void warden_split(struct child *c, const struct op *op)
{
	struct warden *w = &warden;
	int pair[2], fds[TEARDOWN_FDS];
	unsigned int n;
	uint64_t mask;
	pid_t pid;

	w->init = -1;
	w->control = slot_fd(op->a[0].n);
	teardown_init(&w->td);
	read_config(&op->a[1], &w->td);
	w->has_terminal = w->td.flags & TEARDOWN_TERMINAL &&
			  tcgetattr(0, &w->terminal) == 0;
	w->parent = (int)syscall(SYS_pidfd_open, getppid(), 0u);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		fail(errno, "socketpair");
	w->tell = pair[1];
	mask = block_signals();
	pid = clone_child(K_CLONE_PARENT, -1, NULL);
	if (pid < 0)
		fail(errno, "clone3");
	if (pid > 0) {
		close(pair[0]);
		warden_main(w);
	}
	restore_signals(mask);
	report(REPORT_SPLIT, 0, getpid(), NULL, -1);
	c->warden = pair[0];
	c->holds_userns = w->td.trees || w->td.cgroups;
	/* All that is the warden's alone; the root of a shared mount namespace
	 * is the plan's as well. */
	n = teardown_fds(&w->td, fds);
	for (unsigned int i = 0; i < n; i++)
		if (fds[i] != w->td.mount)
			close(fds[i]);
	for (int i = 0; i < PLAN_SLOTS && w->td.state_dir >= 0; i++)
		if (c->slot[i] == w->td.state_dir)
			c->slot[i] = -1;
	close(pair[1]);
	close(w->control);
	c->slot[op->a[0].n] = -1;
	if (w->parent >= 0)
		close(w->parent);
	/* Nor are its names: this becomes the container's first process. */
	memset(config, 0, op->a[1].len);
	memset(w, 0, sizeof(*w));
}
