"""A caller with everything that fork and execve hand on set to something of its
own: dirty.py COMMAND... becomes the command. born_test.ts says what of it a
container may see."""

import ctypes
import os
import resource
import signal
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
NUMBERS = {
    "x86_64": {"set_mempolicy": 238, "ioprio_set": 251},
    "aarch64": {"set_mempolicy": 237, "ioprio_set": 30},
}[os.uname().machine]

PR_SET_PDEATHSIG = 1
PR_SET_SECUREBITS = 28
PR_SET_TIMERSLACK = 29
PR_MCE_KILL = 33
PR_MCE_KILL_SET = 1
PR_MCE_KILL_EARLY = 1
PR_SET_CHILD_SUBREAPER = 36
PR_SET_THP_DISABLE = 41
PR_SET_MEMORY_MERGE = 67
PR_SET_NO_NEW_PRIVS = 38
SECBIT_NO_SETUID_FIXUP = 4
ADDR_NO_RANDOMIZE = 0x0040000
MPOL_INTERLEAVE = 3


def check(result):
    if result < 0:
        raise OSError(ctypes.get_errno(), "a system call")


def prctl(option, value, more=0):
    check(LIBC.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(more), 0, 0))


def main():
    for number in (signal.SIGPIPE, signal.SIGHUP, signal.SIGINT,
                   signal.SIGCHLD, signal.SIGUSR1, signal.SIGTERM, 40):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(
        signal.SIG_BLOCK,
        {signal.SIGUSR2, signal.SIGALRM, signal.SIGCHLD, 41})
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    os.umask(0o077)
    os.nice(5)
    os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    _, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (4096, hard))
    with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("321")
    # The class "best effort", level 7.
    check(LIBC.syscall(NUMBERS["ioprio_set"], 1, 0, 2 << 13 | 7))
    prctl(PR_SET_TIMERSLACK, 123456)
    prctl(PR_SET_THP_DISABLE, 1)
    prctl(PR_SET_CHILD_SUBREAPER, 1)
    prctl(PR_SET_PDEATHSIG, signal.SIGWINCH)
    prctl(PR_MCE_KILL, PR_MCE_KILL_SET, PR_MCE_KILL_EARLY)
    # Since 6.4, of root, where the kernel merges pages.
    LIBC.prctl(PR_SET_MEMORY_MERGE, ctypes.c_ulong(1), 0, 0, 0)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    if os.geteuid() == 0:
        prctl(PR_SET_SECUREBITS, SECBIT_NO_SETUID_FIXUP)
    check(LIBC.personality(ctypes.c_ulong(ADDR_NO_RANDOMIZE)))
    nodes = ctypes.c_ulong(1)
    # A kernel without NUMA has no policy to hand on.
    LIBC.syscall(NUMBERS["set_mempolicy"], MPOL_INTERLEAVE,
                 ctypes.byref(nodes), ctypes.c_ulong(64))
    with open("/proc/self/coredump_filter", "w", encoding="ascii") as file:
        file.write("0x1")
    os.execvp(sys.argv[1], sys.argv[1:])


main()
