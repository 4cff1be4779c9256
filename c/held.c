/*
 * The end of a first process, whoever holds it. That of an exec may be stopped,
 * traced or frozen, and before its execve any one may wait for the lease that
 * somebody has on its program (fcntl(2), F_SETLEASE): it takes no signal, and
 * whoever wants it to end would wait for as long. A signal that ends programs kills
 * it then. That it is held is looked
 * for again and again: a tracer lets it go on, a machine that stands still does
 * as well. And one that has ended is its tracer's until that has looked at it
 * (ptrace(2), "Death under ptrace"), which a hostile one never does.
 */
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "calls.h"
#include "cgroup.h"
#include "decode.h"
#include "held.h"
#include "inside.h"
#include "kernel.h"
#include "limits.h"
#include "proc.h"

/* So many looks in a row must find it held, each after so many milliseconds in
 * which nothing came. */
#define LOOKS 20
#define LOOK_MS 100

/* So often is one killed that does not end. */
#define KILLS 100

/* An honest tracer has looked at an end by then, in milliseconds. */
#define ZOMBIE_MS 2000

enum look { TAKEN, GOING, HELD };

/* In the v1 freezer: a frozen process dies only when it goes on. */
static bool is_frozen(const struct keeper *k)
{
	struct op op;
	char text[16];

	return find_op(&k->plan, OP_K_EXEC, &op) && op.a[0].len &&
	       read_whole(op.a[0].p, text, sizeof(text)) > 0 &&
	       (!strncmp(text, "FROZEN", 6) || !strncmp(text, "FREEZ", 5));
}

/* Before execve the signal waits with us. Behind it the process is held when a
 * tracer or the freezer has it, or when the signal waits though nobody blocks it
 * and the process neither runs nor waits for a disk. One that has no handler has
 * a SIGKILL to wait for as well: then nothing is lost. */
static enum look look_at(const struct keeper *k)
{
	const uint64_t bit = 1ull << (k->asked - 1);
	char path[32], text[4096];
	const char *state;
	uint64_t waits;
	struct op op;

	if (k->channel >= 0)
		return HELD;
	if (!find_op(&k->plan, OP_K_EXEC, &op))
		return TAKEN;
	if (read_whole(proc_path(path, k->init, "/status"), text,
		       sizeof(text)) < 0)
		return TAKEN;
	state = strstr(text, "\nState:\t");
	state = state ? state + strlen("\nState:\t") : "R";
	if (*state == 't' || (*state == 'D' && is_frozen(k)))
		return HELD;
	if (read_field(text, "\nSigPnd:", 16) & 1ull << (SIGKILL - 1))
		return HELD;
	waits = read_field(text, "\nSigPnd:", 16) |
		read_field(text, "\nShdPnd:", 16);
	if (!(waits & bit))
		return TAKEN;
	if (*state == 'R' || *state == 'D' ||
	    read_field(text, "\nSigBlk:", 16) & bit)
		return GOING;
	return HELD;
}

void held_ask(struct keeper *k, int sig)
{
	struct op op;

	if (k->asked ||
	    (k->channel < 0 && !find_op(&k->plan, OP_K_EXEC, &op)))
		return;
	k->asked = sig;
	k->looks = 0;
}

bool held_open(struct keeper *k)
{
	k->end = (int)syscall(SYS_pidfd_open, k->init, 0u);
	return k->end >= 0;
}

/* Field 52 of proc(5)'s stat: how it ended, as waitpid(2) would have said; one
 * that cannot be read has been killed, for all we know. */
static int read_end(pid_t pid)
{
	char path[32], text[1024];
	const char *p;

	if (read_whole(proc_path(path, pid, "/stat"), text, sizeof(text)) < 0)
		return SIGKILL;
	p = strrchr(text, ')');
	for (int field = 2; p && field < 52; field++)
		p = strchr(p + 1, ' ');
	return p ? (p++, (int)read_number(&p, 10)) : SIGKILL;
}

void held_zombie(struct keeper *k)
{
	const int64_t now = now_ms();

	if (k->end >= 0) {
		close(k->end);
		k->end = -1;
		k->zombie = now;
	} else if (k->zombie && now - k->zombie >= ZOMBIE_MS) {
		k->ended = true;
		k->status = read_end(k->init);
		k->over = now;
	}
}

int held_timeout(const struct keeper *k, int timeout)
{
	if ((!k->asked && !k->zombie && !k->cause && !k->killed) ||
	    (timeout >= 0 && timeout < LOOK_MS))
		return timeout;
	return LOOK_MS;
}

void kill_init(struct keeper *k)
{
	struct op op;

	cgroup_calm(k->td.cgroup, k->td.cgroups);
	k->killed = now_ms();
	if (!k->ended)
		kill(k->init, SIGKILL);
	/* It waits for somebody. The end of an exec is not that of the others. */
	if (!k->ended && k->end >= 0 && k->kills &&
	    !(k->td.flags & TEARDOWN_SHARED_PID) &&
	    !find_op(&k->plan, OP_K_EXEC, &op))
		kill_inside(k->end);
	/* Its end would not be theirs, and one of them may trace it. Before any
	 * walk: they may make cgroups faster than it goes. */
	if (k->td.flags & TEARDOWN_SHARED_PID)
		cgroup_kill(k->td.cgroup, k->td.cgroups, k->td.userns);
	cgroup_let_die(k->td.cgroup, k->td.cgroups, k->end);
	if (!k->ended)
		cgroup_free(k->td.way_out, k->init);
}

void held_stop(struct keeper *k)
{
	if ((!k->cause && !k->killed) || k->ended ||
	    now_ms() - k->killed < LOOK_MS)
		return;
	k->kills++;
	kill_init(k);
	/* Two that trace each other end by nothing: nobody waits for that. What takes
	 * long to end, with much memory or a disk that hangs, is waited for. */
	if (!is_traced(k->init) || k->kills < KILLS)
		return;
	k->ended = true;
	k->status = SIGKILL;
	k->over = now_ms();
}

/* Killed and still not gone, it dies when it goes on: nobody waits for that. */
void held_look(struct keeper *k)
{
	enum look look;

	if (!k->asked || k->ended)
		return;
	look = k->aborted ? HELD : look_at(k);
	if (look == TAKEN)
		k->asked = 0;
	if (look != HELD)
		k->looks = 0;
	else if (++k->looks >= LOOKS && k->aborted)
		k->ended = true;
	else if (k->looks >= LOOKS) {
		k->aborted = k->asked;
		k->looks = 0;
		kill_init(k);
	}
}
