/**
 * The security manager: whole plans.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { ContainerError } from "../mod/errors.ts";
import type { Spec } from "../mod/config/schema.ts";
import type { Facts } from "../mod/host.ts";
import {
  DEFAULT_CAPABILITIES,
  planSecurity,
  type SecurityOptions,
} from "../mod/security.ts";
import {
  findBadNotes,
  makeConfig,
  makeFacts,
  pickSteps,
  showPlan,
  UNPRIVILEGED,
} from "./manager_fixtures.ts";
import { of, USERNS } from "./security_room.ts";

const DEFAULTS = [...DEFAULT_CAPABILITIES];

const plan = (
  spec: Partial<Spec>,
  facts: Partial<Facts> = {},
  options: SecurityOptions = {},
) => planSecurity(makeConfig(spec), makeFacts(facts), options);

Deno.test("planSecurity() gives root the default capabilities and no new privileges", () => {
  const phased = plan(of({
    args: ["sh"],
    env: ["PATH=/bin::/usr/bin"],
    noNewPrivileges: true,
    capabilities: {
      bounding: DEFAULTS,
      effective: DEFAULTS,
      permitted: DEFAULTS,
    },
  }));
  assertEquals(showPlan(phased), [
    "# session",
    'affinity ""',
    "# pivot",
    "chdir / 3",
    "# privileges",
    "prctl 4 0 0 0 0",
    "prctl 0x26 1 0 0 0",
    "# labels",
    "chdir / 6",
    "# credentials",
    "capDrop 0xa80425fb",
    "prctl 8 1 0 0 0",
    'setgroups ""',
    "setgid 0",
    "setuid 0",
    "prctl 8 0 0 0 0",
    "chdir / 0xc",
    "capSet 0xa80425fb 0xa80425fb 0",
    "capAmbient 0",
    "umask 0x12",
    "# findExec",
    "findExec [/bin/sh ./sh /usr/bin/sh]",
  ]);
  assertEquals(findBadNotes(phased), []);
});

Deno.test("planSecurity() plans every property of a process in its step", () => {
  const phased = plan({
    process: {
      cwd: "/work",
      user: { uid: 1000, gid: 5, umask: 0o77, additionalGids: [7, 8] },
      capabilities: {
        bounding: ["CAP_KILL"],
        permitted: ["CAP_KILL"],
        inheritable: ["CAP_KILL"],
        ambient: ["CAP_KILL"],
      },
      oomScoreAdj: -5,
      apparmorProfile: "box",
      selinuxLabel: "u:r:t:s0",
      scheduler: {
        policy: "SCHED_DEADLINE",
        nice: -3,
        flags: ["SCHED_FLAG_RESET_ON_FORK"],
        runtime: 1000000,
        deadline: 2000000,
        period: 18446744073709551615n,
      },
      ioPriority: { class: "IOPRIO_CLASS_BE", priority: 4 },
    },
    linux: {
      namespaces: [{ type: "network" }, { type: "ipc" }],
      sysctl: {
        "net.ipv4.ip_forward": "1",
        "net/ipv4/conf/eth0.1/mtu": "9",
        "kernel.shmmax": "2",
      },
      personality: { domain: "LINUX32" },
      memoryPolicy: {
        mode: "MPOL_BIND",
        nodes: "0-1,64",
        flags: ["MPOL_F_STATIC_NODES"],
      },
    },
  }, { apparmor: true, selinux: true });
  assertEquals(showPlan(phased), [
    "# sources",
    "open self - /proc/self 0x200000 0 0",
    "verify self 0 0 0x9fa0",
    'write self oom_score_adj "-5" 0',
    "# session",
    'affinity ""',
    "# pivot",
    "chdir /work 3",
    "# sysctl",
    'write proc sys/net/ipv4/ip_forward "1" 0',
    'write proc sys/net/ipv4/conf/eth0.1/mtu "9" 0',
    'write proc sys/kernel/shmmax "2" 0',
    "# process",
    "sched 38000000" + "06000000" + "0100000000000000" + "fdffffff" +
    "00000000" + "40420f0000000000" + "80841e0000000000" +
    "ffffffffffffffff" + "0000000000000000",
    "ioprio 0x4004",
    "personality 8",
    "mempolicy 0x8002 03000000000000000100000000000000",
    "# privileges",
    "prctl 4 0 0 0 0",
    "# labels",
    'write proc self/attr/apparmor/exec "exec box" 0',
    'write proc self/attr/exec "u:r:t:s0" 0',
    "chdir /work 6",
    "# credentials",
    "capDrop 0x20",
    "prctl 8 1 0 0 0",
    "setgroups 0700000008000000",
    "setgid 5",
    "setuid 0x3e8",
    "prctl 8 0 0 0 0",
    "chdir /work 0xc",
    "capSet 0 0x20 0x20",
    "capAmbient 0x20",
    "umask 0x3f",
  ]);
  assertEquals(findBadNotes(phased), []);
});

Deno.test("planSecurity() gives the umask 022 where it is not told one, as its peers do", () => {
  const lines = pickSteps(plan(of({})), "credentials");
  assertEquals(lines.at(-1), "umask 0x12");
});

const DIRTY = {
  timerSlack: 7,
  noHugePages: true,
  personality: 0x40000,
  memoryPolicy: 3,
  securebits: 5,
};

const CLEAN = {
  timerSlack: 50000,
  noHugePages: false,
  personality: 0,
  memoryPolicy: 0,
  securebits: 0,
};

Deno.test("planSecurity() puts back what the caller has otherwise, and that alone", () => {
  const sources = (inherited: Facts["inherited"], spec: Partial<Spec> = {}) =>
    pickSteps(plan(spec, { inherited: inherited! }), "sources");
  assertEquals(sources(CLEAN), []);
  assertEquals(sources(DIRTY), [
    "# sources",
    "prctl 0x1d 0xc350 0 0 0",
    "prctl 0x29 0 0 0 0",
    "personality 0",
    'mempolicy 0 ""',
    "prctl 0x1c 0 0 0 0",
  ]);
  assertEquals(
    sources(DIRTY, {
      linux: {
        namespaces: [{ type: "user" }],
        personality: { domain: "LINUX32" },
        memoryPolicy: { mode: "MPOL_LOCAL" },
      },
    }),
    ["# sources", "prctl 0x1d 0xc350 0 0 0", "prctl 0x29 0 0 0 0"],
  );
});

Deno.test("planSecurity() lets a process run on all CPUs, in exec on those of final", () => {
  const cpus = (exec: boolean) => {
    const phased = plan(
      of({ execCPUAffinity: { initial: "1", final: "0,2" } }),
      {},
      { exec },
    );
    return (phased.session![0] as { cpus: Uint8Array }).cpus;
  };
  assertEquals(cpus(false), new Uint8Array());
  assertEquals(cpus(true)[0], 5);
});

Deno.test("planSecurity() leaves setgroups alone where it is denied", () => {
  const lines = pickSteps(
    plan(of({}), UNPRIVILEGED, { setgroups: "deny" }),
    "credentials",
  );
  assertEquals(lines.filter((it) => it.startsWith("setgroups")), []);
});

Deno.test("planSecurity() takes unconfined for done where AppArmor is off", () => {
  assertEquals(
    pickSteps(plan(of({ apparmorProfile: "unconfined" })), "labels"),
    ["# labels", "chdir / 6"],
  );
});

Deno.test("planSecurity() makes no working directory where it is told to keep it", () => {
  const phased = plan(of({ cwd: "/work" }), {}, { exec: true });
  assertEquals(pickSteps(phased, "pivot", "labels"), [
    "# pivot",
    "chdir /work 2",
    "# labels",
    "chdir /work 6",
  ]);
});

Deno.test("planSecurity() plans no directory and no credentials without a process", () => {
  assertEquals(plan({}).pivot, []);
  assertEquals(plan({}).labels, []);
  assertEquals(plan({}).credentials, []);
});

const REFUSED: [string, Partial<Spec>, string][] = [
  [
    "an AppArmor profile without AppArmor",
    of({ apparmorProfile: "box" }),
    'Cannot apply the AppArmor profile "box": AppArmor is off on this host (process.apparmorProfile)',
  ],
  [
    "an SELinux label without SELinux",
    of({ selinuxLabel: "l" }),
    'Cannot apply the SELinux label "l": SELinux is off on this host (process.selinuxLabel)',
  ],
  [
    "a relative working directory",
    of({ cwd: "a" }),
    'Cannot start the process in "a": the path must be absolute (process.cwd)',
  ],
  [
    "a user that is not mapped",
    { ...USERNS, ...of({ user: { uid: 1 } }) },
    "Cannot run as user 1: the container's user namespace does not map it",
  ],
  [
    "a group that is not mapped",
    { ...USERNS, ...of({ user: { gid: 1 } }) },
    "Cannot run as group 1: the container's user namespace does not map it",
  ],
  [
    "a further group that is not mapped",
    { ...USERNS, ...of({ user: { additionalGids: [9] } }) },
    "Cannot run as group 9: the container's user namespace does not map it",
  ],
  [
    "an OOM score out of range",
    of({ oomScoreAdj: 1001 }),
    "Cannot set the OOM score to 1001: it must be between -1000 and 1000 (process.oomScoreAdj)",
  ],
  [
    "a priority without a real-time policy",
    of({ scheduler: { policy: "SCHED_OTHER", priority: 1 } }),
    "Cannot schedule the process by SCHED_OTHER: it takes no priority, which is 1 (process.scheduler)",
  ],
  [
    "a real-time policy without a priority",
    of({ scheduler: { policy: "SCHED_RR" } }),
    "Cannot schedule the process by SCHED_RR: priority is 0 (process.scheduler)",
  ],
  [
    "a nice value out of range",
    of({ scheduler: { policy: "SCHED_BATCH", nice: 20 } }),
    "Cannot schedule the process by SCHED_BATCH: nice is 20 (process.scheduler)",
  ],
  [
    "a runtime without a deadline policy",
    of({ scheduler: { policy: "SCHED_IDLE", runtime: 1 } }),
    "Cannot schedule the process by SCHED_IDLE: runtime, deadline and period are for SCHED_DEADLINE only (process.scheduler)",
  ],
  [
    "an I/O priority out of range",
    of({ ioPriority: { class: "IOPRIO_CLASS_RT", priority: 8 } }),
    "Cannot set the I/O priority to 8: it must be between 0 and 7 (process.ioPriority)",
  ],
  [
    "a personality flag",
    { linux: { personality: { domain: "LINUX", flags: ["X"] } } },
    'Cannot set the personality flag "X": the specification knows none (linux.personality.flags)',
  ],
  [
    "nodes of a policy that takes none",
    { linux: { memoryPolicy: { mode: "MPOL_LOCAL", nodes: "0" } } },
    "Cannot set the memory policy MPOL_LOCAL: it takes no nodes (linux.memoryPolicy)",
  ],
  [
    "a policy without its nodes",
    { linux: { memoryPolicy: { mode: "MPOL_BIND" } } },
    "Cannot set the memory policy MPOL_BIND: it names no nodes (linux.memoryPolicy)",
  ],
  [
    "a sysctl of the host",
    { linux: { sysctl: { "kernel.core_pattern": "|/x" } } },
    'Cannot set the sysctl "kernel.core_pattern": it belongs to the whole host, not to a namespace (linux.sysctl["kernel.core_pattern"])',
  ],
  [
    "a sysctl of a namespace that is not the container's",
    { linux: { sysctl: { "net.core.somaxconn": "1" } } },
    'Cannot set the sysctl "net.core.somaxconn": the container has no network namespace of its own (linux.sysctl["net.core.somaxconn"])',
  ],
  [
    "a sysctl for the host name",
    { linux: { sysctl: { "kernel.hostname": "x" } } },
    'Cannot set the sysctl "kernel.hostname": the host name has a property of its own (linux.sysctl["kernel.hostname"])',
  ],
  [
    "a sysctl that leads elsewhere",
    { linux: { sysctl: { "net/../kernel/core_pattern": "x" } } },
    'Cannot set the sysctl "net/../kernel/core_pattern": it is not a name of one (linux.sysctl["net/../kernel/core_pattern"])',
  ],
  [
    "an empty command",
    of({ args: [""] }),
    'Cannot run "": the command is empty (process.args)',
  ],
];

for (const [name, spec, message] of REFUSED) {
  Deno.test(`planSecurity() refuses ${name}`, () => {
    const error = assertThrows(() => plan(spec), ContainerError);
    assertEquals(error.message, message);
  });
}

Deno.test("planSecurity() refuses groups where setgroups is denied", () => {
  const error = assertThrows(
    () =>
      plan(of({ user: { additionalGids: [0, 1] } }), UNPRIVILEGED, {
        setgroups: "deny",
      }),
    ContainerError,
  );
  assertEquals(
    error.message,
    "Cannot give the process the groups 0, 1: a caller with a single mapped id must deny setgroups (process.user.additionalGids)",
  );
});

Deno.test("planSecurity() names the flags of friendly mode for a user that is not mapped", () => {
  const config = makeConfig({ ...USERNS, ...of({ user: { uid: 1 } }) }, {
    mode: "friendly",
    flags: new Map([["process.user", "-u 1"]]),
  });
  const error = assertThrows(
    () => planSecurity(config, makeFacts(), {}),
    ContainerError,
  );
  assertEquals([error.message, error.hint], [
    "Cannot run as user 1 (-u 1): the container's user namespace does not map it",
    "Use an id that is mapped, or map more: --userns C:H:N as root, else a range in /etc/subuid and /etc/subgid (rustyrun doctor shows how)",
  ]);
});
