/**
 * The rules of a config.json but for those of linux: one row for each, with the
 * whole of its message.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { processProblems, specProblems } from "../mod/config/rules.ts";
import {
  deadline,
  linux,
  makeSpec,
  MAP,
  mounts,
  proc,
  process,
  show,
  user,
} from "./config_rules_room.ts";

/** Each row breaks one rule. */
const REFUSED: [change: unknown, ...problems: string[]][] = [
  // config.md
  [
    { ociVersion: "invalid" },
    'ociVersion must be a version of SemVer 2.0.0: found "invalid" (config.md#specification-version; write "1.3.0")',
  ],
  [
    { ociVersion: "1.0" },
    'ociVersion must be a version of SemVer 2.0.0: found "1.0" (config.md#specification-version; write "1.3.0")',
  ],
  [
    { ociVersion: "01.0.0" },
    'ociVersion must be a version of SemVer 2.0.0: found "01.0.0" (config.md#specification-version; write "1.3.0")',
  ],
  [
    { ociVersion: "0.2.0" },
    'ociVersion must be a version 1.x: found "0.2.0" (config.md#specification-version; write "1.3.0", and what that version has)',
  ],
  [
    { ociVersion: "2.0.0" },
    'ociVersion must be a version 1.x: found "2.0.0" (config.md#specification-version; write "1.3.0", and what that version has)',
  ],
  [
    { root: { path: "" } },
    "root.path must not be empty (config.md#root; write the directory of the root file system)",
  ],
  [
    { annotations: { "": "a" } },
    'annotations must not have an empty key: found "" (config.md#annotations; write a key like com.example.key)',
  ],
  [
    { hostname: "box", linux: { namespaces: [] } },
    'hostname must not be set without a UTS namespace: found "box" (config.md#hostname; add {"type": "uts"} to linux.namespaces)',
  ],
  [
    { domainname: "example", linux: { namespaces: [] } },
    'domainname must not be set without a UTS namespace: found "example" (config.md#domainname; add {"type": "uts"} to linux.namespaces)',
  ],
  [
    { hostname: "é".repeat(33) },
    `hostname must have at most 64 bytes: found "${
      "é".repeat(33)
    }" (config.md#hostname; write a shorter name)`,
  ],
  ...[
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
  ].map((kind): [unknown, string] => [
    { hooks: { [kind]: [{ path: "/ok" }, { path: "bin/hook" }] } },
    `hooks.${kind}[1].path must be an absolute path: found "bin/hook" (config.md#posix-platform-hooks; start the path with "/")`,
  ]),
  [
    { hooks: { poststop: [{ path: "/hook", timeout: 0 }] } },
    "hooks.poststop[0].timeout must be greater than 0: found 0 (config.md#posix-platform-hooks; write the seconds after which the hook is killed, or leave it out)",
  ],
  // config.md#mounts
  ...["/", "//", "/.", "/a/..", ".", ""].map((path): [unknown, string] => [
    mounts({ destination: path, type: "tmpfs" }),
    `mounts[0].destination must not be the root of the container: found "${path}" (config.md#mounts; write a directory below it, or make root.path what you want there)`,
  ]),
  [
    mounts({ destination: "/proc", type: "tmpfs" }),
    'mounts[0].type must be "proc" on /proc: found "tmpfs" (config.md#mounts; write the type "proc", or bind a procfs there)',
  ],
  ...["/proc/1", "/a/../proc//sys/net", "proc/self"].map(
    (path): [unknown, string] => [
      mounts({ destination: path, type: "tmpfs" }),
      `mounts[0].destination must not be inside of /proc: found "${path}" (config.md#mounts; mount it elsewhere; allowed are /proc/ and one of: cpuinfo diskstats loadavg meminfo slabinfo stat swaps uptime sys/kernel/ns_last_pid sys/crypto/fips_enabled)`,
    ],
  ),
  [
    mounts({ destination: "/data", options: ["ro", "rbind"] }),
    "mounts[0].source must be set for a bind mount: found nothing (config.md#mounts; write the path on the host, absolute or relative to the bundle)",
  ],
  [
    mounts({ destination: "/data", options: ["rslave"] }),
    "mounts[0].type must be set unless the options hold bind or rbind: found nothing (config.md#mounts; write the type of the file system, or the option rbind)",
  ],
  [
    mounts({ destination: "/data", source: "/data", type: "bind" }),
    'mounts[0].type must not be "bind" alone: the option bind or rbind makes a bind mount (config.md#mounts; write the type of the file system, or the option rbind)',
  ],
  [
    linux({
      seccomp: {
        defaultAction: "SCMP_ACT_ALLOW",
        listenerPath: "/run/agent",
        syscalls: [{ names: ["read", "write"], action: "SCMP_ACT_NOTIFY" }],
      },
    }),
    'linux.seccomp.syscalls[0].names[1] must not be "write" for SCMP_ACT_NOTIFY: it is needed before the agent has the listener (config-linux.md#seccomp; allow it, and ask the agent about other calls)',
  ],
  [
    mounts({ destination: "/data", source: "/data", options: ["ro"] }),
    "mounts[0].type must be set unless the options hold bind or rbind: found nothing (config.md#mounts; write the type of the file system, or the option rbind)",
  ],
  [
    mounts({ ...proc, uidMappings: [MAP] }),
    "mounts[0].gidMappings must be set when the other mapping is: found nothing (config.md#mounts; write uidMappings and gidMappings together)",
  ],
  [
    mounts({ ...proc, gidMappings: [MAP] }),
    "mounts[0].uidMappings must be set when the other mapping is: found nothing (config.md#mounts; write uidMappings and gidMappings together)",
  ],
  ...["idmap", "ridmap"].map((word): [unknown, string] => [
    mounts({ ...proc, options: [word] }),
    `mounts[0].options must not hold "${word}" without mappings and without a user namespace (config.md#mounts; write uidMappings and gidMappings for the mount)`,
  ]),
  [
    mounts({ ...proc, uidMappings: [{ ...MAP, size: 0 }], gidMappings: [MAP] }),
    "mounts[0].uidMappings[0].size must be greater than 0: found 0 (config.md#mounts; write how many ids are mapped)",
  ],
  // config.md#process
  [
    process({ cwd: "tmp" }),
    'process.cwd must be an absolute path: found "tmp" (config.md#process; start the path with "/")',
  ],
  [
    process({ args: [] }),
    'process.args must have at least one entry: found none (config.md#process; write the program and its arguments: ["sh", "-c", "..."])',
  ],
  [
    process({ args: undefined }),
    'process.args must have at least one entry: found none (config.md#process; write the program and its arguments: ["sh", "-c", "..."])',
  ],
  [
    process({ env: ["A=", "HOME"] }),
    'process.env[1] must be NAME=VALUE: found "HOME" (config.md#process; write "HOME=")',
  ],
  [
    process({ env: ["=x"] }),
    'process.env[0] must be NAME=VALUE: found "=x" (config.md#process; write "x=")',
  ],
  [
    process({ terminal: true, consoleSize: { height: 65536, width: 1 } }),
    "process.consoleSize.height must be at most 65535: found 65536 (config.md#process; write the terminal's size in characters)",
  ],
  [
    process({ user: { uid: 4294967295 } }),
    "process.user.uid must be an id from 0 to 4294967294: found 4294967295 (config.md#posix-platform-user; write another id: this one means no id to the kernel)",
  ],
  [
    process({ user: { gid: 4294967295 } }),
    "process.user.gid must be an id from 0 to 4294967294: found 4294967295 (config.md#posix-platform-user; write another id: this one means no id to the kernel)",
  ],
  [
    process({ user: { additionalGids: [1, 4294967295] } }),
    "process.user.additionalGids[1] must be an id from 0 to 4294967294: found 4294967295 (config.md#posix-platform-user; write another id: this one means no id to the kernel)",
  ],
  [
    process({ user: { umask: 512 } }),
    "process.user.umask must be from 0 to 511 (octal 777): found 512 (config.md#posix-platform-user; write the octal umask as a decimal number: 022 is 18)",
  ],
  ...["NOFILE", "RLIMIT_FILES", "RLIMIT_", "RLIMIT_AS CORE"].map(
    (type): [unknown, string] => [
      process({ rlimits: [{ type, soft: 1, hard: 1 }] }),
      `process.rlimits[0].type must be a resource of getrlimit(2): found "${type}" (config.md#posix-process; write a name like "RLIMIT_NOFILE")`,
    ],
  ),
  [
    process({
      rlimits: [
        { type: "RLIMIT_CORE", soft: 1, hard: 1 },
        { type: "RLIMIT_CORE", soft: 2, hard: 2 },
      ],
    }),
    'process.rlimits[1].type must not come twice: found "RLIMIT_CORE" again (config.md#posix-process; remove one of the entries)',
  ],
  [
    process({
      rlimits: [{ type: "RLIMIT_AS", soft: 18446744073709551615n, hard: 1 }],
    }),
    "process.rlimits[0].soft must not be above the hard limit 1: found 18446744073709551615 (config.md#posix-process; lower soft or raise hard)",
  ],
  ...[-1001, 1001].map((score): [unknown, string] => [
    process({ oomScoreAdj: score }),
    `process.oomScoreAdj must be from -1000 to 1000: found ${score} (config.md#linux-process; write a number of that range: proc_pid_oom_score_adj(5))`,
  ]),
  [
    process({ scheduler: { policy: "SCHED_ISO" } }),
    'process.scheduler.policy must be a policy of this kernel: found "SCHED_ISO" (config.md#linux-process; write another policy: Linux has reserved this one and never made it)',
  ],
  ...[-21, 20].map((nice): [unknown, string] => [
    process({ scheduler: { policy: "SCHED_OTHER", nice } }),
    `process.scheduler.nice must be from -20 to 19: found ${nice} (config.md#linux-process; write a nice value of that range)`,
  ]),
  ...[0, 100].map((priority): [unknown, string] => [
    process({ scheduler: { policy: "SCHED_RR", priority } }),
    `process.scheduler.priority must be from 1 to 99 for SCHED_RR: found ${priority} (config.md#linux-process; write a real-time priority)`,
  ]),
  [
    process({ scheduler: { policy: "SCHED_BATCH", priority: 1 } }),
    "process.scheduler.priority must be 0 for SCHED_BATCH: found 1 (config.md#linux-process; remove it, or write the policy SCHED_FIFO or SCHED_RR)",
  ],
  ...["runtime", "deadline", "period"].map((key): [unknown, string] => [
    process({ scheduler: { policy: "SCHED_FIFO", priority: 1, [key]: 5 } }),
    `process.scheduler.${key} must be 0 for SCHED_FIFO: found 5 (config.md#linux-process; remove it, or write the policy SCHED_DEADLINE)`,
  ]),
  [
    process({ scheduler: { ...deadline, runtime: 0 } }),
    "process.scheduler.runtime must be greater than 0 for SCHED_DEADLINE: found 0 (config.md#linux-process; write the nanoseconds of work in each period)",
  ],
  [
    process({ scheduler: { ...deadline, runtime: 3 } }),
    "process.scheduler.runtime must not be above the deadline 2: found 3 (config.md#linux-process; write runtime <= deadline <= period)",
  ],
  [
    process({ scheduler: { ...deadline, deadline: 4 } }),
    "process.scheduler.deadline must not be above the period 3: found 4 (config.md#linux-process; write runtime <= deadline <= period)",
  ],
  ...[-1, 8].map((priority): [unknown, string] => [
    process({ ioPriority: { class: "IOPRIO_CLASS_BE", priority } }),
    `process.ioPriority.priority must be from 0 to 7: found ${priority} (config.md#linux-process; write 0 for the highest priority, 7 for the lowest)`,
  ]),
  ...["initial", "final"].map((key): [unknown, string] => [
    process({ execCPUAffinity: { [key]: "3-1" } }),
    `process.execCPUAffinity.${key} must be a list of numbers and ranges: found "3-1" (config.md#linux-process; write it like "0-3,7")`,
  ]),
];

