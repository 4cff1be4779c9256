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

/** Sandboxes that are ready. */
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

/** Waits until a pool is full again: each of its sandboxes has a state. */
async function refill(dir: string): Promise<void> {
  const isReady = (name: string) => {
    try {
      return Deno.statSync(`${dir}/${name}/state.json`).isFile;
    } catch (error) {
      if (error instanceof Deno.errors.NotFound) return false;
      throw error;
    }
  };
  const ready = () =>
    [...Deno.readDirSync(dir)].filter((it) => isReady(it.name)).length;
  while (ready() < READY) await new Promise((done) => setTimeout(done, 1));
}

/** @returns milliseconds, without what the next one takes */
async function takeFrom(
  name: string,
  more: Partial<SandboxOptions>,
): Promise<number> {
  const dir = `${stateDir}/${name}`;
  let pool = pools.get(name);
  if (pool === undefined) {
    Deno.mkdirSync(dir, { recursive: true, mode: 0o700 });
    pool = new SandboxPool({ ...unfiltered, stateDir: dir, ...more }, READY);
    pools.set(name, pool);
    await refill(dir);
  }
  const began = performance.now();
  const box = await pool.take();
  check(await box.output(command));
  await box.close();
  const ms = performance.now() - began;
  await refill(dir);
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
  pool: () => takeFrom("pool", {}),
  poolBare: () => takeFrom("pool-bare", { cgroupManager: "disabled" }),
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
