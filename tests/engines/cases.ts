/**
 * The cases of `tests/engines/cases/*.sh`: what a user of an engine sees when
 * it runs containers with runc, and when it does with rustyrun. Each script
 * prints a transcript; that of rustyrun must be runc's.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { Room } from "./room.ts";

/** Where the scripts are. */
export const CASES = `${import.meta.dirname}/cases`;

/** Seconds for all cases of an engine. */
const LONG = 1200;

/** What may differ: the words of an error, which are each runtime's own, who
 * describes the scope, how long a scope that failed is remembered, the hints of one
 * and the warnings of the other, which formula turns shares into a weight (runc's own
 * has changed), and that rustyrun's tmpfs over the hierarchies of cgroup v1 and
 * the devices that it binds are read-only. */
const OWN: readonly (readonly [RegExp, string])[] = [
  [/\\"/g, '"'],
  [
    /^((?:! |OCI ).*?(?:failed|under-test|container for \[.*?\])): .*?(?=exec: "|expected cgroupsPath)/gm,
    "$1: ",
  ],
  [/^(! .*exec: ".*)"$/gm, "$1"],
  [/^(! .*expected cgroupsPath .*?, got "[^"]*").*/gm, "$1"],
  [/^! ( {2}hint: |time="TIME" level=warning ).*(\n|$)/gm, ""],
  [/": OCI /g, ": OCI "],
  [/is a directory: permission denied/g, "permission denied"],
  [/(libcontainer|rustyrun) container ID/g, "container ID"],
  [/CollectMode=inactive(-or-failed)?/g, "CollectMode=inactive"],
  [/^cpu\.weight \d+/gm, "cpu.weight"],
  // runc takes them from the whole machine, by a container without a cgroup namespace.
  [/,(?:nsdelegate|memory_recursiveprot)/g, ""],
  [
    /time="TIME" level=warning msg="unable to get oom kill count.*?(?=: OCI|\n|$)/gm,
    "",
  ],
  [/^((?:\/sys\/fs\/cgroup|\/dev\/\w+) (?:dev)?tmpfs) r[ow],/gm, "$1 "],
  [/^(runc|rustyrun) version [^]*/g, "version"],
];

/** Reads a transcript: "== NAME", then what the case has printed. */
export function readCases(transcript: string): Map<string, string> {
  const cases = new Map<string, string>();
  for (const part of transcript.split(/^== /m).slice(1)) {
    const end = `${part}\n`.indexOf("\n");
    let text = part.slice(end + 1).trimEnd();
    for (const [pattern, plain] of OWN) text = text.replaceAll(pattern, plain);
    cases.set(part.slice(0, end), text.trimEnd());
  }
  return cases;
}

/** Runs an engine's cases in a room, with cgroupfs.
 *
 * @param env what the script needs beside
 * @returns the transcript
 */
export async function runCases(
  room: Room,
  engine: string,
  env: Record<string, string>,
): Promise<string> {
  const scratch = `${room.dir}/scratch`;
  const { code, stdout, stderr } = await room.run(
    [
      "sh",
      "-c",
      `mkdir ${scratch}; exec bash -c '. "$CASES/lib.sh"; . "$CASES/$ENGINE.sh"'`,
    ],
    {
      seconds: LONG,
      env: {
        CASES,
        ENGINE: engine,
        RUNTIME: room.runtime,
        SCRATCH: scratch,
        MANAGER: "cgroupfs",
        ROOM: room.name,
        ...env,
      },
    },
  );
  assertEquals([code, stderr], [0, ""]);
  return stdout;
}

/** One step for each case: rustyrun's transcript says what runc's says.
 *
 * @throws {Error} for a transcript without a case
 */
export async function compareCases(
  t: Deno.TestContext,
  runc: string,
  rustyrun: string,
): Promise<void> {
  const [expected, seen] = [readCases(runc), readCases(rustyrun)];
  if (expected.size === 0) throw new Error(`runc ran no case: ${runc}`);
  assertEquals([...seen.keys()], [...expected.keys()], rustyrun.slice(-2000));
  for (const [name, text] of expected) {
    await t.step(name, () => assertEquals(seen.get(name), text));
  }
}
