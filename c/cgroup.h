/*
 * Floor: parts. The end of a container's cgroups.
 */
#ifndef RUSTYRUN_CGROUP_H
#define RUSTYRUN_CGROUP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* kCgroup's kind, as mod/plan.ts writes it. */
#define CGROUP_V1 0
#define CGROUP_FREEZER 1
#define CGROUP_V2 2

struct cgroup {
	uint32_t index;	  /* of the operation that names it */
	int root;	  /* O_PATH: the hierarchy, or a directory in it */
	int kind;	  /* CGROUP_* */
	unsigned int own; /* last components of `path` that are ours; 0: it is
			   * systemd's, who removes it when it is empty */
	const char *path; /* relative to root */
	const char *above; /* root's own path, for words */
};

/* Gives all threads an ordinary scheduling policy, before they are killed: one that
 * has given itself next to no time would take hours to die. */
void cgroup_calm(const struct cgroup *groups, unsigned int count);
/* Gives back the right to see who is in the cgroups. */
void cgroup_show(const struct cgroup *groups, unsigned int count);
/* Kills what is in the container's cgroups. userns: the container's, -1: the one
 * that we are in. */
void cgroup_kill(const struct cgroup *groups, unsigned int count, int userns);
/* Lets a container die that was killed: thaws it (v1 tasks do not die while
 * frozen), and takes back what slows it, also what it has set itself: its share
 * and limit of CPU time, and limits of reads and writes. killed: pidfd of its first
 * process, -1: that has ended. */
void cgroup_let_die(const struct cgroup *groups, unsigned int count, int killed);
/* One try at removing a cgroup with those inside it; 0 when it is gone, else -1
 * with errno (EBUSY: somebody is still in it). */
int cgroup_remove(const struct cgroup *g, bool below);

#endif
