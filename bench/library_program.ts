/**
 * A program that uses the library: for each line that it reads it does a job, and
 * answers with the milliseconds that it took.
 *
 *     deno run -A bench/library_program.ts JOBS ANSWERS ROOTFS STATES PREFIX
 *
 * JOBS and ANSWERS are fifos, PREFIX begins the containers' ids.
 *
 * @module
 */

import { Sandbox, type SandboxOptions } from "../mod/mod.ts";

const [jobs = "", answers = "", rootfs = "", stateDir = "", prefix = ""] =
  Deno.args;

/** What `runc spec` writes is read-only, too. */
const options: SandboxOptions = {
  rootfs,
  stateDir,
  name: prefix,
  readOnly: true,
};
const unfiltered = { ...options, securityOpt: ["seccomp=unconfined"] };
const command = ["/bin/true"];

/** Containers at once. */
const CROWD = 20;

const boxes: Sandbox[] = [];
let count = 0;

async function open(): Promise<void> {
  const name = `${prefix}-${count++}`;
  boxes.push(await Sandbox.create({ ...unfiltered, name }));
}

async function close(): Promise<void> {
  await Promise.all(boxes.splice(0).map((it) => it.close()));
}

/** The jobs, by name. */
const JOBS: Record<string, () => Promise<unknown>> = {
  run: () => Sandbox.run({ ...unfiltered, command }).then(check),
  bare: () =>
    Sandbox.run({ ...unfiltered, command, cgroupManager: "disabled" })
      .then(check),
  docker: () => Sandbox.run({ ...options, command }).then(check),
  exec: () => boxes[0]!.output(command).then(check),
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
  await JOBS[line.trim()]!();
  const ms = performance.now() - began;
  await out.write(new TextEncoder().encode(`${ms}\n`));
}
