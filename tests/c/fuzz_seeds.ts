/**
 * Seeds of the fuzzer: the plans that rustyrun itself makes (containers of many
 * kinds, by mod/container/launch/prepare.ts; their keepers and wardens), and one
 * synthetic plan for each operation of the table.
 *
 * @module
 */

import { parseArgs } from "../../mod/cli/parse.ts";
import type { Config } from "../../mod/config/config.ts";
import { defaultSpec } from "../../mod/config/default_spec.ts";
import { configFromFlags } from "../../mod/config/from_flags.ts";
import type { Spec } from "../../mod/config/schema.ts";
import { planKeeper, planWatch } from "../../mod/container/launch/keeper.ts";
import { planBounds } from "../../mod/container/launch/result.ts";
import { prepare } from "../../mod/container/launch/prepare.ts";
import { addWarden } from "../../mod/container/launch/warden.ts";
import type { Facts } from "../../mod/host.ts";
import { type Op, type OpName, OPS } from "../../mod/plan.ts";
import { encodePlan } from "../../mod/plan/encode.ts";
import type { PlanRun } from "../../mod/process.ts";
import { makeHost } from "../from_flags_host.ts";
import { makeCaller, makeConfig, makeFacts } from "../manager_fixtures.ts";
import type { Gate, Prepared } from "../../mod/container/model.ts";

const WORDS = {
  error: (error: Error) => `rustyrun: ${error.message}\n`,
  exit: () => 125,
  json: '{"id":"box",',
};

/** Inherited descriptors: slot 0 is the report channel. */
function inherit(names: readonly string[]): Map<string, number> {
  return new Map(["channel", ...names].map((name, i) => [name, 1024 + i]));
}

/** A plan's bytes; slots that nothing in it fills are inherited, so that every
 * operation finds a descriptor. */
function encodeFilled(ops: readonly Op[]): Uint8Array {
  const names = new Set<string>();
  for (const op of ops) {
    for (const arg of OPS[op.do].args) {
      if (!arg.endsWith(":f")) continue;
      const name = (op as unknown as Record<string, string>)[arg.slice(0, -2)];
      if (name) names.add(name);
    }
  }
  names.delete("channel");
  return encodePlan(ops, inherit([...names]));
}

/** Everything that a configuration turns into: the child stage's plan, the
 * same with a warden, and the keeper's. */
function makePlans(
  config: Config,
  facts: Facts,
  root: string,
  gate: Gate,
  sharedRoot?: Prepared["sharedRoot"],
): Uint8Array[] {
  const place = { root, caller: makeCaller() };
  const prepared = prepare(config, facts, { place, gate, token: "0badcafe" });
  // As with --preserve-fds 2, which asks for what a test has not open.
  for (const op of prepared.ops) {
    if (op.do === "closeFds" && gate === "none") op.keep = 2;
  }
  if (sharedRoot !== undefined) prepared.sharedRoot = sharedRoot;
  const plain = encodePlan(prepared.ops, inherit(["control"]));
  const filled = encodeFilled(prepared.ops);
  const keeper = [
    ...planWatch(
      { pid: 4242, received: new Map([[1, 9]]) } as unknown as PlanRun,
      { runs: gate === "none", warden: 4241 },
    ),
    ...planKeeper(prepared, root, WORDS),
    {
      do: "kOom",
      file: "/sys/fs/cgroup/memory.events",
      key: "oom_kill",
      text: "out of memory\n",
      why: "",
    },
    ...planBounds(
      prepared,
      {
        timeout: { ms: 1, typed: "--timeout 1ms" },
        maxOutput: { bytes: 1, typed: "--max-output 1" },
        resultFd: 9,
      },
      { ...WORDS, result: () => "{}\n" },
    ),
    { do: "kDelete", argv: ["/bin/delete", "box"], env: ["A=1"], why: "" },
  ] satisfies Op[];
  const slots = ["control", "state"];
  if (sharedRoot !== undefined) slots.push("root");
  addWarden(prepared, place, ["channel", ...slots]);
  return [
    plain,
    filled,
    encodePlan(prepared.ops, inherit(slots)),
    encodeFilled(keeper),
  ];
}

