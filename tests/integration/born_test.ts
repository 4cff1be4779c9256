/**
 * What a process is born with: a caller that has everything otherwise than the
 * kernel's default (dirty.py), and what of it a container, a process of exec and
 * hooks see. docs/conformance.md has the table.
 *
 * @module
 */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { cliCommand, makeBox, runToEnd, start } from "../harness.ts";
import { findPython, testOn } from "../needs.ts";
import { waitFor } from "../wait.ts";
import {
  type Caller,
  makeCaller,
  makeSpec,
  QUIET,
  type Spec,
} from "./caller.ts";

const NEEDS = ["root", "helper", "busybox", "python3", "cc"] as const;

const DIRTY = () => [findPython(), `${import.meta.dirname}/dirty.py`];

let built: string | undefined;

/** Compiles the payload of the differential test, once, and puts it there. */
function plant(rootfs: string): void {
  if (built === undefined) {
    const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-born-" });
    addEventListener("unload", () => Deno.removeSync(dir, { recursive: true }));
    const { success, stderr } = new Deno.Command("cc", {
      args: [
        ...["-static", "-O1", "-o", `${dir}/payload`],
        ...["payload", "payload_host", "payload_json"].map((it) =>
          `${import.meta.dirname}/../c/${it}.c`
        ),
      ],
    }).outputSync();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    built = `${dir}/payload`;
  }
  Deno.copyFileSync(built, `${rootfs}/bin/payload`);
  Deno.chmodSync(`${rootfs}/bin/payload`, 0o755);
}

const ownCpus = () => {
  const status = Deno.readTextFileSync("/proc/self/status");
  const mask = /^Cpus_allowed:\s*(\S+)/m.exec(status)![1]!.replaceAll(",", "");
  return BigInt.asUintN(64, BigInt(`0x${mask}`));
};

/** What does not come from the caller, as the payload tells it. */
const FRESH = () => ({
  signals: { blocked: 0n, ignored: 0n },
  affinity: ownCpus(),
  umask: 0o022,
  timerslack: 50000,
  timerslack_default: 50000,
  thp_disable: 0,
  personality: 0,
  mempolicy: 0n,
  securebits: 0,
  keepcaps: 0,
  dumpable: 1,
  pdeathsig: 0,
  subreaper: 0,
});

/** What does: its share of the machine, as it is without a container. */
async function findShare(rootfs: string, as: { user?: boolean } = {}) {
  const payload = `${rootfs}/bin/payload`;
  const { stdout } = await runToEnd([...DIRTY(), payload, "report"], as);
  const { share } = read(stdout);
  // SCHED_BATCH, "best effort" 7, PR_MCE_KILL_EARLY. Merging needs 6.4, and root.
  assertEquals(share, {
    ...{ policy: 3, nice: 5, ioprio: 2 << 13 | 7, oom: "321" },
    ...{ coredump: "00000001", core: share.core, mce_kill: 1 },
    memory_merge: share.memory_merge,
    no_new_privs: 1,
  });
  assertMatch(share.core, /^4096:/);
  return share;
}

/** What a payload's report says of all that. */
function read(text: string) {
  const { process, signals, rlimits } = JSON.parse(
    text.slice(text.indexOf("{")),
  );
  const { scheduler, ...own } = process;
  return {
    fresh: {
      signals: {
        blocked: BigInt(signals.blocked),
        ignored: BigInt(signals.ignored),
      },
      affinity: BigInt(own.affinity),
      umask: own.umask,
      timerslack: own.timerslack,
      timerslack_default: own.timerslack_default,
      thp_disable: own.thp_disable,
      personality: own.personality,
      // None where the kernel has no NUMA.
      mempolicy: BigInt(own.mempolicy ?? 0),
      securebits: own.securebits,
      keepcaps: own.keepcaps,
      dumpable: own.dumpable,
      pdeathsig: own.pdeathsig,
      subreaper: own.subreaper,
    },
    share: {
      policy: scheduler.policy,
      nice: scheduler.nice,
      ioprio: own.ioprio,
      coredump: own.coredump_filter,
      mce_kill: own.mce_kill,
      memory_merge: own.memory_merge,
      no_new_privs: own.no_new_privs,
      oom: own.oom_score_adj,
      core: rlimits.CORE,
    },
  };
}

