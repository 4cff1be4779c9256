/*
 * Prints what the C side and the kernel's headers say, one "NAME VALUE..." a
 * line, for tests/layout_test.ts to compare: the operations and structures of
 * c/plan.h, and each structure and number of c/kernel.h beside its twin in
 * <linux/...> ("kernel NAME OURS THEIRS").
 */
#include <dirent.h>
#include <stddef.h>
#include <stdio.h>

#include <asm/ioctls.h>
#include <linux/capability.h>
#include <linux/close_range.h>
#include <linux/fcntl.h>
#include <linux/filter.h>
#include <linux/fs.h>
#include <linux/keyctl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <linux/seccomp.h>

#include "../../c/front.h"
#include "../../c/kernel.h"
#include "../../c/plan.h"

#define VALUE(name) printf(#name " %lld\n", (long long)(name))
#define OFFSET(type, field) \
	printf("struct " #type "." #field " %zu %zu\n", \
	       offsetof(struct type, field), sizeof(((struct type *)0)->field))
#define SIZE(type) printf("sizeof " #type " %zu\n", sizeof(struct type))

#define KERNEL(name, ours, theirs) \
	printf("kernel " name " %lld %lld\n", (long long)(ours), \
	       (long long)(theirs))
#define NUMBER(name) KERNEL(#name, K_##name, name)
#define FIELD(type, field) \
	KERNEL(#type "." #field, offsetof(struct k_##type, field), \
	       offsetof(struct type, field))

