/**
 * criu mounts cgroup2 for a container, and the kernel takes the options of that
 * mount for the whole machine's: those that are not named are lost
 * (cgroup2_parse_param() and apply_cgroup_root_flags() in the kernel). They are
 * given back.
 *
 * @module
 */

import { O } from "../../../ffi/constants.ts";
import { runPlan } from "../../process.ts";
import { readTextFileSync } from "../../../ffi/files.ts";
import { unescapeMountinfo } from "../../host.ts";
import type { Place } from "../model.ts";

/** Where cgroup2 is mounted, and the options of its file system. */
interface Cgroup2 {
  path: string;
  options: string[];
}

/** Options that every file system has. */
const COMMON = ["rw", "ro"];

/** Reads them of a mountinfo; undefined where there is no cgroup2. */
export function readCgroup2(mountinfo: string): Cgroup2 | undefined {
  for (const line of mountinfo.split("\n")) {
    const words = line.split(" ");
    const at = words.indexOf("-");
    if (at < 0 || words[at + 1] !== "cgroup2") continue;
    return {
      path: unescapeMountinfo(words[4]!),
      options: (words[at + 3] ?? "").split(",").filter((it) =>
        it !== "" && !COMMON.includes(it)
      ),
    };
  }
}

/**
 * Calls criu, and gives the machine's cgroup2 back what it has lost by that.
 *
 * @returns what `act` does
 */
export function keepingCgroup2<T>(
  { caller: { proc }, root, outlet }: Place,
  act: () => T,
): T {
  const read = () => readCgroup2(readTextFileSync(`${proc}/mountinfo`));
  const before = read();
  try {
    return act();
  } finally {
    const after = read();
    const lost = before?.options.some((it) => !after?.options.includes(it));
    if (before !== undefined && lost) {
      const why = "give cgroup2 the options that it had";
      runPlan(
        {},
        [
          {
            do: "open",
            into: "cgroup2",
            at: "",
            path: before.path,
            flags: O.PATH,
            mode: 0,
            resolve: 0,
            why,
          },
          {
            do: "reconfigure",
            slot: "cgroup2",
            options: before.options,
            why,
          },
        ],
        root,
        [],
        outlet,
      );
    }
  }
}