const findWanted = async (rootfs: string, as?: { user: boolean }) => ({
  fresh: FRESH(),
  share: await findShare(rootfs, as),
});

testOn(NEEDS, "run: nothing of the caller's but its share", async () => {
  for (const more of [[], ["--init"], ["-u", "1000"]]) {
    await using box = makeBox();
    plant(box.rootfs);
    const { stdout, stderr } = await runToEnd([
      ...DIRTY(),
      ...cliCommand(),
      ...["run", "--rootfs", box.rootfs, "--name", box.id, ...more],
      ...["--", "payload", "report"],
    ]);
    assertEquals(stderr, "");
    assertEquals(read(stdout), await findWanted(box.rootfs), more.join(" "));
  }
});

testOn(
  [...NEEDS, "user", "userns"],
  "run as a user: nothing of the caller's but its share",
  async () => {
    await using box = makeBox({ user: true });
    plant(box.rootfs);
    const { stdout, stderr } = await runToEnd([
      ...DIRTY(),
      ...cliCommand({ user: true }),
      ...["run", "--rootfs", box.rootfs, "--name", box.id],
      ...["--", "payload", "report"],
    ], { user: true });
    assertEquals(stderr, "");
    assertEquals(read(stdout), await findWanted(box.rootfs, { user: true }));
  },
);

testOn(
  NEEDS,
  "run gives the exit code to a caller that ignores SIGCHLD",
  async () => {
    await using box = makeBox();
    const { code } = await runToEnd([
      ...DIRTY(),
      ...cliCommand(),
      ...["run", "--rootfs", box.rootfs, "--name", box.id],
      ...["--", "sh", "-c", "exit 7"],
    ]);
    assertEquals(code, 7);
  },
);

/** A hook that writes down its signals and its umask. */
function lookHook(file: string): Spec {
  return {
    path: "/bin/sh",
    args: [
      "sh",
      "-c",
      `grep -E '^(Umask|Sig(Blk|Ign))' /proc/self/status >${file}`,
    ],
    env: ["PATH=/bin:/usr/bin"],
  };
}

const KINDS = [
  "prestart",
  "createRuntime",
  "createContainer",
  "startContainer",
  "poststart",
  "poststop",
];

/** rustyrun with a dirty caller. */
function dirty({ root }: Caller, ...words: string[]) {
  return [...DIRTY(), ...cliCommand(), "--root", root, ...words];
}

testOn(
  NEEDS,
  "create, hooks and exec: nothing of the caller's but its share",
  async () => {
    await using caller = makeCaller();
    plant(caller.rootfs);
    const { id, bundle, dir } = caller;
    const spec = makeSpec(id, {
      process: {
        args: ["sh", "-c", `payload report >${dir}/first; exec sleep 1000`],
      },
    });
    spec["mounts"].push({
      destination: dir,
      type: "bind",
      source: dir,
      options: ["rbind", "rw"],
    });
    spec["hooks"] = Object.fromEntries(
      KINDS.map((it) => [it, [lookHook(`${dir}/${it}`)]]),
    );
    // A shell of busybox ignores SIGQUIT itself.
    spec["hooks"].startContainer = [{
      path: "/bin/grep",
      args: ["grep", "-E", "^(Umask|Sig(Blk|Ign))", "/proc/self/status"],
    }];
    caller.write(spec);
    const creating = start(dirty(caller, "create", "--bundle", bundle, id));
    await waitFor(async () => (await caller.state())["status"] === "created");
    const started = await runToEnd(dirty(caller, "start", id));
    assertEquals([started.code, started.stderr], [0, ""]);
    const first = await waitFor(
      () => Deno.readTextFileSync(`${dir}/first`),
      (it) => it.trimEnd().endsWith("}"),
    );
    const wanted = await findWanted(caller.rootfs);
    assertEquals(read(first), wanted);
    const exec = await runToEnd(dirty(caller, "exec", id, "payload", "report"));
    assertEquals(read(exec.stdout), wanted);
    const removed = await runToEnd(dirty(caller, "delete", "--force", id));
    assertEquals([removed.code, removed.stderr], [0, ""]);
    const { stdout } = await creating.done;
    for (const kind of KINDS) {
      const text = kind === "startContainer"
        ? stdout
        : Deno.readTextFileSync(`${dir}/${kind}`);
      // Those on the host's side are programs of the caller's.
      const umask = ["createContainer", "startContainer"].includes(kind)
        ? "0022"
        : "0077";
      assertEquals(
        text.replaceAll(/\s+/g, " "),
        `Umask: ${umask} SigBlk: ${"0".repeat(16)} SigIgn: ${"0".repeat(16)} `,
        kind,
      );
    }
  },
);

