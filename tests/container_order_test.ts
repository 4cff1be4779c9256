/**
 * The order of the steps of a plan, and the whole of some.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { orderPlan, planSteps } from "../mod/container/launch/order.ts";
import {
  cutAtRest,
  planRest,
  withCommand,
} from "../mod/container/launch/rest.ts";
import type { Spec } from "../mod/config/config.ts";
import { ContainerError } from "../mod/errors.ts";
import { type Phase, PHASES } from "../mod/plan.ts";
import { makeConfig, makeFacts, showPlan } from "./manager_fixtures.ts";
import type { Gate } from "../mod/container/model.ts";

/** The order itself. A change of PHASES has to be made here, too. */
const ORDER: Phase[] = [
  "warden",
  "sources",
  "stage",
  "ahead",
  "cgroupOpen",
  "user",
  "time",
  "namespaces",
  "fork",
  "cgroupJoin",
  "session",
  "network",
  "uts",
  "root",
  "mounts",
  "devices",
  "hooks",
  "console",
  "pivot",
  "sysctl",
  "readonly",
  "masked",
  "rootReadonly",
  "process",
  "privileges",
  "ready",
  "labels",
  "close",
  "rest",
  "seccompEarly",
  "credentials",
  "findExec",
  "gate",
  "seccomp",
  "waitStart",
  "startHooks",
  "exec",
];

Deno.test("PHASES is this order", () => {
  assertEquals([...PHASES], ORDER);
});

/** [before, after, why] */
const RULES: [Phase, Phase, string][] = [
  ["warden", "sources", "what can be left behind has somebody to remove it"],
  ["sources", "stage", "what is taken is put there"],
  ["stage", "user", "the kernel locks what comes from another user namespace"],
  ["sources", "user", "a source under a 0700 directory is EACCES to other ids"],
  ["warden", "ahead", "it stays in the host's namespaces"],
  ["ahead", "cgroupOpen", "the host makes the cgroups meanwhile"],
  ["cgroupOpen", "user", "the cgroup's files are the host's root's"],
  ["cgroupOpen", "fork", "CLONE_INTO_CGROUP needs the directory"],
  ["user", "time", "the user namespace owns those that are made after it"],
  ["user", "fork", "the user namespace owns those that are made after it"],
  ["time", "fork", "clone3(NEWTIME) makes the offsets unwritable"],
  ["fork", "cgroupJoin", "only the container belongs into its cgroup"],
  ["cgroupJoin", "mounts", "a cgroup mount shows the cgroup one is in"],
  ["session", "console", "a controlling terminal needs a session leader"],
  ["uts", "sysctl", "kernel.domainname is of the uts namespace"],
  ["root", "mounts", "mounts need the root they are attached in"],
  ["mounts", "devices", "/dev is a mount"],
  ["mounts", "hooks", "hooks see the mounts; runtime.md"],
  ["hooks", "pivot", "createContainer runs before pivot_root; runtime.md"],
  ["pivot", "rootReadonly", "the root is writable while it is filled"],
  ["mounts", "readonly", "a path in a mount can be made read-only"],
  ["sysctl", "readonly", "/proc/sys is read-only afterwards"],
  ["mounts", "masked", "a path in a mount can be masked"],
  ["process", "credentials", "a better priority needs CAP_SYS_NICE"],
  ["privileges", "seccomp", "a filter without CAP_SYS_ADMIN needs it"],
  ["ready", "credentials", "rlimits are set from outside by then"],
  ["ready", "rest", "what waits is limited and known"],
  ["close", "rest", "nothing of the host waits together with it"],
  ["privileges", "rest", "what waits cannot be traced from inside"],
  ["rest", "credentials", "the command's user comes with the command"],
  ["seccompEarly", "credentials", "it needs CAP_SYS_ADMIN"],
  ["labels", "credentials", "a profile may need CAP_MAC_ADMIN"],
  ["credentials", "findExec", "the command is found as its user"],
  ["findExec", "waitStart", "create itself fails when there is no command"],
  ["close", "waitStart", "nothing of the host waits together with it"],
  ["close", "seccompEarly", "a filter need not allow close_range"],
  ["close", "seccomp", "a filter need not allow close_range"],
  ["findExec", "gate", "an error is worded while this is still Deno"],
  ["seccomp", "exec", "nothing runs unfiltered"],
  ["waitStart", "startHooks", "startContainer hooks are start's"],
  ["startHooks", "exec", "startContainer hooks run before the command"],
];

