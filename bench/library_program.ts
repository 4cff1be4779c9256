/**
 * A program that uses the library: for each line that it reads it does a job, and
 * answers with the milliseconds that it took.
 *
 *     deno run -A bench/library_program.ts JOBS ANSWERS ROOTFS STATES NAME
 *
 * JOBS and ANSWERS are fifos.
 *
 * @module
 */

import { Sandbox, type SandboxOptions } from "../mod/mod.ts";

const [jobs = "", answers = "", rootfs = "", stateDir = "", name = ""] =
  Deno.args;

/** What `runc spec` writes is read-only, too. */
const options: SandboxOptions = { rootfs, stateDir, name, readOnly: true };
const unfiltered = { ...options, securityOpt: ["seccomp=unconfined"] };
const command = ["/bin/true"];

let box: Sandbox | undefined;

/** The jobs, by name. */
const JOBS: Record<string, () => Promise<unknown>> = {
  run: () => Sandbox.run({ ...unfiltered, command }).then(check),
  bare: () =>
    Sandbox.run({ ...unfiltered, command, cgroupManager: "disabled" })
      .then(check),
  docker: () => Sandbox.run({ ...options, command }).then(check),
  exec: () => box!.output(command).then(check),
  open: async () => {
    box = await Sandbox.create(unfiltered);
  },
  close: async () => {
    await box?.close();
    box = undefined;
  },
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
