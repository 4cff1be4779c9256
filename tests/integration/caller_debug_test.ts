/**
 * `--debug` with `--log`: what is only for who looks for a fault is in the log.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { testOn } from "../needs.ts";
import { makeCaller, QUIET } from "./caller.ts";

const NEEDS = ["root", "helper", "busybox", "python3"] as const;

for (const debug of [["--debug"], ["--log-level", "debug"]]) {
  testOn(NEEDS, `${debug.join(" ")} writes into the log`, async () => {
    await using caller = makeCaller({ process: { args: ["true"] } });
    const { dir, id, root } = caller;
    const log = `${dir}/debug.log`;
    const call = (...words: string[]) =>
      caller.callBare([
        ...debug,
        "--log",
        log,
        "--log-format",
        "json",
        ...words,
      ]);
    const read = () =>
      Deno.readTextFileSync(log).trim().split("\n").map((it) => JSON.parse(it));
    assertEquals(await call("delete", "--force", id), QUIET);
    const seen = read();
    assertEquals(new Set(seen.map((it) => it.level)), new Set(["debug"]));
    assertMatch(seen[0].msg, /^rustyrun \S+: delete /);
    assertMatch(
      seen[0].msg,
      new RegExp(`, by user \\d+ in /[^ ]*, states in ${root}$`),
    );
    assertEquals(
      seen.at(-1).msg,
      "rustyrun delete ends with exit code 0",
    );
    Deno.removeSync(log);
    const { code, stderr } = await call("exec", "no-such", "true");
    assertEquals(code, 255);
    // The stack of an error is in the log, and not on standard error.
    assertEquals(/^ +at /m.test(stderr), false);
    assertEquals(
      read().some((it) => it.level === "debug" && /^ +at /m.test(it.msg)),
      true,
    );
    assertEquals(read().filter((it) => it.level === "error").length, 1);
    Deno.removeSync(log);
    const bare = await caller.callBare(["--log", log, "delete", "--force", id]);
    assertEquals([bare.code, bare.stderr], [0, ""]);
    assertEquals(Deno.readTextFileSync(log), "");
  });
}