int main(void)
{
#define X(name, code, args) printf("op " #name " %d %s\n", (code), (args));
	PLAN_OPS(X)
#undef X
	printf("PLAN_MAGIC %llu\n", (unsigned long long)PLAN_MAGIC);
	VALUE(PLAN_VERSION);
	VALUE(PLAN_MAX);
	VALUE(PLAN_SLOTS);
	VALUE(PLAN_LIST);
	VALUE(PLAN_ARGS);
	VALUE(COVER_MODE);
	VALUE(COVER_UID);
	VALUE(COVER_GID);
	VALUE(REPORT_ERROR);
	VALUE(REPORT_SYNC);
	VALUE(REPORT_FORKED);
	VALUE(REPORT_ABOUT_TO_EXEC);
	VALUE(REPORT_FD);
	VALUE(REPORT_WAITING);
	VALUE(REPORT_STAYS);
	VALUE(REPORT_SPLIT);
	VALUE(REMOVE_BELOW);
	VALUE(REMOVE_TREES);
	VALUE(REMOVE_KILL);
	VALUE(REMOVE_LATER);
	VALUE(REMOVE_SPARE);
	VALUE(REMOVE_FREE);
	VALUE(REMOVE_SHOW);
	SIZE(plan_head);
	OFFSET(plan_head, magic);
	OFFSET(plan_head, version);
	OFFSET(plan_head, size);
	OFFSET(plan_head, ops);
	OFFSET(plan_head, fds);
	SIZE(plan_record);
	OFFSET(plan_record, code);
	OFFSET(plan_record, size);
	SIZE(report);
	OFFSET(report, kind);
	OFFSET(report, index);
	OFFSET(report, err);
	OFFSET(report, detail);
	OFFSET(report, text);

	VALUE(FRONT_MAGIC);
	VALUE(FRONT_VERSION);
	VALUE(FRONT_PACKET);
	VALUE(FRONT_INLINE);
	VALUE(FRONT_STRINGS);
	VALUE(FRONT_FDS);
	VALUE(FRONT_WORDS);
	VALUE(FRONT_NONCE);
	VALUE(FRONT_FIRST_MS);
	VALUE(FRONT_QUEUED_MS);
	VALUE(FRONT_PROGRAM);
	VALUE(FRONT_SOCKET);
	printf("FRONT_MARK %s\n", FRONT_MARK);
	VALUE(FRONT_QUEUED);
	VALUE(FRONT_TAKE);
	VALUE(FRONT_COLD);
	VALUE(FRONT_GO);
	VALUE(FRONT_PRINT);
	VALUE(FRONT_LEND);
	VALUE(FRONT_SPAWN);
	VALUE(FRONT_WAIT);
	VALUE(FRONT_BECOME);
	VALUE(FRONT_EXIT);
	VALUE(FRONT_STREAM_OTHER);
	VALUE(FRONT_STREAM_TERMINAL);
	VALUE(FRONT_STREAM_NULL);
	VALUE(FRONT_STREAM_ZERO);
	VALUE(FRONT_STREAM_FULL);
	VALUE(FRONT_STREAM_RANDOM);
	VALUE(FRONT_STREAM_URANDOM);
	SIZE(front_request);
	OFFSET(front_request, magic);
	OFFSET(front_request, version);
	OFFSET(front_request, size);
	OFFSET(front_request, program);
	OFFSET(front_request, words);
	OFFSET(front_request, variables);
	OFFSET(front_request, umask);
	OFFSET(front_request, stream);
	OFFSET(front_request, personality);
	OFFSET(front_request, memory_policy);
	OFFSET(front_request, securebits);
	OFFSET(front_request, no_huge_pages);
	OFFSET(front_request, timer_slack);
	OFFSET(front_request, files);
	SIZE(front_record);
	OFFSET(front_record, verb);
	OFFSET(front_record, size);
	OFFSET(front_record, a);
	OFFSET(front_record, b);
	SIZE(front_take);
	OFFSET(front_take, record);
	OFFSET(front_take, nonce);
	SIZE(front_answer);
	OFFSET(front_answer, verb);
	OFFSET(front_answer, result);
	OFFSET(front_answer, count);
	OFFSET(front_answer, number);
	OFFSET(front_place, mark);
	OFFSET(front_place, program);
	OFFSET(front_place, size);
	OFFSET(front_place, patience);
	OFFSET(front_place, socket);
	OFFSET(front_place, words);

	KERNEL("open_how", sizeof(struct k_open_how), sizeof(struct open_how));
	FIELD(open_how, flags);
	FIELD(open_how, mode);
	FIELD(open_how, resolve);
	NUMBER(RESOLVE_NO_XDEV);
	NUMBER(RESOLVE_NO_MAGICLINKS);
	NUMBER(RESOLVE_NO_SYMLINKS);
	NUMBER(RESOLVE_BENEATH);
	NUMBER(RESOLVE_IN_ROOT);

	KERNEL("clone_args", sizeof(struct k_clone_args), CLONE_ARGS_SIZE_VER2);
	FIELD(clone_args, flags);
	FIELD(clone_args, pidfd);
	FIELD(clone_args, child_tid);
	FIELD(clone_args, parent_tid);
	FIELD(clone_args, exit_signal);
	FIELD(clone_args, stack);
	FIELD(clone_args, stack_size);
	FIELD(clone_args, tls);
	FIELD(clone_args, set_tid);
	FIELD(clone_args, set_tid_size);
	FIELD(clone_args, cgroup);
	NUMBER(CLONE_PIDFD);
	NUMBER(CLONE_PARENT);
	NUMBER(CLONE_INTO_CGROUP);

	KERNEL("mount_attr", sizeof(struct k_mount_attr),
	       sizeof(struct mount_attr));
	FIELD(mount_attr, attr_set);
	FIELD(mount_attr, attr_clr);
	FIELD(mount_attr, propagation);
	FIELD(mount_attr, userns_fd);
	NUMBER(MOUNT_ATTR_RDONLY);
	NUMBER(MOUNT_ATTR_IDMAP);
	NUMBER(OPEN_TREE_CLONE);
	KERNEL("OPEN_TREE_CLOEXEC", K_OPEN_TREE_CLOEXEC, O_CLOEXEC);
	NUMBER(AT_RECURSIVE);
	NUMBER(AT_EMPTY_PATH);
	NUMBER(AT_SYMLINK_NOFOLLOW);
	NUMBER(MOVE_MOUNT_F_EMPTY_PATH);
	NUMBER(MOVE_MOUNT_T_EMPTY_PATH);
	NUMBER(FSOPEN_CLOEXEC);
	NUMBER(FSMOUNT_CLOEXEC);
	NUMBER(FSPICK_CLOEXEC);
	NUMBER(FSPICK_EMPTY_PATH);
	NUMBER(FSCONFIG_SET_FLAG);
	NUMBER(FSCONFIG_SET_STRING);
	NUMBER(FSCONFIG_CMD_CREATE);
	NUMBER(FSCONFIG_CMD_RECONFIGURE);
	NUMBER(CLOSE_RANGE_CLOEXEC);

	KERNEL("sock_filter", sizeof(struct k_sock_filter),
	       sizeof(struct sock_filter));
	FIELD(sock_filter, code);
	FIELD(sock_filter, jt);
	FIELD(sock_filter, jf);
	FIELD(sock_filter, k);
	KERNEL("sock_fprog", sizeof(struct k_sock_fprog),
	       sizeof(struct sock_fprog));
	FIELD(sock_fprog, len);
	FIELD(sock_fprog, filter);
	NUMBER(SECCOMP_SET_MODE_FILTER);

	KERNEL("cap_header", sizeof(struct k_cap_header),
	       sizeof(struct __user_cap_header_struct));
	KERNEL("cap_data", sizeof(struct k_cap_data),
	       sizeof(struct __user_cap_data_struct));
#define CAP_FIELD(name, field) \
	KERNEL("cap_" #name "." #field, offsetof(struct k_cap_##name, field), \
	       offsetof(struct __user_cap_##name##_struct, field))
	CAP_FIELD(header, version);
	CAP_FIELD(header, pid);
	CAP_FIELD(data, effective);
	CAP_FIELD(data, permitted);
	CAP_FIELD(data, inheritable);
	KERNEL("CAPABILITY_VERSION_3", K_CAPABILITY_VERSION_3,
	       _LINUX_CAPABILITY_VERSION_3);
	NUMBER(PR_CAPBSET_READ);
	NUMBER(PR_CAPBSET_DROP);
	NUMBER(PR_CAP_AMBIENT);
	NUMBER(PR_CAP_AMBIENT_RAISE);
	NUMBER(PR_CAP_AMBIENT_CLEAR_ALL);
	NUMBER(KEYCTL_JOIN_SESSION_KEYRING);
	NUMBER(KEYCTL_SETPERM);
	NUMBER(KEYCTL_GET_KEYRING_ID);
	NUMBER(KEYCTL_DESCRIBE);
	NUMBER(KEY_SPEC_SESSION_KEYRING);
	/* The kernel keeps struct linux_dirent64 to itself; libc's is the same. */
#define DIRENT(field) \
	KERNEL("dirent64." #field, offsetof(struct k_dirent64, field), \
	       offsetof(struct dirent64, field))
	DIRENT(d_ino);
	DIRENT(d_off);
	DIRENT(d_reclen);
	DIRENT(d_type);
	DIRENT(d_name);
	NUMBER(DT_DIR);
	KERNEL("fsxattr", sizeof(struct k_fsxattr), sizeof(struct fsxattr));
	FIELD(fsxattr, fsx_xflags);
	FIELD(fsxattr, fsx_projid);
	NUMBER(FS_IOC_FSGETXATTR);
	NUMBER(FS_IOC_FSSETXATTR);
	NUMBER(FS_XFLAG_PROJINHERIT);
	KERNEL("TIOCGPTPEER", K_TIOCGPTPEER, TIOCGPTPEER);
	return 0;
}