for (const [before, after, why] of RULES) {
  Deno.test(`PHASES has ${before} before ${after}: ${why}`, () => {
    assert(PHASES.indexOf(before) < PHASES.indexOf(after));
  });
}

Deno.test("orderPlan() sorts steps, keeps the parts' order, leaves out empty ones", () => {
  const op = (why: string) => ({ do: "setsid" as const, why });
  assertEquals(
    orderPlan([
      { exec: [op("a")], fork: [op("b")], uts: [] },
      { fork: [op("c"), op("d")] },
      { warden: [op("e")] },
    ]).map(([phase, ops]) => [phase, ops.map((it) => it.why).join("")]),
    [["warden", "e"], ["fork", "bcd"], ["exec", "a"]],
  );
});

/** The steps for a gate, as lines. */
function steps(
  gate: Gate,
  spec: Partial<Spec> = {},
  more: Partial<Parameters<typeof planSteps>[0]> = {},
  changes = {},
): string[] {
  return showPlan(planSteps({
    config: makeConfig(
      { process: { cwd: "/", args: ["sh"], env: ["A=1"] }, ...spec },
      { stdin: true, ...changes },
    ),
    gate,
    tasks: [],
    ...more,
  }));
}

const END = ["# exec", "signals 0", "exec [sh] [A=1]"];

Deno.test("planSteps() of the foreground waits for the keeper", () => {
  assertEquals(steps("keeper"), [
    "# ready",
    "sync 4",
    "# close",
    "closeFds 0 -",
    "# gate",
    "sync 5",
    ...END,
  ]);
});

Deno.test("planSteps() of create waits at the fifo", () => {
  assertEquals(steps("fifo"), [
    "# ready",
    "sync 4",
    "# close",
    "signals 1",
    "closeFds 0 fifo",
    "# waitStart",
    "waitStart fifo",
    ...END,
  ]);
});

Deno.test("a plan whose rest comes later ends behind the closing of all", () => {
  const config = makeConfig({ process: { cwd: "/", args: ["sh"] } });
  const all = orderPlan([planSteps({ config, gate: "rest", tasks: [] })]);
  assertEquals(
    cutAtRest(all).flatMap(([, ops]) => ops.map((it) => it.do)).slice(-2),
    ["closeFds", "rest"],
  );
});

Deno.test("planRest() has the streams, the directory, the user and the command", () => {
  const config = makeConfig({
    process: { cwd: "/work", args: ["sh"], env: ["A=1"], user: { uid: 7 } },
  });
  const filter = { filter: new Uint8Array(8), flags: 0, notify: false };
  const options = { filter, setgroups: undefined, streams: [0, 1, 2] };
  const ops = planRest(config, makeFacts(), options);
  assertEquals(ops.map((it) => it.do), [
    ...["dup", "dup", "dup", "chdir", "chdir", "closeFds", "seccomp"],
    ...["capDrop", "prctl", "setgroups", "setgid", "setuid", "prctl"],
    ...["chdir", "capSet", "capAmbient", "umask"],
    ...["findExec", "signals", "exec"],
  ]);
  // It makes no directory, which a container that is there must have.
  assertEquals(
    ops.flatMap((it) => it.do === "chdir" ? [it.create] : []),
    [2, 6, 12],
  );
});

Deno.test("withCommand() makes the rest that would be planned for those words", () => {
  const filter = { filter: new Uint8Array(8), flags: 0, notify: false };
  const options = { filter, setgroups: undefined, streams: [0, 1, 2] };
  const env = ["PATH=/a:/b", "B=2"];
  const plan = (args: string[]) => {
    const process = { cwd: "/", args, env, noNewPrivileges: true };
    return planRest(makeConfig({ process }), makeFacts(), options);
  };
  for (const words of [["sh", "-c", "true"], ["/bin/true"]]) {
    assertEquals(withCommand(plan(["-"]), words), plan(words));
  }
  assertThrows(() => withCommand(plan(["-"]), []), ContainerError, "empty");
});

Deno.test("planRest() of what only reaps takes no streams and runs nothing", () => {
  const config = makeConfig({ process: { cwd: "/" } }, { idle: true });
  const options = { filter: undefined, setgroups: undefined, streams: [] };
  const ops = planRest(config, makeFacts(), options).map((it) => it.do);
  assertEquals(ops.at(-1), "init");
  assertEquals(ops.filter((it) => /dup|open|exec/i.test(it)), []);
});

