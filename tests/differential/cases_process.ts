/**
 * Bundles for config.md: `process`, `root`, `hostname`, the command itself.
 *
 * @module
 */

import {
  type Case,
  inProcess,
  type JsonObject,
  makeCase,
  merge,
  USERNS,
  withWords,
} from "./case.ts";

const ALL_LIMITS = [
  "CPU",
  "FSIZE",
  "DATA",
  "STACK",
  "CORE",
  "RSS",
  "NPROC",
  "MEMLOCK",
  "AS",
  "LOCKS",
  "SIGPENDING",
  "MSGQUEUE",
  "RTTIME",
].map((name) => ({ type: `RLIMIT_${name}`, soft: 67108864, hard: 67108864 }))
  .map((limit) =>
    ({
      RLIMIT_NPROC: { ...limit, soft: 1000, hard: 2000 },
      RLIMIT_SIGPENDING: { ...limit, soft: 500, hard: 600 },
      RLIMIT_MSGQUEUE: { ...limit, soft: 4096, hard: 8192 },
      RLIMIT_MEMLOCK: { ...limit, soft: 65536, hard: 65536 },
    })[limit.type] ?? limit
  );

const CAPS = ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"];

/** process.*, by what the patch of `process` is. */
const PROCESS: [string, JsonObject][] = [
  ["base", {}],
  ["user-1000", { user: { uid: 1000, gid: 1000 } }],
  ["user-mixed", { user: { uid: 1000, gid: 2000 } }],
  ["user-large", { user: { uid: 4294967294, gid: 4294967294 } }],
  ["user-nobody-home", { user: { uid: 65534, gid: 65534 } }],
  ["umask-0", { user: { umask: 0 } }],
  ["umask-077", { user: { umask: 63 } }],
  ["groups", { user: { additionalGids: [5, 6, 4294967294] } }],
  ["groups-repeated", {
    user: { uid: 1000, gid: 1000, additionalGids: [1000, 5, 5] },
  }],
  ["home-set", { env: ["PATH=/", "HOME=/elsewhere"] }],
  ["home-empty", { env: ["PATH=/", "HOME="] }],
  ["home-of-passwd", {
    user: { uid: 1000, gid: 1000 },
    env: ["PATH=/bin"],
  }],
  ["home-without-passwd", {
    user: { uid: 4242, gid: 4242 },
    env: ["PATH=/bin"],
  }],
  ["env-repeated", { env: ["PATH=/", "A=1", "B=2", "A=3"] }],
  ["env-without-equals", { env: ["PATH=/", "NOVALUE"] }],
  ["env-empty-value", { env: ["PATH=/", "EMPTY="] }],
  ["env-no-path", { env: ["A=1"] }],
  ["env-none", { env: [] }],
  ["env-unicode", { env: ["PATH=/", "WORT=Grüße", "TAB=a\tb\nc"] }],
  ["args-relative", { args: ["payload", "report"], env: ["PATH=/bin:/"] }],
  ["args-dot", { args: ["./payload", "report"] }],
  ["args-many", { args: ["/payload", "report", "", " ", "a b", "ü"] }],
  ["cwd-tmp", { cwd: "/tmp" }],
  ["cwd-missing", { cwd: "/made/by/runtime" }],
  ["cwd-missing-user", {
    cwd: "/made/for/user",
    user: { uid: 1000, gid: 1000 },
  }],
  ["cwd-dots", { cwd: "/tmp/../etc" }],
  ["cwd-symlink", { cwd: "/link-to-etc" }],
  ["cwd-private-own", { cwd: "/private", user: { uid: 1000, gid: 1000 } }],
  ["cwd-private-other", { cwd: "/private", user: { uid: 1001, gid: 1001 } }],
  ["caps-absent", { capabilities: null }],
  ["caps-empty", {
    capabilities: { bounding: [], effective: [], permitted: [] },
  }],
  ["caps-bounding", {
    capabilities: { bounding: CAPS, effective: [], permitted: [] },
  }],
  ["caps-partial", {
    capabilities: {
      bounding: CAPS,
      effective: ["CAP_KILL"],
      permitted: ["CAP_KILL", "CAP_CHOWN"],
    },
  }],
  ["caps-inheritable", {
    capabilities: {
      bounding: CAPS,
      effective: CAPS,
      permitted: CAPS,
      inheritable: CAPS,
    },
  }],
  ["caps-ambient", {
    capabilities: {
      bounding: CAPS,
      effective: CAPS,
      permitted: CAPS,
      inheritable: CAPS,
      ambient: ["CAP_NET_RAW"],
    },
  }],
  ["caps-ambient-user", {
    user: { uid: 1000, gid: 1000 },
    capabilities: {
      bounding: CAPS,
      effective: CAPS,
      permitted: CAPS,
      inheritable: CAPS,
      ambient: CAPS,
    },
  }],
  ["caps-user", { user: { uid: 1000, gid: 1000 } }],
  ["caps-ambient-alone", {
    capabilities: { bounding: CAPS, permitted: CAPS, ambient: CAPS },
  }],
  ["caps-unknown", {
    capabilities: { bounding: ["CAP_KILL", "CAP_FLY"] },
  }],
  ["nnp-false", { noNewPrivileges: false }],
  ["nnp-absent", { noNewPrivileges: null }],
  ["rlimit-nofile", {
    rlimits: [{ type: "RLIMIT_NOFILE", soft: 512, hard: 1024 }],
  }],
  ["rlimit-nofile-tiny", {
    rlimits: [{ type: "RLIMIT_NOFILE", soft: 8, hard: 16 }],
  }],
  ["rlimit-core", { rlimits: [{ type: "RLIMIT_CORE", soft: 0, hard: 0 }] }],
  ["rlimit-fsize-tiny", {
    rlimits: [{ type: "RLIMIT_FSIZE", soft: 65536, hard: 65536 }],
  }],
  ["rlimit-all", { rlimits: ALL_LIMITS }],
  ["rlimit-raise-hard", {
    rlimits: [{ type: "RLIMIT_NOFILE", soft: 30000, hard: 30000 }],
  }],
  ["oom-score-100", { oomScoreAdj: 100 }],
  ["oom-score-0", { oomScoreAdj: 0 }],
  ["oom-score-negative", { oomScoreAdj: -500 }],
  ["scheduler-other", { scheduler: { policy: "SCHED_OTHER", nice: 5 } }],
  ["scheduler-nice-negative", {
    scheduler: { policy: "SCHED_OTHER", nice: -5 },
  }],
  ["scheduler-batch", { scheduler: { policy: "SCHED_BATCH", nice: 10 } }],
  ["scheduler-idle", { scheduler: { policy: "SCHED_IDLE" } }],
  ["scheduler-reset", {
    scheduler: {
      policy: "SCHED_BATCH",
      nice: 1,
      flags: ["SCHED_FLAG_RESET_ON_FORK"],
    },
  }],
  ["scheduler-fifo", { scheduler: { policy: "SCHED_FIFO", priority: 10 } }],
  ["ioprio-be", {
    ioPriority: { class: "IOPRIO_CLASS_BE", priority: 6 },
  }],
  ["ioprio-idle", {
    ioPriority: { class: "IOPRIO_CLASS_IDLE", priority: 0 },
  }],
  ["ioprio-rt", { ioPriority: { class: "IOPRIO_CLASS_RT", priority: 2 } }],
  ["apparmor-off", { apparmorProfile: "some-profile" }],
  ["selinux-off", { selinuxLabel: "system_u:system_r:some_t:s0" }],
  ["args-missing", { args: ["/no/such/file"] }],
  ["args-missing-in-path", { args: ["nosuch"] }],
  ["args-not-executable", { args: ["/etc/passwd"] }],
  ["args-directory", { args: ["/etc"] }],
  ["args-bad-format", { args: ["/text"] }],
  ["args-no-interpreter", { args: ["/script"] }],
];

