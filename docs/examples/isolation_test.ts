/**
 * Isolation inside `deno test`: a program that changes the machine is tested where
 * it changes nothing, and the test sees all that it has done.
 *
 *     deno test -A docs/examples/isolation_test.ts
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { Sandbox } from "@rustyrun/rustyrun";

/** A test with a sandbox of its own: this machine, thrown away at its end. */
function isolated(name: string, body: (box: Sandbox) => Promise<void>): void {
  Deno.test(name, async () => {
    await using box = await Sandbox.create({ rootfs: "/", ephemeral: true });
    await body(box);
  });
}

/** The program under test; a file of the project's is taken with box.copyIn(). */
const SETUP = `
set -e
mkdir /opt/tool
echo 'level = 3' >/etc/tool.conf
rm -r /var/log
`;

isolated("setup makes and removes these files, and no others", async (box) => {
  await box.writeFile("/tmp/setup.sh", SETUP);
  const { code, stderr } = await box.output(["sh", "/tmp/setup.sh"]);
  assertEquals({ code, stderr }, { code: 0, stderr: "" });
  assertEquals(await box.readTextFile("/etc/tool.conf"), "level = 3\n");
  const changes = await box.changes();
  assertEquals(changes.map(({ kind, path }) => `${kind} ${path}`), [
    "made /etc/tool.conf",
    "made /opt/tool",
    "removed /var/log",
  ]);
});

isolated("setup says what is wrong when it runs twice", async (box) => {
  await box.output(["sh", "-c", SETUP]);
  const { code, stderr } = await box.output(["sh", "-c", SETUP]);
  assertEquals(code, 1);
  assertEquals(stderr.includes("/opt/tool"), true, stderr);
});

isolated("setup needs no network", async (box) => {
  const { stdout } = await box.output(["cat", "/proc/net/route"]);
  assertEquals(stdout.trim().split("\n").length, 1);
  assertEquals((await box.output(["sh", "-c", SETUP])).code, 0);
});