const FLAGS: string[][] = [
  [],
  ["-it"],
  ["--init", "--read-only", "--memory", "64m", "--pids-limit", "9"],
  ["--user", "1000:1000", "--workdir", "/work", "--env", "A=b"],
  ["--no-pivot", "--tmpfs", "/tmp"],
  ["-v", "/etc/hosts:/data/hosts:ro", "--hostname", "h"],
];

/** A bundle with everything that a config.json may ask for. */
function fullSpec(): Spec {
  const spec = defaultSpec();
  const hook = {
    path: "/bin/true",
    args: ["true", "--x"],
    env: ["A=b"],
    timeout: 3,
  };
  return {
    ...spec,
    domainname: "example",
    hooks: {
      prestart: [hook],
      createRuntime: [hook],
      createContainer: [hook],
      startContainer: [hook],
      poststart: [hook],
      poststop: [hook],
    },
    process: {
      ...spec.process!,
      terminal: true,
      consoleSize: { height: 25, width: 80 },
      user: { uid: 7, gid: 8, additionalGids: [9, 10], umask: 18 },
      oomScoreAdj: 100,
      scheduler: { policy: "SCHED_BATCH", nice: 1 },
      ioPriority: { class: "IOPRIO_CLASS_BE", priority: 4 },
      capabilities: {
        ...spec.process!.capabilities,
        inheritable: ["CAP_KILL"],
        ambient: ["CAP_KILL"],
      },
    },
    mounts: [
      ...spec.mounts!,
      {
        destination: "/etc",
        type: "tmpfs",
        source: "tmpfs",
        options: ["tmpcopyup", "size=1m"],
      },
      {
        destination: "/data/a/b",
        type: "bind",
        source: "/usr",
        options: ["rbind", "ro", "idmap"],
        uidMappings: [{ containerID: 0, hostID: 1000, size: 10 }],
        gidMappings: [{ containerID: 0, hostID: 1000, size: 10 }],
      },
    ],
    linux: {
      ...spec.linux,
      namespaces: [...spec.linux!.namespaces!, { type: "time" }],
      timeOffsets: { boottime: { secs: 5, nanosecs: 1 } },
      rootfsPropagation: "rslave",
      sysctl: { "net.ipv4.ip_forward": "1" },
      netDevices: { lo: { name: "eth9" } },
      personality: { domain: "LINUX" },
      memoryPolicy: { mode: "MPOL_BIND", nodes: "0" },
      maskedPaths: ["/proc/kcore", "/sys/firmware"],
      readonlyPaths: ["/proc/sys"],
      devices: [
        { path: "/dev/fuse", type: "c", major: 10, minor: 229, fileMode: 438 },
        { path: "/dev/pipe", type: "p", fileMode: 384 },
      ],
      seccomp: {
        defaultAction: "SCMP_ACT_ALLOW",
        architectures: ["SCMP_ARCH_X86_64"],
        syscalls: [{ names: ["kexec_load"], action: "SCMP_ACT_ERRNO" }],
      },
    },
  } as Spec;
}

/** One plan for an operation alone, with the arguments that its kinds ask for,
 * and what must come before it. */
function makeSynthetic(name: OpName): Uint8Array {
  const values: Record<string, unknown> = { path: "/a/b", name: "node" };
  const op: Record<string, unknown> = { do: name, why: "" };
  for (const arg of OPS[name].args) {
    const [key = "", kind] = arg.split(":");
    op[key] = kind === "n"
      ? 1
      : kind === "f"
      ? `slot-${key}`
      : kind === "s"
      ? values[key] ?? "x=y"
      : kind === "b"
      ? new Uint8Array(64).fill(0x30, 4).fill(48, 0, 1)
      : ["/bin/sh", "a=b"];
  }
  if (name === "warden") {
    op["config"] = encodePlan([
      { do: "kFlags", flags: 1, why: "" },
      { do: "kTree", parent: "/tmp", name: "upper", owner: 0, why: "" },
      { do: "kCgroup", root: "/sys", path: "a/b/c", own: 2, kind: 1, why: "" },
      { do: "kState", parent: "/run", name: "box", dir: "state", why: "" },
      { do: "kMount", tree: "root", why: "" },
      { do: "kExec", freezer: "/a/state", thaw: "/a/procs", why: "" },
    ], new Map([["state", 2], ["root", 3]]));
    return encodePlan(
      [op as unknown as Op],
      inherit(["slot-control", "state", "root"]),
    );
  }
  const ops = [op as unknown as Op];
  if (name === "rest") {
    ops.unshift({ do: "closeFds", keep: 0, fifo: "", why: "" });
  }
  if (name === "exec") {
    ops.unshift({ do: "findExec", candidates: ["/bin/sh"], why: "" });
  }
  if (OPS[name].code >= OPS.kRun.code && name !== "kRun") {
    ops.unshift({
      do: "kRun",
      pid: 4242,
      warden: 0,
      channel: "channel",
      control: "control",
      master: "",
      why: "",
    });
  }
  return encodeFilled(ops);
}

