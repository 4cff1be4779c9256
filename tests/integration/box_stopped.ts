/**
 * Cases of box_program.ts: sandboxes whose processes stop (SIGSTOP) each other, and
 * what enters them.
 *
 * @module
 */

import { type Run, Sandbox } from "../../mod/mod.ts";
import { waitFor } from "../wait.ts";
import { base, codeOf, sh } from "./box_base.ts";
import { countStopped, STOPPER } from "./stopper.ts";

/** Sandboxes of these cases: of one user each, without any capability. */
const options = () => ({
  ...base(),
  user: "1000",
  capDrop: ["ALL"],
  tmpfs: ["/tmp:mode=1777"],
});

/** A sandbox that stops all that enters it, and the run that does. */
async function makeStopping(): Promise<{ box: Sandbox; stopper: Run }> {
  const box = await Sandbox.create(options());
  const stopper = box.spawn(sh(STOPPER));
  await stopper.stdout.lines().next();
  return { box, stopper };
}

const stopped = () => countStopped(Deno.pid);

/** Starts commands until one is stopped before it is one: its start is held.
 *
 * @returns that one, in a list: a run by itself would be awaited */
async function holdStart(box: Sandbox): Promise<[Run]> {
  const before = stopped();
  for (;;) {
    const run = box.spawn(["true"]);
    let isStarted = false;
    run.started.then(() => isStarted = true, () => {});
    await waitFor(() => isStarted || stopped() > before);
    if (!isStarted) return [run];
    run.kill();
    await run;
  }
}

const echo = async (box: Sandbox) => (await box.output(["echo", "on"])).stdout;

/** By name. */
export const STOPPED: Record<string, () => Promise<unknown>> = {
  /** More sandboxes hold a start than the engine has threads at first. */
  async stoppedMany() {
    await using fine = await Sandbox.create(options());
    const boxes: Sandbox[] = [];
    const held: Run[] = [];
    const told: string[] = [];
    for (let at = 0; at < 6; at++) {
      const { box, stopper } = await makeStopping();
      boxes.push(box);
      held.push(...await holdStart(box), ...await holdStart(box));
      // It needs a CPU of its own, and there are not as many.
      stopper.kill();
      // These wait for the sandbox, and nobody else does.
      held.push(...[1, 2, 3].map(() => box.spawn(["true"])));
      told.push(await echo(fine));
    }
    told.push((await Sandbox.run({ ...options(), command: ["pwd"] })).stdout);
    await Promise.all(boxes.map((it) => it.close()));
    const ends = await Promise.all(held.map(async (it) => (await it).signal));
    return [told.join(""), [...new Set(ends)], ends.length, stopped()];
  },
  /** Each way out of a start that is held. */
  async stoppedStart() {
    const { box } = await makeStopping();
    await using _ = box;
    await box.writeFile("/tmp/one", "1");
    const [killed] = await holdStart(box);
    killed.kill();
    const controller = new AbortController();
    const { signal } = controller;
    const first = [(await killed).signal, await codeOf(() => killed.started)];
    const held = [...await holdStart(box), ...await holdStart(box)];
    // All else has its answer.
    await box.pause();
    await box.resume();
    const asked = [
      await box.readTextFile("/tmp/one"),
      (await box.stats()).pids,
    ];
    const late = box.spawn(["true"], { timeout: 100, stdin: { text: "a" } });
    const aborted = box.spawn(["true"], { signal });
    controller.abort(new Error("enough"));
    const { timedOut, code, stdout } = await late;
    for (const run of held) run.kill();
    await Promise.all(held);
    return [
      ...first,
      await codeOf(() => aborted),
      [timedOut, code, stdout],
      [asked[0], Number(asked[1]) > 2],
      stopped(),
    ];
  },
  /** One that is closed while a command is being started and all of it freezes. */
  async stoppedPaused() {
    const ends = new Set<string>();
    for (let at = 0; at < 10; at++) {
      const box = await Sandbox.create(options());
      const run = box.spawn(["sleep", "1000"]);
      // Others come a little later each time.
      for (let turn = 0; turn < at; turn++) await box.stats();
      await box.pause();
      await box.close();
      ends.add(await run.then((it) => `${it.signal}`, (it) => it.code));
    }
    // "paused": it had been frozen before that one began.
    return [...ends].filter((it) => it !== "SIGKILL" && it !== "paused");
  },
  /** The making of one is given up, before and after it was begun. */
  async stoppedMaking() {
    const controller = new AbortController();
    const { signal } = controller;
    const making = [1, 2, 3, 4, 5, 6].map(() =>
      codeOf(() => Sandbox.create({ ...options(), signal }))
    );
    controller.abort(new Error("enough"));
    return [...new Set(await Promise.all(making))];
  },
};
