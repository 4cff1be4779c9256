/**
 * `run -t` on a terminal that nobody reads: what has ended is removed all the same,
 * and what it still had to say is there for who reads it later.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { cliCommand, makeBox, runToEnd } from "../harness.ts";
import { findPython, testOn } from "../needs.ts";

/** Reads nothing until nothing is below --root, and then only where it is told
 * to: prints how much was read, and the exit code. */
const READER = `
import os, subprocess, sys, time
root, reads, argv = sys.argv[1], sys.argv[2] == "reads", sys.argv[3:]
master, slave = os.openpty()
child = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, start_new_session=True)
os.close(slave)
def states():
    try: return [it for it in os.listdir(root) if it != ".cache"]
    except FileNotFoundError: return []
while not states() and child.poll() is None: time.sleep(0.01)
while states(): time.sleep(0.01)
size = 0
while reads:
    try: read = os.read(master, 65536)
    except OSError: break
    size += read.count(b"x")
print(size, child.wait())
`;

const NEEDS = ["root", "helper", "busybox", "python3"] as const;

async function drive(how: string, ...words: string[]): Promise<string> {
  await using box = makeBox();
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-unread-" });
  try {
    const { stdout, stderr } = await runToEnd([
      ...[findPython(), "-c", READER, dir, how, ...cliCommand()],
      ...["--root", dir, "run", "--rootfs", box.rootfs, "--name", box.id],
      ...words,
    ], { timeout: 300 });
    return stdout + stderr;
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

testOn(
  NEEDS,
  "run -it --timeout: nobody reads, and nothing is left",
  async () => {
    const words = ["-it", "--timeout", "1s", "--", "yes"];
    assertEquals(await drive("never", ...words), "0 124\n");
  },
);

testOn(NEEDS, "run -it: who reads late gets all of it", async () => {
  const script = "head -c 20000 /dev/zero | tr '\\0' x";
  const words = ["-it", "--", "sh", "-c", script];
  assertEquals(await drive("reads", ...words), "20000 0\n");
});
