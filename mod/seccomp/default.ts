/**
 * The default profile of friendly mode: an allowlist equal in effect to
 * Docker's but for a few calls, for given capabilities, architecture and kernel.
 *
 * The facts (which calls, under which conditions) are those of default.json in
 * the Go module github.com/moby/profiles/seccomp v0.3.0; a test compares the
 * two call by call, and lists what differs (tests/seccomp/compare.ts).
 *
 * @module
 */

import type { NativeArch } from "./arch.ts";
import { COMPILER } from "./key.ts";
import type { SeccompArg, SeccompProfile, SeccompSyscall } from "./profile.ts";

/** Allowed whatever the container is. */
const ALLOWED =
  "_llseek _newselect accept accept4 access adjtimex alarm bind brk " +
  "cachestat capget capset chdir chmod chown chown32 clock_adjtime " +
  "clock_adjtime64 clock_getres clock_getres_time64 clock_gettime " +
  "clock_gettime64 clock_nanosleep clock_nanosleep_time64 close " +
  "close_range connect copy_file_range creat dup dup2 dup3 epoll_create " +
  "epoll_create1 epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 " +
  "epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit " +
  "exit_group faccessat faccessat2 fadvise64 fadvise64_64 fallocate " +
  "fanotify_mark fchdir fchmod fchmodat fchmodat2 fchown fchown32 fchownat " +
  "fcntl fcntl64 fdatasync fgetxattr flistxattr flock fork fremovexattr " +
  "fsetxattr fstat fstat64 fstatat64 fstatfs fstatfs64 fsync ftruncate " +
  "ftruncate64 futex futex_requeue futex_time64 futex_wait futex_waitv " +
  "futex_wake futimesat get_robust_list get_thread_area getcpu getcwd " +
  "getdents getdents64 getegid getegid32 geteuid geteuid32 getgid getgid32 " +
  "getgroups getgroups32 getitimer getpeername getpgid getpgrp getpid " +
  "getppid getpriority getrandom getresgid getresgid32 getresuid " +
  "getresuid32 getrlimit getrusage getsid getsockname getsockopt gettid " +
  "gettimeofday getuid getuid32 getxattr getxattrat inotify_add_watch " +
  "inotify_init inotify_init1 inotify_rm_watch io_cancel io_destroy " +
  "io_getevents io_pgetevents io_pgetevents_time64 io_setup io_submit " +
  "ioctl ioprio_get ioprio_set ipc kill landlock_add_rule " +
  "landlock_create_ruleset landlock_restrict_self lchown lchown32 " +
  "lgetxattr link linkat listen listmount listxattr listxattrat llistxattr " +
  "lremovexattr lseek lsetxattr lstat lstat64 madvise map_shadow_stack " +
  "membarrier memfd_create memfd_secret mincore mkdir mkdirat mknod " +
  "mknodat mlock mlock2 mlockall mmap mmap2 mprotect mq_getsetattr " +
  "mq_notify mq_open mq_timedreceive mq_timedreceive_time64 mq_timedsend " +
  "mq_timedsend_time64 mq_unlink mremap mseal msgctl msgget msgrcv msgsnd " +
  "msync munlock munlockall munmap name_to_handle_at nanosleep newfstatat " +
  "open openat openat2 pause pidfd_open pidfd_send_signal pipe pipe2 " +
  "pkey_alloc pkey_free pkey_mprotect poll ppoll ppoll_time64 prctl " +
  "pread64 preadv preadv2 prlimit64 process_mrelease pselect6 " +
  "pselect6_time64 pwrite64 pwritev pwritev2 read readahead readlink " +
  "readlinkat readv recv recvfrom recvmmsg recvmmsg_time64 recvmsg " +
  "remap_file_pages removexattr removexattrat rename renameat renameat2 " +
  "restart_syscall riscv_hwprobe rmdir rseq rt_sigaction rt_sigpending " +
  "rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend " +
  "rt_sigtimedwait rt_sigtimedwait_time64 rt_tgsigqueueinfo " +
  "sched_get_priority_max sched_get_priority_min sched_getaffinity " +
  "sched_getattr sched_getparam sched_getscheduler sched_rr_get_interval " +
  "sched_rr_get_interval_time64 sched_setaffinity sched_setattr " +
  "sched_setparam sched_setscheduler sched_yield seccomp select semctl " +
  "semget semop semtimedop semtimedop_time64 send " +
  "sendmmsg sendmsg sendto set_robust_list set_thread_area set_tid_address " +
  "setfsgid setfsgid32 setfsuid setfsuid32 setgid setgid32 setgroups " +
  "setgroups32 setitimer setpgid setpriority setregid setregid32 setresgid " +
  "setresgid32 setresuid setresuid32 setreuid setreuid32 setrlimit setsid " +
  "setsockopt setuid setuid32 setxattr setxattrat shmat shmctl shmdt " +
  "shmget shutdown sigaltstack signalfd signalfd4 sigprocmask sigreturn " +
  "socketpair stat stat64 statfs statfs64 statmount " +
  "statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill " +
  "time timer_create timer_delete timer_getoverrun timer_gettime " +
  "timer_gettime64 timer_settime timer_settime64 timerfd_create " +
  "timerfd_gettime timerfd_gettime64 timerfd_settime timerfd_settime64 " +
  "times tkill truncate truncate64 ugetrlimit umask uname unlink unlinkat " +
  "uretprobe utime utimensat utimensat_time64 utimes vfork vmsplice wait4 " +
  "waitid waitpid write writev";

