/**
 * Bundles for config-linux.md: `seccomp`.
 *
 * @module
 */

import {
  type Case,
  inLinux,
  type Json,
  type JsonObject,
  makeCase,
  merge,
  USERNS,
  withWords,
} from "./case.ts";

/** mkdir(2) is 83, getuid 102, personality 135, unshare 272. */
function filter(patch: JsonObject, ...syscalls: Json[]): JsonObject {
  return inLinux({
    seccomp: merge({
      defaultAction: "SCMP_ACT_ALLOW",
      architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"],
      syscalls,
    }, patch),
  });
}

function rule(name: string, more: JsonObject = {}): JsonObject {
  return { names: [name], action: "SCMP_ACT_ERRNO", ...more };
}

/** All of this file. */
export const SECCOMP_CASES: Case[] = ([
  ["errno", filter({}, rule("mkdir")), "sys=83", "sys=102"],
  ["errno-ret", filter({}, rule("mkdir", { errnoRet: 77 })), "sys=83"],
  ["errno-zero", filter({}, rule("mkdir", { errnoRet: 0 })), "sys=83"],
  ["trace", filter({}, rule("mkdir", { action: "SCMP_ACT_TRACE" })), "sys=83"],
  ["log", filter({}, rule("mkdir", { action: "SCMP_ACT_LOG" })), "sys=83"],
  [
    "kill-other",
    filter({}, rule("mkdir", { action: "SCMP_ACT_KILL_PROCESS" })),
  ],
  ["trap-other", filter({}, rule("mkdir", { action: "SCMP_ACT_TRAP" }))],
  ["unknown-name", filter({}, rule("no_such_call"), rule("mkdir")), "sys=83"],
  [
    "names-two",
    filter({}, { names: ["mkdir", "rmdir"], action: "SCMP_ACT_ERRNO" }),
    "sys=83",
    "sys=84",
  ],
  ...["EQ", "NE", "LT", "LE", "GT", "GE"].map((op): [
    string,
    JsonObject,
    ...string[],
  ] => [
    `arg-${op.toLowerCase()}`,
    filter(
      {},
      rule("personality", {
        errnoRet: 90,
        args: [{ index: 0, value: 0x1000, op: `SCMP_CMP_${op}` }],
      }),
    ),
    "sys=135:0x1000",
    "sys=135:0xfff",
    "sys=135:0x1001",
    "sys=135:0xffffffff",
  ]),
  [
    "arg-masked",
    filter(
      {},
      rule("unshare", {
        errnoRet: 91,
        args: [{
          index: 0,
          value: 0x10000000,
          valueTwo: 0x10000000,
          op: "SCMP_CMP_MASKED_EQ",
        }],
      }),
    ),
    "sys=272:0x10000001",
    "sys=272:0x1",
  ],
  [
    "arg-64-bit",
    filter(
      {},
      rule("mkdir", {
        errnoRet: 92,
        args: [{ index: 3, value: 4294967296, op: "SCMP_CMP_GE" }],
      }),
    ),
    "sys=83:0:0:0:0xffffffff",
    "sys=83:0:0:0:0x100000000",
  ],
  [
    "args-two-indexes",
    filter(
      {},
      rule("mkdir", {
        errnoRet: 93,
        args: [
          { index: 2, value: 1, op: "SCMP_CMP_EQ" },
          { index: 3, value: 2, op: "SCMP_CMP_EQ" },
        ],
      }),
    ),
    "sys=83:0:0:1:2",
    "sys=83:0:0:1:3",
    "sys=83:0:0:0:2",
  ],
  [
    "args-same-index",
    filter(
      {},
      rule("mkdir", {
        errnoRet: 94,
        args: [
          { index: 2, value: 1, op: "SCMP_CMP_EQ" },
          { index: 2, value: 2, op: "SCMP_CMP_EQ" },
        ],
      }),
    ),
    "sys=83:0:0:1",
    "sys=83:0:0:2",
    "sys=83:0:0:3",
  ],
  [
    "rules-same-call",
    filter(
      {},
      rule("mkdir", {
        errnoRet: 95,
        args: [{ index: 2, value: 1, op: "SCMP_CMP_EQ" }],
      }),
      rule("mkdir", {
        errnoRet: 96,
        args: [{ index: 2, value: 2, op: "SCMP_CMP_EQ" }],
      }),
    ),
    "sys=83:0:0:1",
    "sys=83:0:0:2",
    "sys=83:0:0:3",
  ],
  ["flags-log", filter({ flags: ["SECCOMP_FILTER_FLAG_LOG"] }, rule("mkdir"))],
  ["flags-none", filter({ flags: [] }, rule("mkdir"))],
  [
    "flags-tsync",
    filter({ flags: ["SECCOMP_FILTER_FLAG_TSYNC"] }, rule("mkdir")),
  ],
  [
    "flags-spec-allow",
    filter({ flags: ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"] }, rule("mkdir")),
  ],
  [
    "nnp-false",
    merge(filter({}, rule("mkdir")), { process: { noNewPrivileges: false } }),
    "sys=83",
  ],
  [
    "nnp-false-user",
    merge(filter({}, rule("mkdir")), {
      process: { noNewPrivileges: false, user: { uid: 1000, gid: 1000 } },
    }),
    "sys=83",
  ],
  [
    "no-architectures",
    filter({ architectures: null }, rule("mkdir")),
    "sys=83",
  ],
  [
    "userns",
    merge(filter({}, rule("mkdir")), USERNS),
    "sys=83",
  ],
] as [string, JsonObject, ...string[]][]).map(([name, patch, ...words]) =>
  makeCase(`seccomp/${name}`, withWords(patch, ...words))
);

/** An allow-list as engines write it: what it does not name is refused, and
 * what is newer than all it names is ENOSYS (runc's rule). */
const ALLOWED = [
  ..."access arch_prctl brk capget close dup execve exit exit_group".split(" "),
  ..."fcntl fstat fstatfs futex getcwd getdents getdents64 getegid".split(" "),
  ..."geteuid getgid getgroups getpgid getpgrp getpid getppid".split(" "),
  ..."getpriority getresgid getresuid getrlimit getsid gettid getuid".split(
    " ",
  ),
  ..."get_mempolicy ioctl ioprio_get keyctl lseek lstat madvise".split(" "),
  ..."mmap mprotect mremap munmap newfstatat open openat personality".split(
    " ",
  ),
  ..."prctl prlimit64 read readlink readlinkat readv rt_sigaction".split(" "),
  ..."rt_sigprocmask rt_sigreturn sched_getaffinity sched_getattr".split(" "),
  ..."set_tid_address socket stat statfs statx umask uname unlink".split(" "),
  ..."write writev sendto recvfrom bind getsockname recvmsg sendmsg".split(" "),
  ..."setgid setuid setgroups capset chdir setresuid setresgid".split(" "),
  ..."clone clone3 faccessat2 epoll_pwait nanosleep pipe2 close_range".split(
    " ",
  ),
];
SECCOMP_CASES.push(
  makeCase(
    "seccomp/allow-list",
    withWords(
      inLinux({
        seccomp: {
          defaultAction: "SCMP_ACT_ERRNO",
          defaultErrnoRet: 1,
          architectures: ["SCMP_ARCH_X86_64"],
          syscalls: [{ names: ALLOWED, action: "SCMP_ACT_ALLOW" }],
        },
      }),
      "sys=83",
      "sys=441",
      "sys=450",
      "sys=470",
      "sys=900",
    ),
  ),
  makeCase(
    "seccomp/default-errno",
    withWords(
      inLinux({
        seccomp: {
          defaultAction: "SCMP_ACT_ERRNO",
          defaultErrnoRet: 88,
          syscalls: [{ names: ALLOWED, action: "SCMP_ACT_ALLOW" }],
        },
      }),
      "sys=83",
      "sys=470",
    ),
  ),
  makeCase(
    "seccomp/notify",
    filter({
      listenerPath: "@OUT@/seccomp.sock",
      listenerMetadata: "some words",
    }, rule("mkdir", { action: "SCMP_ACT_NOTIFY" })),
    { listener: true },
  ),
);