Deno.test("planSteps() of exec waits for nothing", () => {
  assertEquals(steps("none"), [
    "# ready",
    "sync 4",
    "# close",
    "closeFds 0 -",
    ...END,
  ]);
});

Deno.test("planSteps() preserves descriptors and runs a small init", () => {
  assertEquals(steps("none", {}, {}, { preserveFds: 2, init: true }), [
    "# ready",
    "sync 4",
    "# close",
    "closeFds 2 -",
    "# exec",
    "init 0",
    "signals 0",
    "exec [sh] [A=1]",
  ]);
});

Deno.test("planSteps() ends at pid 1 where there is no command", () => {
  assertEquals(steps("none", {}, {}, { idle: true }).slice(-2), [
    "# exec",
    "init 1",
  ]);
});

Deno.test("planSteps() opens the cgroups, and joins them after the fork", () => {
  assertEquals(
    steps("none", {}, {
      tasks: ["/cg/cpu/box/tasks", "/cg/pids/box/tasks"],
      unified: "/cg/unified/box",
    }).slice(0, 10),
    [
      "# cgroupOpen",
      "sync 1",
      "openTree cgroup - /cg/unified/box 0x8001",
      "mountSetattr cgroup - 0x8000 1 0 0 -",
      "open tasks0 - /cg/cpu/box/tasks 1 0 0",
      "open tasks1 - /cg/pids/box/tasks 1 0 0",
      "# cgroupJoin",
      "close cgroup",
      'writeFd tasks0 "0"',
      'writeFd tasks1 "0"',
    ],
  );
});

const FILTER = { filter: new Uint8Array([6, 1]), flags: 1, notify: false };

const NNP: Partial<Spec> = {
  process: { cwd: "/", args: ["sh"], env: ["A=1"], noNewPrivileges: true },
};

Deno.test("planSteps() filters late with no_new_privs", () => {
  assertEquals(steps("fifo", NNP, { filter: FILTER }), [
    "# ready",
    "sync 4",
    "# close",
    "signals 1",
    "closeFds 0 fifo",
    "# seccomp",
    "seccomp 0601 1 -",
    "# waitStart",
    "waitStart fifo",
    ...END,
  ]);
});

Deno.test("planSteps() filters early without, while it has CAP_SYS_ADMIN", () => {
  assertEquals(steps("keeper", {}, { filter: FILTER }), [
    "# ready",
    "sync 4",
    "# close",
    "closeFds 0 -",
    "# seccompEarly",
    "seccomp 0601 1 -",
    "# gate",
    "sync 5",
    ...END,
  ]);
});

Deno.test("planSteps() hands a listener over before the keeper takes over", () => {
  const filter = { ...FILTER, notify: true };
  assertEquals(steps("keeper", NNP, { filter }), [
    "# ready",
    "sync 4",
    "# close",
    "closeFds 0 -",
    "# seccomp",
    "seccomp 0601 1 listener",
    "sendFd listener 2",
    "# waitStart",
    "sync 5",
    ...END,
  ]);
});

Deno.test("planSteps() runs hooks in the namespace and at the time of their kind", () => {
  const hooks = {
    prestart: [{ path: "/a" }],
    createContainer: [{ path: "/b", args: ["b", "x"], env: ["B=1"] }, {
      path: "/e",
    }],
    startContainer: [{ path: "/c", timeout: 3 }],
    poststop: [{ path: "/d" }],
  };
  const state = (status: string) =>
    JSON.stringify(
      `{"ociVersion":"1.3.0","id":"box","status":"${status}","bundle":"/bundle","pid":`,
    );
  assertEquals(steps("none", { hooks }), [
    "# hooks",
    "sync 3",
    "umask 0x12",
    `spawn /b [b x] [B=1] ${state("created")} 0 root`,
    `spawn /e [/e] [] ${state("created")} 0 root`,
    "umask 0",
    "# ready",
    "sync 4",
    "# close",
    "closeFds 0 -",
    "# startHooks",
    `spawn /c [/c] [A=1] ${state("created")} 3 -`,
    ...END,
  ]);
});

Deno.test("planSteps() does not wait for the host where it has no hooks to run", () => {
  const hooks = { createContainer: [{ path: "/b" }] };
  assert(!steps("none", { hooks }).includes("sync 3"));
});