/** Bundles that cross properties of `process` and its neighbours. */
const CROSSED: Case[] = [
  makeCase("process/everything", {
    process: {
      user: { uid: 1000, gid: 1001, umask: 18, additionalGids: [7, 8] },
      cwd: "/tmp",
      rlimits: [
        { type: "RLIMIT_NOFILE", soft: 100, hard: 200 },
        { type: "RLIMIT_NPROC", soft: 300, hard: 400 },
      ],
      oomScoreAdj: 250,
      scheduler: { policy: "SCHED_BATCH", nice: 3 },
      ioPriority: { class: "IOPRIO_CLASS_BE", priority: 7 },
    },
    root: { readonly: true },
    domainname: "example",
  }),
  makeCase("root/readonly", withWords({ root: { readonly: true } }, "probe=/")),
  makeCase("root/writable", withWords({}, "probe=/", "probe=/tmp")),
  makeCase("root/absolute", { root: { path: "@BUNDLE@/rootfs" } }),
  makeCase("root/dot", { root: { path: "./rootfs/" } }),
  makeCase("root/readonly-user", {
    root: { readonly: true },
    process: { user: { uid: 1000, gid: 1000 } },
  }),
  makeCase("host/no-hostname", { hostname: null }),
  makeCase("host/domainname", { domainname: "example.org" }),
  makeCase("host/hostname-long", { hostname: "h".repeat(64) }),
  makeCase("host/annotations", {
    annotations: { "org.example.a": "1", "org.example.b": "" },
  }),
  makeCase("host/unknown-property", { somethingNew: { a: 1 } }),
  makeCase("host/no-mounts", { mounts: null }),
  makeCase("host/no-hostname-no-domain-ro", {
    hostname: null,
    root: { readonly: true },
  }),
  makeCase(
    "terminal/console-socket",
    inProcess({ terminal: true }),
    { terminal: true },
  ),
  makeCase(
    "terminal/size",
    inProcess({ terminal: true, consoleSize: { height: 33, width: 77 } }),
    { terminal: true },
  ),
  makeCase(
    "terminal/user",
    inProcess({
      terminal: true,
      user: { uid: 1000, gid: 1000 },
      consoleSize: { height: 10, width: 20 },
    }),
    { terminal: true },
  ),
  makeCase(
    "terminal/readonly-root",
    merge(inProcess({ terminal: true }), { root: { readonly: true } }),
    { terminal: true },
  ),
  makeCase(
    "terminal/size-without-terminal",
    inProcess({ consoleSize: { height: 33, width: 77 } }),
  ),
  makeCase("terminal/no-socket", inProcess({ terminal: true })),
];

