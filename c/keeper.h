/*
 * Floor: roles. The keeper: the foreground process after Deno has gone.
 *
 * keeper_main reads a sealed plan that holds only k operations (mod/plan.ts):
 *
 *   kRun     pid of init (our child), pid of the warden (0: none); slots: the
 *            host end of the report channel (-1: the command runs already),
 *            the host end of the warden's control socket (-1), the PTY master
 *            (-1)
 *   kCgroup  root: a directory that stays; path: relative to it; own: how many
 *            of its last components are ours (0: systemd removes it, and it
 *            need only be empty); kind: CGROUP_*
 *   kState   parent, name; dir: descriptor of the directory, with the flock
 *   kTree    parent, name: removed with all below it. owner: -1, or the user
 *            of a private directory of that name, in which the tree has the
 *            same name: others may rename what is in parent
 *   kOom     file with the counter, its key, the line to print
 *   kText    a late failure's line: op (-1: any; KEEPER_DIED: the helper died
 *            and errno is its signal), errno (-1: any), exit code, and the
 *            same as kResult's object. First match
 *   kJson    head: what comes before `"exitCode":N,...}`; signals: the name of
 *            each signal as JSON, by number. With it, the lines of kOom and
 *            kRefuse are members of that object, each with a comma behind it
 *   kDelete  a program that runs at the end, before what is left is removed
 *   kFlags   TEARDOWN_* and KEEPER_*
 *   kMount   the container's root, mounted in the caller's mount namespace
 *   kRefuse  the line for the third Ctrl-C
 *   kExec    the process is an exec's, which the container may hold; freezer:
 *            freezer.state of its cgroup, and thaw: cgroup.procs of our own,
 *            where what is killed goes on and dies (v1; empty: there is none).
 *            Also the warden's
 *   kDetach  caller: the socket of who waits for the start (-1: nobody), and
 *            text: what it is told then; dir: the state's directory, where the
 *            file "exit" gets the exit code (-1: it is not kept)
 *   kTime    ms: how long the command may run before it is killed; then its exit
 *            code, and the line to print
 *   kResult  fd: where one JSON object goes when all has ended; cpu: hard
 *            RLIMIT_CPU in seconds (-1: none); signals: as of kJson; failed: the
 *            object for a start that failed without a kText
 *   kCount   a number that the kernel keeps of the container's cgroup: what
 *            (kept.h, COUNT_*), file, key of its line (empty: it stands alone),
 *            and how many make a millisecond or a byte
 *   kOutput  out, err: pipes, which do not block, with what the command writes
 *            to its standard output and error; how many bytes of both together
 *            are copied to ours before it is killed; then its exit code, and the
 *            line to print
 */
#ifndef RUSTYRUN_KEEPER_H
#define RUSTYRUN_KEEPER_H

_Noreturn void keeper_main(int plan_fd);

#endif
