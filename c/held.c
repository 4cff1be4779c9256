/*
 * The end of a first process, whoever holds it. That of an exec may be stopped,
 * traced or frozen: it takes no signal, and whoever wants it to end would wait
 * for ever. A signal that ends programs kills it then. That it is held is looked
 * for again and again: a tracer lets it go on, a machine that stands still does
 * as well.
 */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "cgroup.h"
#include "decode.h"
#include "held.h"
#include "proc.h"

/* So many looks in a row must find it held, each after so many milliseconds in
 * which nothing came. */
#define LOOKS 20
#define LOOK_MS 100

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

	if (k->channel >= 0)
		return HELD;
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

	if (k->asked || !find_op(&k->plan, OP_K_EXEC, &op))
		return;
	k->asked = sig;
	k->looks = 0;
}

int held_timeout(const struct keeper *k, int timeout)
{
	if (!k->asked || (timeout >= 0 && timeout < LOOK_MS))
		return timeout;
	return LOOK_MS;
}

void kill_init(struct keeper *k)
{
	if (!k->ended)
		kill(k->init, SIGKILL);
	cgroup_thaw(k->td.cgroup, k->td.cgroups);
	if (!k->ended)
		cgroup_free(k->td.way_out, k->init);
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
