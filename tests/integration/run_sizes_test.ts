/**
 * Sizes: lists as long as execve(2) takes them, and JSON nested without end.
 *
 * @module
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { testOn } from "../needs.ts";
import { makeCaller, QUIET } from "./caller.ts";

const NEEDS = ["root", "helper", "busybox", "python3"] as const;

/** More than a quarter of a second's work, were each compared with each. */
const MANY = 70_000;
const list = (make: (at: number) => string) =>
  Array.from({ length: MANY }, (_, at) => make(at));

testOn(NEEDS, "70,000 variables arrive, of equal names the last", async () => {
  await using caller = makeCaller({
    process: {
      args: ["sh", "-c", `echo $V0 $V${MANY - 1} $TWICE`],
      env: ["PATH=/bin", "TWICE=1", ...list((at) => `V${at}=${at}`), "TWICE=2"],
    },
  });
  const run = ["run", "--bundle", caller.bundle, caller.id];
  assertEquals(await caller.call(run), {
    ...QUIET,
    stdout: `0 ${MANY - 1} 2\n`,
  });
});

testOn(NEEDS, "70,000 arguments arrive, also those of a hook", async () => {
  const out = Deno.makeTempFileSync({ prefix: "rustyrun-test-sizes-" });
  try {
    const words = list((at) => `${at}`);
    await using caller = makeCaller({
      process: { args: ["sh", "-c", "echo $#", "sh", ...words] },
      hooks: {
        createContainer: [{
          path: "/bin/sh",
          args: ["sh", "-c", `echo $# >${out}`, "sh", ...words],
        }],
      },
    });
    const run = ["run", "--bundle", caller.bundle, caller.id];
    assertEquals(await caller.call(run), { ...QUIET, stdout: `${MANY}\n` });
    assertEquals(Deno.readTextFileSync(out), `${MANY}\n`);
  } finally {
    Deno.removeSync(out);
  }
});

testOn(
  NEEDS,
  "JSON nested 100,000 deep is an error in every file",
  async () => {
    await using caller = makeCaller();
    const { bundle, dir, id } = caller;
    const config = Deno.readTextFileSync(`${bundle}/config.json`);
    const deep = `{"x":${"[".repeat(100_000)}${"]".repeat(100_000)},`;
    Deno.writeTextFileSync(`${dir}/deep.json`, deep + config.slice(1));
    const refused = async (...words: string[]) => {
      const { code, stderr } = await caller.callBare(words);
      assertEquals(code === 0, false);
      assertStringIncludes(stderr, "it is nested too deep");
      assertEquals(stderr.includes("bug"), false, stderr);
    };
    await refused(
      "run",
      "--bundle",
      bundle,
      "--config",
      `${dir}/deep.json`,
      id,
    );
    await refused("validate", `${dir}/deep.json`);
    const { code } = await caller.hold(["create", "--bundle", bundle, id]);
    assertEquals(code, 0, Deno.readTextFileSync(caller.log));
    await caller.call(["start", id]);
    await refused("exec", "--process", `${dir}/deep.json`, id);
    await refused("update", "--resources", `${dir}/deep.json`, id);
  },
);
