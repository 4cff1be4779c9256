/**
 * A program that uses the library: for each line that it reads it does a job, and
 * answers with the milliseconds that it took.
 *
 *     deno run -A bench/library_program.ts JOBS ANSWERS ROOTFS STATES
 *
 * JOBS and ANSWERS are fifos.
 *
 * @module
 */

import { Sandbox, type SandboxOptions, SandboxPool } from "../mod/mod.ts";

const [jobs = "", answers = "", rootfs = "", stateDir = ""] = Deno.args;

/** What `runc spec` writes is read-only, too. */
const options: SandboxOptions = { rootfs, stateDir, readOnly: true };
const unfiltered = { ...options, securityOpt: ["seccomp=unconfined"] };
const command = ["/bin/true"];

/** Containers at once. */
const CROWD = 20;

/** Containers that are ready. */
const READY = 2;

const boxes: Sandbox[] = [];
const pools = new Map<string, SandboxPool>();

async function open(): Promise<void> {
  boxes.push(await Sandbox.create(unfiltered));
}

async function close(): Promise<void> {
  const all = [...boxes.splice(0), ...pools.values()];
  pools.clear();
  await Promise.all(all.map((it) => it.close()));
}

/**
 * Runs a command in a container of a pool, and waits until that one is removed and
 * the next one made.
 *
 * @returns milliseconds until its result, without what comes after it
 */
async function runFrom(
  name: string,
  more: Partial<SandboxOptions>,
): Promise<number> {
  let pool = pools.get(name);
  if (pool === undefined) {
    pool = new SandboxPool({ ...unfiltered, ...more }, READY);
    pools.set(name, pool);
  }
  await pool.ready();
  const began = performance.now();
  check(await pool.output(command));
  const ms = performance.now() - began;
  await pool.ready();
  return ms;
}

/** The jobs, by name; one may measure its own milliseconds. */
const JOBS: Record<string, () => Promise<unknown>> = {
  run: () => Sandbox.run({ ...unfiltered, command }).then(check),
  bare: () =>
    Sandbox.run({ ...unfiltered, command, cgroupManager: "disabled" })
      .then(check),
  docker: () => Sandbox.run({ ...options, command }).then(check),
  exec: () => boxes[0]!.output(command).then(check),
  pool: () => runFrom("pool", {}),
  poolBare: () => runFrom("pool-bare", { cgroupManager: "disabled" }),
  open,
  crowd: () => Promise.all(Array.from({ length: CROWD }, open)),
  closeLast: () => boxes.pop()!.close(),
  close,
};

function check({ code, stderr }: { code: number; stderr: string }): void {
  if (code !== 0) throw new Error(`/bin/true ended with ${code}: ${stderr}`);
}

const lines = (await Deno.open(jobs)).readable
  .pipeThrough(new TextDecoderStream());
using out = await Deno.open(answers, { write: true });
for await (const line of lines) {
  const began = performance.now();
  const own = await JOBS[line.trim()]!();
  const ms = typeof own === "number" ? own : performance.now() - began;
  await out.write(new TextEncoder().encode(`${ms}\n`));
}
