/*
 * The plan's byte format and the operations: the twin of mod/plan.ts and
 * mod/plan/encode.ts, which describes the layout (tests/layout_test.ts compares).
 */
#ifndef RUSTYRUN_PLAN_H
#define RUSTYRUN_PLAN_H

#include <stdint.h>

#define PLAN_MAGIC 0x4e4c505954535552ull /* "RUSTYPLN" */
#define PLAN_VERSION 1
#define PLAN_MAX (16u << 20)
#define PLAN_SLOTS 1024
/* Most descriptors of the caller that a command may get. */
#define PRESERVED_MAX 65536
/* execve(2) takes 6 MiB of strings and of pointers to them. */
#define PLAN_LIST 699050
#define PLAN_ARGS 8

struct plan_head {
	uint64_t magic;
	uint32_t version;
	uint32_t size;
	uint32_t ops;
	uint32_t fds;
};

struct plan_record {
	uint16_t code;
	uint16_t last; /* bit i: argument i is a slot to be closed after it */
	uint32_t size;
};

/* X(name, code, signature): n number, f slot, s string, b blob, l list */
#define PLAN_OPS(X) \
	X(WARDEN, 1, "fb") \
	X(SYNC, 2, "n") \
	X(FORK, 3, "nf") \
	X(SPAWN, 4, "sllbnf") \
	X(SEND_FD, 5, "fn") \
	X(REMOVE, 9, "n") \
	X(OPEN, 10, "ffsnnn") \
	X(CLOSE, 11, "f") \
	X(VERIFY, 12, "fnnn") \
	X(SAME, 28, "fnn") \
	X(SETXATTR, 29, "fss") \
	X(WRITE, 13, "fsbn") \
	X(MKDIR, 14, "fsn") \
	X(MKDIR_OWN, 8, "ffs") \
	X(MKNOD, 15, "fsnnnn") \
	X(SYMLINK, 16, "fss") \
	X(FILE, 17, "fsnb") \
	X(CHOWN, 26, "fnn") \
	X(WRITE_FD, 18, "fb") \
	X(COPY_UP, 19, "ff") \
	X(UNSHARE, 20, "n") \
	X(SETNS, 21, "fn") \
	X(HOSTNAME, 22, "s") \
	X(DOMAINNAME, 23, "s") \
	X(LINK_UP, 24, "s") \
	X(USERNS, 25, "fss") \
	X(NETLINK, 27, "sb") \
	X(OPEN_TREE, 30, "ffsn") \
	X(FSMOUNT, 31, "fslnn") \
	X(MOUNT_SETATTR, 32, "fsnnnnf") \
	X(MOVE_MOUNT, 33, "ff") \
	X(TARGET, 34, "ffsfsnn") \
	X(MASK, 35, "fsfsff") \
	X(READONLY, 36, "fsfs") \
	X(RECONFIGURE, 37, "fl") \
	X(PIVOT, 38, "f") \
	X(CHROOT, 39, "f") \
	X(ENTER, 40, "f") \
	X(COVER, 41, "ffsfsnn") \
	X(UNMOUNT, 42, "fss") \
	X(STAGE, 43, "ffs") \
	X(FCHDIR, 44, "f") \
	X(PTY, 45, "fffnn") \
	X(SETSID, 46, "") \
	X(CTTY, 47, "f") \
	X(DUP, 48, "fn") \
	X(KEYRING, 50, "s") \
	X(PRCTL, 51, "nnnnn") \
	X(CAP_DROP, 52, "n") \
	X(CAP_SET, 53, "nnn") \
	X(CAP_AMBIENT, 54, "n") \
	X(SETGROUPS, 55, "b") \
	X(SETGID, 56, "n") \
	X(SETUID, 57, "n") \
	X(UMASK, 58, "n") \
	X(SCHED, 59, "b") \
	X(IOPRIO, 60, "n") \
	X(PERSONALITY, 61, "n") \
	X(MEMPOLICY, 62, "nb") \
	X(AFFINITY, 63, "b") \
	X(CHDIR, 64, "sn") \
	X(FIND_EXEC, 70, "l") \
	X(WAIT_START, 71, "f") \
	X(SECCOMP, 72, "bnf") \
	X(CLOSE_FDS, 73, "nf") \
	X(SIGNALS, 74, "n") \
	X(INIT, 75, "n") \
	X(EXEC, 76, "ll") \
	X(REST, 77, "") \
	X(K_RUN, 89, "nnfff") \
	X(K_CGROUP, 90, "ssnn") \
	X(K_STATE, 91, "ssf") \
	X(K_TREE, 92, "ssn") \
	X(K_OOM, 93, "sss") \
	X(K_TEXT, 94, "nnnss") \
	X(K_JSON, 95, "sl") \
	X(K_DELETE, 96, "ll") \
	X(K_FLAGS, 97, "n") \
	X(K_REFUSE, 98, "s") \
	X(K_MOUNT, 99, "f") \
	X(K_DETACH, 100, "fsf") \
	X(K_EXEC, 101, "ss") \
	X(K_TIME, 102, "nns") \
	X(K_RESULT, 103, "fnls") \
	X(K_COUNT, 104, "nssn") \
	X(K_OUTPUT, 105, "ffnns")

#define X(name, code, args) OP_##name = (code),
enum plan_op { PLAN_OPS(X) };
#undef X

/* What COVER takes of the directory. */
#define COVER_MODE 1
#define COVER_UID 2
#define COVER_GID 4

/* Packets to the host stage. SYNC waits for one byte in answer. */
#define REPORT_ERROR 1
#define REPORT_SYNC 2
#define REPORT_FORKED 3
#define REPORT_ABOUT_TO_EXEC 4
#define REPORT_FD 5
#define REPORT_WAITING 6
#define REPORT_STAYS 7
#define REPORT_SPLIT 8

/* How much `remove` takes. Without the first two only what is empty; KILL:
 * whoever is left in the cgroups is killed. LATER: nobody waits for more than
 * some of it, the rest goes on in a process of its own. SPARE: the state stays,
 * and its lock is held meanwhile. FREE: whoever was killed is let die. SHOW:
 * nothing goes, but the right to see who is in the cgroups is given back. */
#define REMOVE_BELOW 1
#define REMOVE_TREES 2
#define REMOVE_KILL 4
#define REMOVE_LATER 8
#define REMOVE_SPARE 16
#define REMOVE_FREE 32
#define REMOVE_SHOW 64
#define REMOVE_ALL (REMOVE_BELOW | REMOVE_TREES)

#define REPORT_TEXT 256

struct report {
	uint32_t kind;
	uint32_t index;
	int32_t err;
	int32_t detail;
	char text[REPORT_TEXT];
};

_Static_assert(sizeof(struct plan_head) == 24, "plan.ts writes 24 bytes");
_Static_assert(sizeof(struct plan_record) == 8, "plan.ts writes 8 bytes");
_Static_assert(sizeof(struct report) == 272, "plan.ts reads 272 bytes");

#endif
