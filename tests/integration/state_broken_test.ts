/**
 * A state that is none, whatever has its name: no command waits for it, ends by
 * it, or counts it as a container; and delete --force removes it.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { runCli } from "../harness.ts";
import { testOn } from "../needs.ts";
import { run } from "../program.ts";
import { makeCaller, QUIET } from "./caller.ts";

const BROKEN: Record<string, (path: string) => void> = {
  "a FIFO": (path) => run("mkfifo", path),
  "a link to a device without an end": (path) =>
    Deno.symlinkSync("/dev/zero", path),
  "a device without an end": (path) => run("mknod", path, "c", "1", "5"),
  "a directory": (path) => Deno.mkdirSync(path),
  "half a text": (path) => Deno.writeTextFileSync(path, "{"),
  "JSON of another shape": (path) =>
    Deno.writeTextFileSync(path, '{"id":"broken","pid":1}'),
  "another container's": (path) =>
    Deno.writeTextFileSync(
      path,
      '{"id":"x","pid":1,"startTime":"1","bootId":"","cgroup":{"dirs":[]}}',
    ),
};

for (const [what, make] of Object.entries(BROKEN)) {
  testOn(
    ["root", "helper", "busybox", "python3"],
    `a state that is ${what} harms nobody`,
    async () => {
      await using caller = makeCaller();
      const { root, rootfs } = caller;
      Deno.mkdirSync(root, { mode: 0o700 });
      const dir = `${root}/broken`;
      const place = () => {
        Deno.mkdirSync(dir, { mode: 0o700 });
        make(`${dir}/state.json`);
      };
      place();
      const call = async (...words: string[]) => {
        const got = await runCli(["--root", root, ...words], { timeout: 60 });
        return [got.code, got.stdout, got.stderr];
      };
      assertEquals(await call("list", "-q"), [0, "", ""]);
      assertEquals((await call("state", "broken"))[0], 1);
      assertEquals((await call("kill", "broken", "KILL"))[0], 1);
      const line = ["run", "--rootfs", rootfs, "--", "echo", "hi"];
      const [code, stdout] = await call(...line);
      assertEquals([code, stdout], [0, "hi\n"]);
      // The run before has swept it, where it could be.
      if (!isThere(dir)) place();
      assertEquals(await call("delete", "--force", "broken"), [0, "", ""]);
      assertEquals(isThere(dir), false);
      place();
      assertEquals(
        await caller.callBare([
          ...["run", "--rootfs", rootfs, "--name", "broken", "--", "true"],
        ]),
        QUIET,
      );
    },
  );
}

function isThere(path: string): boolean {
  try {
    return Deno.lstatSync(path).isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
