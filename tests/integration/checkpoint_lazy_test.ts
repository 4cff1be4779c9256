/**
 * A container whose memory comes after it: a page server, and criu's own daemon
 * that fetches from it (criu(8), "Lazy pages").
 *
 * @module
 */

import { assertEquals, assertGreater } from "@std/assert";
import { cliCommand, type Running, start } from "../harness.ts";
import { probe, testOn } from "../needs.ts";
import { waitFor } from "../wait.ts";
import { makeCaller, makeSpec, QUIET } from "./caller.ts";

const NEEDS = ["root", "helper", "busybox", "python3", "criu"] as const;

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return listener.addr.port;
}

function end(running: Running): void {
  try {
    running.kill("SIGKILL");
  } catch (error) {
    // It has ended.
    if (!(error instanceof TypeError)) throw error;
  }
}

const LOOP = "i=0; while :; do i=$((i+1)); echo $i >/tmp/n; sleep 0.05; done";

testOn(
  NEEDS,
  "restore --lazy-pages goes on with the memory of another place",
  async () => {
    await using caller = makeCaller({ process: { args: ["sh", "-c", LOOP] } });
    const { id, bundle, dir, rootfs, call, hold } = caller;
    const count = () => Number(Deno.readTextFileSync(`${rootfs}/tmp/n`));
    assertEquals((await hold(["create", "--bundle", bundle, id])).code, 0);
    assertEquals(await call(["start", id]), QUIET);
    assertGreater(await waitFor(count, (it) => it > 3), 3);

    const [image, work, ready] = ["image", "work", "ready"].map((it) =>
      `${dir}/${it}`
    );
    const places = ["--image-path", image!, "--work-path", work!];
    const port = `${freePort()}`;
    assertEquals(probe("mkfifo", ready!).code, 0);
    const dump = start([
      ...["sh", "-c", `exec "$@" 3<>${ready}`, "sh", ...cliCommand()],
      ...["--root", caller.root, "checkpoint", "--lazy-pages", ...places],
      ...["--page-server", `127.0.0.1:${port}`, "--status-fd", "3", id],
    ]);
    let daemon: Running | undefined;
    try {
      using fifo = await Deno.open(ready!, { read: true, write: true });
      const said = fifo.read(new Uint8Array(2));
      assertEquals(await Promise.race([said, dump.done]), 1);
      daemon = start([
        ...["criu", "lazy-pages", "--page-server", "--port", port],
        ...["--address", "127.0.0.1", "--images-dir", image!],
        ...["--work-dir", work!],
      ]);
      const other = `${id}-2`;
      caller.write(makeSpec(id, {
        process: { args: ["sh", "-c", LOOP] },
        linux: { cgroupsPath: `/${other}` },
      }));
      const words = ["--detach", "--lazy-pages", "--bundle", bundle];
      const restored = await hold(["restore", ...words, ...places, other]);
      assertEquals(restored.code, 0, Deno.readTextFileSync(caller.log));
      const ends = await Promise.all([dump.done, daemon.done]);
      assertEquals(ends.map((it) => it.code), [0, 0]);
      const now = count();
      assertGreater(await waitFor(count, (it) => it > now), now);
      assertEquals(await call(["delete", "--force", other]), QUIET);
      assertEquals((await call(["state", id])).code, 1);
    } finally {
      for (const it of [dump, daemon]) it && end(it);
    }
  },
);
