/**
 * The saved copy of a configuration: what exec and update read is what create
 * had, to the last bit.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import {
  loadSaved,
  rewriteSaved,
  saveConfig,
} from "../mod/container/kept/saved.ts";
import type { Op } from "../mod/plan.ts";
import { encodeState } from "../mod/state.ts";
import { makeConfig } from "./manager_fixtures.ts";
import type { Prepared } from "../mod/container/model.ts";

const MAX = 18446744073709551615n;

const CONFIG = makeConfig({
  process: {
    cwd: "/",
    args: ["sh", "1e5", "12345678901234567890"],
    env: ["A=ü\n"],
    rlimits: [{ type: "RLIMIT_NOFILE", soft: 1024, hard: MAX }],
  },
  annotations: { big: "18446744073709551615", "a.b": "" },
  linux: { resources: { memory: { limit: 9223372036854771712n } } },
}, {
  flags: new Map([
    ["linux.resources.memory.limit", "--memory 8e"],
    ["process.args", "x"],
  ]),
});

const OPS: Op[] = [
  { do: "umask", mask: 0o22, why: "set the umask" },
  { do: "waitStart", fifo: "fifo", why: "wait" },
  {
    do: "spawn",
    path: "/hook",
    argv: ["/hook"],
    env: [],
    stdin: new Uint8Array([1, 2]),
    timeout: MAX,
    dir: "",
    why: "run the hook",
    from: "hooks.startContainer[0]",
  },
  { do: "exec", argv: ["sh"], env: [], why: "run the command" },
];

/** Saves and loads in a directory of its own. */
function roundTrip(
  changes: Partial<Prepared> = {},
  again?: (root: string) => void,
) {
  const root = Deno.makeTempDirSync({ prefix: "rustyrun-saved-" });
  try {
    Deno.mkdirSync(`${root}/box`);
    Deno.writeTextFileSync(
      `${root}/box/config.json`,
      encodeState(
        saveConfig(
          {
            config: CONFIG,
            ops: OPS,
            setgroups: "deny",
            ...changes,
          } as Prepared,
        ),
      ),
    );
    again?.(root);
    return loadSaved(root, "box");
  } finally {
    Deno.removeSync(root, { recursive: true });
  }
}

Deno.test("loadSaved() gives back what saveConfig() had, 64-bit numbers too", () => {
  const saved = roundTrip();
  assertEquals(saved.config, CONFIG);
  assert(saved.config.flags instanceof Map);
  assertEquals(saved.setgroups, "deny");
});

Deno.test("saveConfig() keeps the operations behind the gate by their index", () => {
  assertEquals(roundTrip().late, {
    1: OPS[1],
    2: { ...OPS[2], stdin: "" },
    3: OPS[3],
  } as unknown as Record<string, Op>);
});

Deno.test("saveConfig() keeps no operations where there is no gate", () => {
  const saved = roundTrip({ ops: [OPS[3]!], setgroups: undefined });
  assertEquals([saved.late, saved.setgroups], [{}, undefined]);
});

Deno.test("rewriteSaved() keeps all of it a second time", () => {
  const saved = roundTrip({}, (root) => {
    const first = loadSaved(root, "box");
    first.config.spec.linux = { resources: { pids: { limit: MAX } } };
    rewriteSaved(root, "box", first);
  });
  assertEquals(saved.config.spec.linux, {
    resources: { pids: { limit: MAX } },
  });
  assertEquals(saved.config.spec.process, CONFIG.spec.process);
  assertEquals(saved.config.flags, CONFIG.flags);
  assertEquals(Object.keys(saved.late), ["1", "2", "3"]);
});