/** Exit codes of `run`. */
const RUN: Case[] = [
  ...[0, 1, 42, 255].map((code) =>
    makeCase(
      `run/exit-${code}`,
      inProcess({ args: ["/payload", "report", `exit=${code}`] }),
      { mode: "run" },
    )
  ),
  // kill(1, SIGKILL) from inside is ignored; from the host's namespace not.
  makeCase(
    "run/killed",
    {
      process: {
        args: ["/payload", "report", "sys=39"],
        rlimits: [{ type: "RLIMIT_CPU", soft: 1, hard: 1 }],
      },
    },
    { mode: "run" },
  ),
  makeCase("run/missing", inProcess({ args: ["/nosuch"] }), { mode: "run" }),
  makeCase("run/not-executable", inProcess({ args: ["/text"] }), {
    mode: "run",
  }),
];

/** `exec` into a container that waits. */
const EXEC: Case[] = ([
  ["base", {}, {}],
  ["user", {}, {
    user: { uid: 1000, gid: 1000, additionalGids: [9], umask: 63 },
  }],
  ["caps", {}, {
    capabilities: { bounding: CAPS, effective: CAPS, permitted: CAPS },
  }],
  ["caps-absent", {}, { capabilities: null }],
  ["rlimits", {}, {
    rlimits: [{ type: "RLIMIT_NOFILE", soft: 64, hard: 128 }],
  }],
  ["cwd", {}, { cwd: "/tmp" }],
  ["nnp-false", {}, { noNewPrivileges: false }],
  ["oom", {}, { oomScoreAdj: 300 }],
  ["scheduler", {}, { scheduler: { policy: "SCHED_BATCH", nice: 4 } }],
  ["ioprio", {}, { ioPriority: { class: "IOPRIO_CLASS_BE", priority: 5 } }],
  ["affinity", {}, { execCPUAffinity: { initial: "0", final: "1" } }],
  ["userns", USERNS, { user: { uid: 5, gid: 5 } }],
  ["seccomp", {
    linux: {
      seccomp: {
        defaultAction: "SCMP_ACT_ALLOW",
        architectures: ["SCMP_ARCH_X86_64"],
        syscalls: [{
          names: ["mkdir"],
          action: "SCMP_ACT_ERRNO",
          errnoRet: 38,
        }],
      },
    },
  }, { args: ["/payload", "report", "sys=83"] }],
  ["missing", {}, { args: ["/nosuch"] }],
  ["exit-7", {}, { args: ["/payload", "report", "exit=7"] }],
] as [string, JsonObject, JsonObject][]).map(([name, patch, process]) =>
  makeCase(
    `exec/${name}`,
    merge(patch, { process: { args: ["/payload", "pause"] } }),
    {
      mode: "exec",
      process: merge({
        user: { uid: 0, gid: 0 },
        args: ["/payload", "report"],
        env: ["PATH=/bin", "X=1"],
        cwd: "/",
        noNewPrivileges: true,
      }, process),
    },
  )
);

/** `exec` by flags alone: the configuration's process is the base. */
const EXEC_WORDS: Case[] = ([
  ["words", []],
  ["words-user", ["--user", "1000:1000"]],
  ["words-env-cwd", ["--env", "A=1", "--cwd", "/tmp"]],
  ["words-cap", ["--cap", "CAP_NET_RAW"]],
] as [string, string[]][]).map(([name, words]) =>
  makeCase(
    `exec/${name}`,
    inProcess({
      args: ["/payload", "pause"],
      rlimits: [{ type: "RLIMIT_NOFILE", soft: 70, hard: 80 }],
    }),
    { mode: "exec", words },
  )
);

/** All of this file. */
export const PROCESS_CASES: Case[] = [
  ...PROCESS.map(([name, patch]) =>
    makeCase(`process/${name}`, inProcess(patch))
  ),
  ...CROSSED,
  ...RUN,
  ...EXEC,
  ...EXEC_WORDS,
];
