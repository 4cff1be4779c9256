/*
 * Kernel structures, numbers and calls that musl's headers do not have (musl-gcc
 * on Debian sees no <linux/...>); tests/c/layout.c compares them with the
 * kernel's own headers. `since` is the first kernel with it: the floor is 5.15.
 */
#ifndef RUSTYRUN_KERNEL_H
#define RUSTYRUN_KERNEL_H

#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Same numbers on x86_64 and aarch64: all came after the tables were joined. */
#ifndef SYS_pidfd_send_signal
#define SYS_pidfd_send_signal 424 /* since 5.1 */
#endif
#ifndef SYS_open_tree
#define SYS_open_tree 428 /* since 5.2 */
#define SYS_move_mount 429
#define SYS_fsopen 430
#define SYS_fsconfig 431
#define SYS_fsmount 432
#define SYS_fspick 433
#endif
#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434 /* since 5.3 */
#endif
#ifndef SYS_clone3
#define SYS_clone3 435 /* since 5.3 */
#endif
#ifndef SYS_close_range
#define SYS_close_range 436 /* since 5.9, CLOEXEC 5.11 */
#endif
#ifndef SYS_openat2
#define SYS_openat2 437 /* since 5.6 */
#endif
#ifndef SYS_faccessat2
#define SYS_faccessat2 439 /* since 5.8 */
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442 /* since 5.12 */
#endif

struct k_open_how { /* openat2(2) */
	uint64_t flags;
	uint64_t mode;
	uint64_t resolve;
};
#define K_RESOLVE_NO_XDEV 0x01
#define K_RESOLVE_NO_MAGICLINKS 0x02
#define K_RESOLVE_NO_SYMLINKS 0x04
#define K_RESOLVE_BENEATH 0x08
#define K_RESOLVE_IN_ROOT 0x10

struct k_clone_args { /* clone3(2), CLONE_ARGS_SIZE_VER2 */
	uint64_t flags;
	uint64_t pidfd;
	uint64_t child_tid;
	uint64_t parent_tid;
	uint64_t exit_signal;
	uint64_t stack;
	uint64_t stack_size;
	uint64_t tls;
	uint64_t set_tid;
	uint64_t set_tid_size;
	uint64_t cgroup;
};
#define K_CLONE_PIDFD 0x00001000ull
#define K_CLONE_PARENT 0x00008000ull
#define K_CLONE_INTO_CGROUP 0x200000000ull /* since 5.7 */

struct k_mount_attr { /* mount_setattr(2) */
	uint64_t attr_set;
	uint64_t attr_clr;
	uint64_t propagation;
	uint64_t userns_fd;
};
#define K_MOUNT_ATTR_RDONLY 0x00000001
#define K_MOUNT_ATTR_IDMAP 0x00100000 /* since 5.12 */

#define K_OPEN_TREE_CLONE 1u
#define K_OPEN_TREE_CLOEXEC 02000000u
#define K_AT_RECURSIVE 0x8000u
#define K_AT_EMPTY_PATH 0x1000u
#define K_AT_SYMLINK_NOFOLLOW 0x100u
#define K_MOVE_MOUNT_F_EMPTY_PATH 0x04u
#define K_MOVE_MOUNT_T_EMPTY_PATH 0x40u
#define K_FSOPEN_CLOEXEC 1u
#define K_FSMOUNT_CLOEXEC 1u
#define K_FSPICK_CLOEXEC 1u
#define K_FSPICK_EMPTY_PATH 8u
#define K_FSCONFIG_SET_FLAG 0u
#define K_FSCONFIG_SET_STRING 1u
#define K_FSCONFIG_CMD_CREATE 6u
#define K_FSCONFIG_CMD_RECONFIGURE 7u

#define K_CLOSE_RANGE_CLOEXEC 4u

struct k_sock_filter { /* <linux/filter.h> */
	uint16_t code;
	uint8_t jt;
	uint8_t jf;
	uint32_t k;
};
struct k_sock_fprog {
	uint16_t len;
	struct k_sock_filter *filter;
};
#define K_SECCOMP_SET_MODE_FILTER 1u

struct k_cap_header { /* capset(2), version 3 */
	uint32_t version;
	int32_t pid;
};
struct k_cap_data {
	uint32_t effective;
	uint32_t permitted;
	uint32_t inheritable;
};
#define K_CAPABILITY_VERSION_3 0x20080522u
#define K_PR_CAPBSET_READ 23
#define K_PR_CAPBSET_DROP 24
#define K_PR_CAP_AMBIENT 47
#define K_PR_CAP_AMBIENT_RAISE 2
#define K_PR_CAP_AMBIENT_CLEAR_ALL 4

#define K_KEYCTL_JOIN_SESSION_KEYRING 1
#define K_KEYCTL_SETPERM 5
#define K_KEYCTL_GET_KEYRING_ID 0
#define K_KEYCTL_DESCRIBE 6
#define K_KEY_SPEC_SESSION_KEYRING (-3)

#define K_TIOCGPTPEER 0x5441ul /* since 4.13 */
#define K_MFD_NOEXEC_SEAL 8u /* since 6.3 */
#define K_TIOCSIG 0x40045436ul

/* rt_sigtimedwait of 32-bit programs, and the later one; no call that sleeps
 * has these numbers in the 64-bit tables. */
#define K_COMPAT_SIGTIMEDWAIT 177
#define K_COMPAT_SIGTIMEDWAIT64 421

struct k_dirent64 { /* getdents64(2) */
	uint64_t d_ino;
	int64_t d_off;
	uint16_t d_reclen;
	uint8_t d_type;
	char d_name[];
};
#define K_DT_DIR 4

struct k_fsxattr { /* ioctl_fsxattr: project and flags of an inode */
	uint32_t fsx_xflags;
	uint32_t fsx_extsize;
	uint32_t fsx_nextents;
	uint32_t fsx_projid;
	uint32_t fsx_cowextsize;
	unsigned char fsx_pad[8];
};
#define K_FS_IOC_FSGETXATTR 0x801c581ful
#define K_FS_IOC_FSSETXATTR 0x401c5820ul
#define K_FS_XFLAG_PROJINHERIT 0x00000200u

#endif