for (const [change, ...problems] of REFUSED) {
  const title = JSON.stringify(
    change,
    (_, v) => typeof v === "bigint" ? `${v}` : v,
  ).slice(0, 120);
  Deno.test(`specProblems() refuses ${title}`, () => {
    assertEquals(show(specProblems(makeSpec(change))), problems);
  });
}

Deno.test("specProblems() lets both mappings come later, not one", () => {
  const later = { mapsLater: true };
  assertEquals(show(specProblems(makeSpec(linux(user)), later)), []);
  assertEquals(
    specProblems(makeSpec(linux({ ...user, uidMappings: [MAP] })), later)
      .map(({ path }) => path),
    ["linux.gidMappings"],
  );
});

Deno.test("specProblems() finds all problems at once", () => {
  const spec = makeSpec({
    ociVersion: "3.0.0",
    process: { cwd: "a", args: [] },
    linux: {
      maskedPaths: ["a"],
      resources: { pids: { limit: -5 } },
      seccomp: { defaultAction: "SCMP_ACT_NOTIFY" },
    },
  });
  assertEquals(specProblems(spec).map(({ path }) => path), [
    "ociVersion",
    "process.cwd",
    "process.args",
    "linux.maskedPaths[0]",
    "linux.resources.pids.limit",
    "linux.seccomp.defaultAction",
  ]);
});

Deno.test("processProblems() takes another base", () => {
  assertEquals(
    processProblems({ cwd: "a", args: ["sh"] }, "exec").map((p) => p.path),
    ["exec.cwd"],
  );
});