/** Allowed where the capability is in the bounding set. */
const BY_CAPABILITY: Readonly<Record<string, string>> = {
  CAP_DAC_READ_SEARCH: "open_by_handle_at",
  CAP_SYS_ADMIN:
    "bpf clone clone3 fanotify_init fsconfig fsmount fsopen fspick " +
    "lookup_dcookie lsm_get_self_attr lsm_list_modules lsm_set_self_attr " +
    "mount mount_setattr move_mount open_tree perf_event_open quotactl " +
    "quotactl_fd setdomainname sethostname setns syslog umount umount2 " +
    "unshare",
  CAP_SYS_BOOT: "reboot",
  CAP_SYS_CHROOT: "chroot",
  CAP_SYS_MODULE: "delete_module finit_module init_module",
  CAP_SYS_PACCT: "acct",
  CAP_SYS_PTRACE:
    "kcmp pidfd_getfd process_madvise process_vm_readv process_vm_writev " +
    "ptrace",
  CAP_SYS_RAWIO: "ioperm iopl",
  CAP_SYS_TIME: "clock_settime clock_settime64 settimeofday stime",
  CAP_SYS_TTY_CONFIG: "vhangup",
  CAP_SYS_NICE: "get_mempolicy mbind set_mempolicy set_mempolicy_home_node",
  CAP_SYSLOG: "syslog",
  CAP_BPF: "bpf",
  CAP_PERFMON: "perf_event_open",
};

/** Allowed on the architecture. */
const BY_ARCH: Readonly<Record<NativeArch, string>> = {
  x86_64: "arch_prctl modify_ldt",
  aarch64:
    "arm_fadvise64_64 arm_sync_file_range sync_file_range2 breakpoint cacheflush set_tls",
};

/** Allowed from Linux 4.8, which has the ptrace check after seccomp's. */
const FROM_4_8 = "process_vm_readv process_vm_writev ptrace";

/** First arguments of socket(2) beside 0 to 2: no AF_ALG (38), AF_VSOCK (40)
 * and families that are long gone or name hardware. Through socketcall(2) of
 * i386 no socket is made at all: the family is behind a pointer there. Docker
 * allows it and leaves these families to AppArmor or SELinux, which we have not;
 * what socketcall does beside (bind, send, socketpair) is allowed by the rules
 * for the calls themselves. */
const FAMILIES = [
  7,
  8,
  9,
  10,
  13,
  14,
  15,
  16,
  17,
  18,
  21,
  22,
  24,
  26,
  27,
  28,
  29,
  30,
  31,
  32,
  33,
  35,
  36,
  39,
  41,
  42,
  43,
  44,
  45,
];

/** Arguments of personality(2): Linux, its 32-bit form, UNAME26 with each, and
 * the question. */
const PERSONALITIES = [0, 8, 131072, 131080, 4294967295];

