/**
 * Cases of box_program.ts: pools.
 *
 * @module
 */

import { SandboxPool, type SpawnOptions } from "../../mod/mod.ts";
import { codeOf, rootfs, sh } from "./box_base.ts";

/** By name. */
export const POOLS: Record<string, () => Promise<unknown>> = {
  async pool() {
    const pool = new SandboxPool({ rootfs, tmpfs: ["/work"] }, 2);
    const told: unknown[] = [];
    for (let i = 0; i < 4; i++) {
      await using box = await pool.take();
      told.push((await box.output(sh("ls /work; touch /work/used"))).stdout);
    }
    // One that somebody has killed is not given out.
    const [box, other] = await Promise.all([pool.take(), pool.take()]);
    Deno.kill(box!.pid, "SIGKILL");
    await box!.exited;
    told.push((await other!.output(["true"])).code);
    await other!.close();
    // Nor one that is killed this moment.
    await pool.ready();
    // Each is its thread's.
    const children = [...Deno.readDirSync("/proc/self/task")].flatMap((it) =>
      Deno.readTextFileSync(`/proc/self/task/${it.name}/children`).split(" ")
    );
    for (const pid of children.filter((it) => it !== "")) {
      const name = Deno.readTextFileSync(`/proc/${pid}/comm`);
      if (name === "rustyrun-init\n") Deno.kill(Number(pid), "SIGKILL");
    }
    told.push((await pool.output(["echo", "on"])).stdout);
    await pool.close();
    told.push(await codeOf(() => pool.take()));
    const bad = new SandboxPool({ rootfs: "/no/such" }, 1);
    told.push(await codeOf(() => bad.take()));
    await bad.close();
    return told;
  },
  async poolRuns() {
    const stateDir = Deno.makeTempDirSync();
    const pool = new SandboxPool({
      rootfs,
      stateDir,
      tmpfs: ["/work"],
      env: { A: "1", B: "2" },
    }, 2);
    const each: string[] = [];
    for (const word of ["first", "second"]) {
      const { stdout, code, stderr } = await pool.run(
        sh(`ls /work; touch /work/used; echo ${word}; echo e >&2; exit 3`),
      );
      each.push([stdout, code, stderr].map((it) => `${it}`.trim()).join(" "));
    }
    const { stdout: other } = await pool.run(
      sh("echo $(id -u) $(pwd) $A $B"),
      { cwd: "/tmp", env: { A: "9" } },
    );
    const input = await pool.output(["cat"], { stdin: { text: "in" } });
    const more = await Promise.all(
      Array.from({ length: 6 }, (_, at) => pool.output(["echo", `${at}`])),
    );
    const refused = [
      await codeOf(() => pool.run(["no-such-program"])),
      await codeOf(() =>
        Promise.resolve().then(() =>
          pool.run(["true"], { memory: 1 } as SpawnOptions)
        )
      ),
      await codeOf(() => pool.run(["true"], { cwd: "/no/such" })),
    ];
    const late = await pool.run(["sleep", "1000"], { timeout: 100 });
    const killed = pool.run(sh("echo begun; sleep 1000 & wait"));
    await killed.stdout.lines().next();
    killed.kill();
    const controller = new AbortController();
    const aborted = pool.run(sh("echo begun; sleep 1000"), {
      signal: controller.signal,
    });
    await aborted.stdout.lines().next();
    controller.abort(new Error("enough"));
    const ended = [
      late.limit,
      (await killed).signal,
      await codeOf(() => aborted),
    ];
    const going = pool.run(sh("echo begun; sleep 1000"));
    await going.stdout.lines().next();
    await pool.close();
    const closed = [
      (await going).signal,
      await codeOf(() => pool.run(["true"])),
      [...Deno.readDirSync(stateDir)].map((it) => it.name)
        .filter((it) => it !== ".cache"),
    ];
    Deno.removeSync(stateDir, { recursive: true });
    return {
      each,
      other: other.trim(),
      input: input.stdout,
      more: more.map((it) => it.stdout.trim()).join(" "),
      refused,
      ended,
      closed,
    };
  },
  /** How many wait, and what a pool has left. */
  async poolStates() {
    const stateDir = Deno.makeTempDirSync();
    const count = () =>
      [...Deno.readDirSync(stateDir)].filter((it) => it.name !== ".cache")
        .length;
    const held = () => [...Deno.readDirSync("/proc/self/fd")].length;
    const pool = new SandboxPool({ rootfs, stateDir }, 1);
    // Twice: the first ones open what stays open.
    const before = [];
    for (let i = 0; i < 2; i++) {
      await pool.run(["true"]);
      await codeOf(() => pool.run(["no-such-program"]));
      await codeOf(() => pool.run(["true"], { user: "nobody-has-it" }));
      await codeOf(() => pool.run(["true"], { cwd: "/no/such" }));
      await (await pool.take()).close();
      await pool.ready();
      before.push(held());
    }
    const ready = count();
    await pool.close();
    const left = count();
    Deno.removeSync(stateDir, { recursive: true });
    return [ready, left, before[1]! - before[0]!];
  },
  async poolUsers() {
    await using pool = new SandboxPool({ rootfs, user: 1000 }, 1);
    const said: string[] = [];
    for (const user of [undefined, 1001, "root"]) {
      const options = user === undefined ? {} : { user };
      const { stdout } = await pool.output(sh("echo $(id -u) $HOME"), options);
      said.push(stdout.trim());
    }
    return said;
  },
  /** The limits are the container's, and so the run's. */
  async poolLimits() {
    await using pool = new SandboxPool({
      rootfs,
      memory: "24m",
      memorySwap: "24m",
      pids: 8,
    }, 1);
    const hog = await pool.run(["tail", "/dev/zero"]);
    const bomb = await pool.run(
      sh("for i in 1 2 3 4 5 6 7 8 9; do sleep 10 & done; wait; exit 1"),
    );
    return [hog.limit, (hog.peakBytes ?? 0) > 1 << 20, bomb.limit];
  },
  /** What waits: its descriptors, a limit, its filter, and its cgroup. */
  async poolWaits() {
    const stateDir = Deno.makeTempDirSync();
    const pool = new SandboxPool({
      rootfs,
      stateDir,
      ulimits: { nofile: 64 },
    }, 1);
    await pool.ready();
    const [id] = [...Deno.readDirSync(stateDir)].map((it) => it.name)
      .filter((it) => it !== ".cache");
    const { pid } = JSON.parse(
      Deno.readTextFileSync(`${stateDir}/${id}/state.json`),
    );
    const open = [...Deno.readDirSync(`/proc/${pid}/fd`)]
      .map(({ name }) => Deno.readLinkSync(`/proc/${pid}/fd/${name}`))
      .map((it) => it.replace(/:\[\d+\]$/, ""));
    const limit = /Max open files +(\d+)/.exec(
      Deno.readTextFileSync(`/proc/${pid}/limits`),
    )?.[1];
    const status = Deno.readTextFileSync(`/proc/${pid}/status`);
    const tracer = /TracerPid:\t(\d+)/.exec(status)?.[1];
    const cgroup = Deno.readTextFileSync(`/proc/${pid}/cgroup`).includes(id!);
    await pool.close();
    Deno.removeSync(stateDir, { recursive: true });
    return [[...new Set(open)].sort(), limit, tracer, cgroup];
  },
};