testOn(
  NEEDS,
  "exec: the CPUs of execCPUAffinity.final, else all that the cgroup allows",
  async () => {
    await using caller = makeCaller();
    plant(caller.rootfs);
    const { id, bundle, dir } = caller;
    await caller.hold(["create", "--bundle", bundle, id]);
    assertEquals(await caller.call(["start", id]), QUIET);
    for (
      const [affinity, want] of [
        [{ initial: "0" }, ownCpus()],
        [{ final: "0" }, 1n],
        [{ initial: "0", final: "0" }, 1n],
      ] as const
    ) {
      Deno.writeTextFileSync(
        `${dir}/process.json`,
        JSON.stringify({
          ...makeSpec(id)["process"],
          args: ["payload", "report"],
          execCPUAffinity: affinity,
        }),
      );
      const { stdout, stderr } = await caller.call(
        ["exec", "--process", `${dir}/process.json`, id],
      );
      assertEquals(stderr, "");
      assertEquals(read(stdout).fresh.affinity, want);
    }
  },
);

/** What a shell says that has no controlling terminal. */
const NO_TERMINAL = "can't open /dev/tty: No such device or address";

testOn(
  NEEDS,
  "without -t nothing in a container has the caller's terminal as its own",
  async () => {
    await using caller = makeCaller({
      process: { args: ["sh", "-c", "read x </dev/tty; exec sleep 1000"] },
    });
    const { id, bundle, root } = caller;
    const inTerminal = async (...words: string[]) => {
      const { stdout, stderr } = await runToEnd([
        findPython(),
        `${import.meta.dirname}/pty_driver.py`,
        "[]",
        ...cliCommand(),
        "--root",
        root,
        ...words,
      ]);
      assertEquals(stderr, "");
      return JSON.parse(stdout).shown as string;
    };
    const tries = ["sh", "-c", "read x </dev/tty"];
    assertStringIncludes(
      await inTerminal("run", "--rootfs", caller.rootfs, "-i", "--", ...tries),
      NO_TERMINAL,
    );
    // What it shows comes when the terminal has no caller any more.
    await inTerminal("create", "--bundle", bundle, id);
    assertEquals(await caller.call(["start", id]), QUIET);
    const { pid } = await caller.state();
    await caller.waitForCommand(pid, "sleep");
    // tty_nr of proc_pid_stat(5)
    const stat = Deno.readTextFileSync(`/proc/${pid}/stat`);
    assertEquals(stat.slice(stat.lastIndexOf(")")).split(" ")[5], "0");
    assertStringIncludes(await inTerminal("exec", id, ...tries), NO_TERMINAL);
  },
);

testOn(
  NEEDS,
  "run passes no signal on that its caller ignores, as under nohup",
  async () => {
    await using box = makeBox();
    const running = start([
      ...["sh", "-c", 'trap "" HUP; exec "$@"', "sh"],
      ...cliCommand(),
      ...["run", "--rootfs", box.rootfs, "--name", box.id, "--"],
      ...["sh", "-c"],
      "trap 'echo hang-up' HUP; trap 'echo end; exit 3' TERM; echo up; while :; do sleep 0.1; done",
    ]);
    await running.waitFor("up");
    running.kill("SIGHUP");
    running.kill("SIGTERM");
    const { code, stdout } = await running.done;
    assertEquals([code, stdout], [3, "up\nend\n"]);
  },
);