/** CLONE_NEW* (but NEWTIME, which clone(2) cannot take). */
const CLONE_NAMESPACES = 0x7e020000;

/** Its child is the child of whoever started the caller: of the program that uses
 * the library, which knows nothing of it and does not reap it, so that the
 * sandbox's pid namespace never ends. */
const CLONE_PARENT = 0x8000;

/** What the default profile depends on. */
export interface SeccompHost {
  /** Names of the bounding set: "CAP_SYS_ADMIN". */
  capabilities: readonly string[];
  arch: NativeArch;
  /** Facts.kernel. */
  kernel: { major: number; minor: number };
}

const allow = (names: readonly string[], ...args: SeccompArg[]) => ({
  names,
  action: "SCMP_ACT_ALLOW",
  args,
});

/**
 * splice(2), and sendfile(2) from the file's own position, sleep on one end (a
 * socket) with the lock of the pipe that is the other. If that is the command's
 * output, whoever reads it waits for that lock, and no signal or timeout ends
 * that. A sendfile that names an offset takes no socket to read from. Programs
 * know EINVAL, which files that cannot do it give, and read and write instead;
 * not so libfuse, and who may mount a FUSE has other ways to hold a reader.
 */
function spliced(capabilities: readonly string[]): SeccompSyscall[] {
  const sendfile = ["sendfile", "sendfile64"];
  if (capabilities.includes("CAP_SYS_ADMIN")) {
    return [allow(["splice", ...sendfile])];
  }
  const invalid = { action: "SCMP_ACT_ERRNO", errnoRet: 22 };
  const offset = { index: 2, value: 0 };
  return [
    { names: ["splice"], ...invalid },
    { names: sendfile, ...invalid, args: [{ ...offset, op: "SCMP_CMP_EQ" }] },
    allow(sendfile, { ...offset, op: "SCMP_CMP_NE" }),
  ];
}

const words = (text: string): string[] => text.split(" ");

const equals = (value: number): SeccompArg => ({
  index: 0,
  value,
  op: "SCMP_CMP_EQ",
});

const isFrom48 = ({ kernel }: SeccompHost): boolean =>
  kernel.major > 4 || kernel.major === 4 && kernel.minor >= 8;

/** Returns the default profile for a container on a host. */
export function defaultSeccomp(host: SeccompHost): SeccompProfile {
  const { arch, capabilities } = host;
  const syscalls: SeccompSyscall[] = [
    allow([...words(ALLOWED), ...words(BY_ARCH[arch])]),
    allow(["socket"], { index: 0, value: 3, op: "SCMP_CMP_LT" }),
    ...FAMILIES.map((family) => allow(["socket"], equals(family))),
    ...PERSONALITIES.map((value) => allow(["personality"], equals(value))),
    ...spliced(capabilities),
  ];
  if (isFrom48(host)) syscalls.push(allow(words(FROM_4_8)));
  for (const capability in BY_CAPABILITY) {
    if (capabilities.includes(capability)) {
      syscalls.push(allow(words(BY_CAPABILITY[capability]!)));
    }
  }
  if (!capabilities.includes("CAP_SYS_ADMIN")) {
    const mask = {
      index: 0,
      value: CLONE_NAMESPACES | CLONE_PARENT,
      op: "SCMP_CMP_MASKED_EQ",
    };
    // ENOSYS: a filter cannot see clone3's flags, and libc falls back to clone.
    syscalls.push(allow(["clone"], mask), {
      names: ["clone3"],
      action: "SCMP_ACT_ERRNO",
      errnoRet: 38,
    });
  }
  return {
    defaultAction: "SCMP_ACT_ERRNO",
    defaultErrnoRet: 1,
    architectures: arch === "x86_64"
      ? ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]
      : ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
    syscalls,
  };
}

/** The cache key of {@linkcode defaultSeccomp}'s profile, without building it:
 * what the profile depends on, written out. */
export function defaultSeccompKey(host: SeccompHost): string {
  let bits = isFrom48(host) ? 1 : 0;
  for (const capability in BY_CAPABILITY) {
    bits = bits * 2 + (host.capabilities.includes(capability) ? 1 : 0);
  }
  return `${host.arch}-${COMPILER}-default-${bits.toString(16)}`;
}