/**
 * Returns the seeds.
 *
 * @param dir an empty directory: the root file system and the state */
export function makeSeeds(dir: string): Uint8Array[] {
  const rootfs = `${dir}/rootfs`;
  const root = `${dir}/state`;
  Deno.mkdirSync(rootfs, { mode: 0o755 });
  Deno.mkdirSync(root, { mode: 0o700 });
  const v1 = makeFacts({
    cgroups: ["memory", "freezer", "pids", "devices", "cpu,cpuacct"]
      .map((name) => ({
        version: 1,
        controllers: name.split(","),
        path: `/sys/fs/cgroup/${name}`,
        root: "/",
        own: "/",
      })),
  });
  const seeds: Uint8Array[] = [];
  for (const [i, flags] of FLAGS.entries()) {
    const call = parseArgs(
      ["run", "--rootfs", "/home/me/data", ...flags, "--", "/bin/sh", "-c"],
    );
    // The flags were judged by a directory that is not there.
    const { seenRoot: _, ...flagged } = configFromFlags(call, makeHost());
    const config = { ...flagged, rootfs };
    const gate = (["keeper", "fifo", "none", "rest"] as const)[i % 4]!;
    seeds.push(...makePlans(config, i % 2 ? v1 : makeFacts(), root, gate));
  }
  for (const gate of ["fifo", "keeper", "none"] as const) {
    for (const facts of [makeFacts(), v1]) {
      const config = makeConfig(fullSpec(), { rootfs, bundle: dir });
      config.init = gate === "keeper";
      seeds.push(...makePlans(config, facts, root, gate));
    }
  }
  const rootless = defaultSpec({ rootless: true, uid: 1000, gid: 1000 });
  seeds.push(
    ...makePlans(
      makeConfig(rootless, { rootfs, bundle: dir }),
      makeFacts(),
      root,
      "fifo",
    ),
  );
  // A root in the caller's mount namespace, in hand.
  const shared = fullSpec();
  shared.linux = {
    ...shared.linux,
    namespaces: [{ type: "pid" }],
    rootfsPropagation: "runbindable",
  };
  for (const key of ["hostname", "domainname"] as const) delete shared[key];
  for (const key of ["timeOffsets", "sysctl", "netDevices"] as const) {
    delete shared.linux[key];
  }
  seeds.push(
    ...makePlans(
      makeConfig(shared, { rootfs, bundle: dir }),
      makeFacts(),
      root,
      "keeper",
      { tree: 1031, place: 1032, lock: -1 },
    ),
  );
  const names = Object.keys(OPS) as OpName[];
  seeds.push(...names.map(makeSynthetic));
  // The shapes that no operation gives: nothing at all, and a long list.
  seeds.push(encodePlan([], inherit([])));
  seeds.push(encodeFilled([{
    do: "exec",
    argv: Array.from({ length: 65536 }, () => ""),
    env: [],
    why: "",
  }]));
  return seeds;
}

/** Writes seeds as the fuzzer reads them: u32 size and bytes, one by one. */
export function writeSeeds(path: string, seeds: readonly Uint8Array[]): void {
  using file = Deno.openSync(path, { write: true, create: true });
  for (const seed of seeds) {
    file.writeSync(new Uint8Array(Uint32Array.of(seed.length).buffer));
    file.writeSync(seed);
  }
}
