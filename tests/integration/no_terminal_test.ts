/** A terminal that is asked for where nobody could type into it. */

import { assertEquals } from "@std/assert";
import { cliCommand, makeBox, runToEnd, withTerminal } from "../harness.ts";
import { makeCaller, makeSpec } from "./caller.ts";
import { testOn } from "../needs.ts";

const NEEDS = ["root", "helper", "busybox", "python3", "script"] as const;

/** Runs rustyrun without a terminal at hand: setsid(1) takes /dev/tty away. */
async function call(...words: string[]): Promise<unknown[]> {
  const got = await runToEnd(
    ["setsid", "--wait", ...cliCommand(), ...words],
    { stdin: "" },
  );
  return [got.code, got.stdout, got.stderr];
}

const NONE =
  `rustyrun: Cannot give the process a terminal: rustyrun has none itself
  hint: Run rustyrun from a terminal, or leave -t (process.terminal) out; --console-socket PATH gives the terminal to a program
`;

testOn(NEEDS, "exec -t where there is no terminal is an error", async () => {
  await using box = makeBox();
  const running = box.start(["--", "sh", "-c", "echo up; exec sleep 1000"]);
  using _ = { [Symbol.dispose]: () => running.kill("SIGKILL") };
  await running.waitFor("up");
  assertEquals(await call("exec", "-t", box.id, "sh"), [255, "", NONE]);
  assertEquals(await call("exec", "-it", box.id, "sh"), [
    255,
    "",
    `rustyrun: Cannot give the command a terminal: standard input is not one
  hint: Leave -t out of -it, or run rustyrun from a terminal
`,
  ]);
  assertEquals(await call("exec", "-i", box.id, "cat"), [0, "", ""]);
});

testOn(
  NEEDS,
  "run of a bundle with a terminal where there is none is an error",
  async () => {
    await using caller = makeCaller({
      process: { terminal: true, args: ["sh"] },
    });
    const line = ["run", "--bundle", caller.bundle, caller.id];
    assertEquals(await call(...line), [1, "", NONE]);
    assertEquals((await call("state", caller.id))[0], 1);
  },
);

testOn(
  NEEDS,
  "JSON ends its line on a terminal, and as runc's does not elsewhere",
  async () => {
    const root = Deno.makeTempDirSync({ prefix: "rustyrun-test-root-" });
    try {
      const line = [...cliCommand(), "--root", root, "list", "-f", "json"];
      assertEquals((await runToEnd(line)).stdout, "null");
      const { stdout } = await runToEnd(withTerminal(line));
      assertEquals(stdout.replaceAll(/\^[@D][\b]*/g, ""), "null\r\n");
    } finally {
      Deno.removeSync(root, { recursive: true });
    }
  },
);

testOn(
  NEEDS,
  "where standard output is no terminal, lines end as the command has written them",
  async () => {
    const print = ["printf", "a\\nb\\r\\nc\\n"];
    await using caller = makeCaller({
      process: { args: print, terminal: true },
    });
    const { bundle, dir, id, root } = caller;
    // The terminal at hand is standard input.
    const printed = async (...words: string[]) => {
      const line = [...cliCommand(), "--root", root, ...words];
      const { code } = await runToEnd(
        withTerminal(["sh", "-c", `exec "$@" >"${dir}/out"`, "sh", ...line]),
      );
      const text = Deno.readTextFileSync(`${dir}/out`);
      // The end of what `script` reads is echoed.
      return [code, text.replaceAll(/\^[@D][\b]*/g, "")];
    };
    const want = [0, "a\nb\r\nc\n"];
    assertEquals(await printed("run", "--bundle", bundle, id), want);
    caller.write(makeSpec(id, { process: { args: ["sleep", "1000"] } }));
    await caller.hold(["create", "--bundle", bundle, id]);
    assertEquals((await caller.call(["start", id])).code, 0);
    assertEquals(await printed("exec", "-t", id, ...print), want);
  },
);
