/*
 * Floor: the ground. What keeps a killed process from its end, in one cgroup.
 */
#ifndef RUSTYRUN_LIMITS_H
#define RUSTYRUN_LIMITS_H

#include <stdbool.h>
#include <sys/types.h>

/* A small file in a directory; what did not work shows when the cgroup stays busy. */
bool write_at(int dir, const char *name, const char *text);
ssize_t read_at(int dir, const char *name, char *buf, size_t size);
/* Takes back what slows those in a cgroup. */
void lift_cgroup(int dir);
/* Moves a killed process into a cgroup. */
void cgroup_take(int dir, pid_t pid);
/* Moves a killed process of an exec out of a frozen cgroup (v1), which is not
 * ours to thaw: there it goes on, and so dies. way_out: cgroup.procs of a cgroup
 * that is not frozen, NULL: there is none. */
void cgroup_free(const char *way_out, pid_t pid);

#endif
