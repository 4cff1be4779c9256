/** How long a container of `run` lasts: --detach, --rm=false. */

import { assertEquals } from "@std/assert";
import { makeBox, runCli } from "../harness.ts";
import { testOn } from "../needs.ts";

/** A command that does not hold the caller's streams open. */
const HELD = "exec sleep 1000 >/dev/null 2>&1";

testOn(
  ["helper", "busybox", "root"],
  "run --detach says the id, and --rm=false keeps what has ended",
  async () => {
    await using box = makeBox();
    const root = Deno.makeTempDirSync({ prefix: "rustyrun-test-root-" });
    const call = (...words: string[]) => runCli(["--root", root, ...words]);
    const { id, rootfs } = box;
    try {
      const line = ["run", "--rootfs", rootfs, "--name", id];
      assertEquals(await call(...line, "--detach", "--", "sh", "-c", HELD), {
        code: 0,
        signal: null,
        stdout: `${id}\n`,
        stderr: "",
      });
      await call("delete", "--force", id);
      await call(...line, "--rm=false", "--", "true");
      assertEquals((await call("list", "--quiet")).stdout, `${id}\n`);
      await call("delete", id);
      await call(...line, "--", "true");
      assertEquals((await call("list", "--quiet")).stdout, "");
    } finally {
      await call("delete", "--force", id);
      Deno.removeSync(root, { recursive: true });
    }
  },
);
