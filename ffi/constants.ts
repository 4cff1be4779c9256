/**
 * Numbers of the kernel's interface, for x86_64 and aarch64. Only what differs
 * between the two is asked for by architecture; the rest is one number.
 *
 * @module
 */

/** clone(2), unshare(2), setns(2): one flag per kind of namespace. */
export const CLONE = {
  NEWTIME: 0x00000080,
  NEWNS: 0x00020000,
  NEWCGROUP: 0x02000000,
  NEWUTS: 0x04000000,
  NEWIPC: 0x08000000,
  NEWUSER: 0x10000000,
  NEWPID: 0x20000000,
  NEWNET: 0x40000000,
} as const;

/** mount(2): propagation types, as mount_setattr(2) takes them too. */
export const MS = {
  UNBINDABLE: 1 << 17,
  PRIVATE: 1 << 18,
  SLAVE: 1 << 19,
  SHARED: 1 << 20,
} as const;

/** mount_setattr(2), fsmount(2). NOSYMFOLLOW since 5.14, IDMAP since 5.12. */
export const MOUNT_ATTR = {
  RDONLY: 0x1,
  NOSUID: 0x2,
  NODEV: 0x4,
  NOEXEC: 0x8,
  /** The three ways to update access times share these bits: to set one, all
   * of them must be cleared. */
  ATIME: 0x70,
  RELATIME: 0x0,
  NOATIME: 0x10,
  STRICTATIME: 0x20,
  NODIRATIME: 0x80,
  IDMAP: 0x100000,
  NOSYMFOLLOW: 0x200000,
} as const;

/** open_tree(2): makes a detached copy. */
export const OPEN_TREE_CLONE = 1;

/** The AT_* flags of openat(2) and its relatives. */
export const AT = {
  SYMLINK_NOFOLLOW: 0x100,
  EMPTY_PATH: 0x1000,
  RECURSIVE: 0x8000,
} as const;

/** openat2(2). */
export const RESOLVE = {
  NO_XDEV: 0x01,
  NO_MAGICLINKS: 0x02,
  NO_SYMLINKS: 0x04,
  BENEATH: 0x08,
  IN_ROOT: 0x10,
} as const;

/** open(2) flags that are the same on both architectures. */
export const O = {
  RDONLY: 0,
  WRONLY: 1,
  RDWR: 2,
  CREAT: 0o100,
  EXCL: 0o200,
  NOCTTY: 0o400,
  TRUNC: 0o1000,
  APPEND: 0o2000,
  NONBLOCK: 0o4000,
  CLOEXEC: 0o2000000,
  PATH: 0o10000000,
} as const;

/** open(2) flags that differ; asm/fcntl.h of each architecture. */
export const O_BY_ARCH = {
  x86_64: { DIRECTORY: 0o200000, NOFOLLOW: 0o400000, DIRECT: 0o40000 },
  aarch64: { DIRECTORY: 0o40000, NOFOLLOW: 0o100000, DIRECT: 0o200000 },
} as const;

/** Types of files: the S_IFMT bits of st_mode, inode(7). */
export const S_IF = {
  MT: 0o170000,
  SOCK: 0o140000,
  LNK: 0o120000,
  REG: 0o100000,
  BLK: 0o060000,
  DIR: 0o040000,
  CHR: 0o020000,
  IFO: 0o010000,
} as const;

/** statfs(2): f_type. */
export const MAGIC = {
  PROC: 0x9fa0,
  NSFS: 0x6e736673,
  DEVPTS: 0x1cd1,
  SYSFS: 0x62656572,
  TMPFS: 0x01021994,
  CGROUP: 0x27e0eb,
  CGROUP2: 0x63677270,
  RDTGROUP: 0x7655821,
  DEBUGFS: 0x64626720,
  TRACEFS: 0x74726163,
  SECURITYFS: 0x73636673,
  PSTOREFS: 0x6165676c,
  EFIVARFS: 0xde5e81e4,
  BPF_FS: 0xcafe4a11,
  RAMFS: 0x858458f6,
  OVERLAYFS: 0x794c7630,
  FUSE: 0x65735546,
} as const;

/** prctl(2). */
export const PR = {
  SET_DUMPABLE: 4,
  SET_KEEPCAPS: 8,
  SET_SECUREBITS: 28,
  SET_TIMERSLACK: 29,
  SET_NO_NEW_PRIVS: 38,
  SET_THP_DISABLE: 41,
} as const;

/** The first and the last real-time signal of the kernel. */
export const SIGRTMIN = 34;
export const SIGRTMAX = 64;

/** sched_setattr(2). */
export const SCHED = {
  SCHED_OTHER: 0,
  SCHED_FIFO: 1,
  SCHED_RR: 2,
  SCHED_BATCH: 3,
  SCHED_ISO: 4,
  SCHED_IDLE: 5,
  SCHED_DEADLINE: 6,
} as const;

/** sched_setattr(2): sched_flags. */
export const SCHED_FLAG = {
  SCHED_FLAG_RESET_ON_FORK: 0x01,
  SCHED_FLAG_RECLAIM: 0x02,
  SCHED_FLAG_DL_OVERRUN: 0x04,
  SCHED_FLAG_KEEP_POLICY: 0x08,
  SCHED_FLAG_KEEP_PARAMS: 0x10,
  SCHED_FLAG_UTIL_CLAMP_MIN: 0x20,
  SCHED_FLAG_UTIL_CLAMP_MAX: 0x40,
} as const;

/** ioprio_set(2). */
export const IOPRIO_CLASS = {
  IOPRIO_CLASS_RT: 1,
  IOPRIO_CLASS_BE: 2,
  IOPRIO_CLASS_IDLE: 3,
} as const;

/** set_mempolicy(2): modes. */
export const MPOL = {
  MPOL_DEFAULT: 0,
  MPOL_PREFERRED: 1,
  MPOL_BIND: 2,
  MPOL_INTERLEAVE: 3,
  MPOL_LOCAL: 4,
  MPOL_PREFERRED_MANY: 5,
  MPOL_WEIGHTED_INTERLEAVE: 6,
} as const;

/** set_mempolicy(2): flags beside the mode. */
export const MPOL_F = {
  MPOL_F_NUMA_BALANCING: 1 << 13,
  MPOL_F_RELATIVE_NODES: 1 << 14,
  MPOL_F_STATIC_NODES: 1 << 15,
} as const;

/** personality(2). */
export const PERSONALITY = { LINUX: 0, LINUX32: 0x0008 } as const;

/** A device number as the kernel's calls take it, makedev(3). */
export function makedev(major: number, minor: number): bigint {
  const [a, i] = [BigInt(major), BigInt(minor)];
  return (i & 0xffn) | ((a & 0xfffn) << 8n) | ((i & ~0xffn) << 12n) |
    ((a & ~0xfffn) << 32n);
}
