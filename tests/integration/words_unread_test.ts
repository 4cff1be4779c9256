/**
 * What `run` has to tell at its end, on a standard error that nobody reads: a pipe
 * is waited for until somebody wants it to end, a terminal for a moment.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { cliCommand, makeBox, runToEnd } from "../harness.ts";
import { findPython, testOn } from "../needs.ts";

/** Prints whether it still runs when nothing is below --root any more and a second
 * has passed, and its exit code, after SIGTERM where it still runs. */
const READER = `
import fcntl, os, signal, subprocess, sys, termios, time
how, root, argv = sys.argv[1], sys.argv[2], sys.argv[3:]
if how == "pipe":
    ours, theirs = os.pipe()
    os.set_blocking(theirs, False)
    try:
        while True: os.write(theirs, b"." * 4096)
    except BlockingIOError: os.set_blocking(theirs, True)
else:
    ours, theirs = os.openpty()
    termios.tcflow(theirs, termios.TCOOFF)
null = subprocess.DEVNULL
child = subprocess.Popen(argv, stdin=null, stdout=null, stderr=theirs, start_new_session=True)
def states():
    try: return [it for it in os.listdir(root) if it != ".cache"]
    except FileNotFoundError: return []
while not states(): time.sleep(0.01)
while states(): time.sleep(0.01)
time.sleep(1)
if how == "pipe":
    print(child.poll())
    child.send_signal(signal.SIGTERM)
print(child.wait())
`;

const SAID = { pipe: "None\n124\n", terminal: "124\n" };

for (const [how, said] of Object.entries(SAID)) {
  testOn(
    ["root", "helper", "busybox", "python3"],
    `run --timeout ends where its words go to a ${how} that nobody reads`,
    async () => {
      await using box = makeBox();
      const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-words-" });
      try {
        const { stdout, stderr } = await runToEnd([
          ...[findPython(), "-c", READER, how, dir, ...cliCommand()],
          ...["--root", dir, "run", "--rootfs", box.rootfs, "--name", box.id],
          ...["--timeout", "1s", "--", "sleep", "1000"],
        ], { timeout: 120 });
        assertEquals(stdout + stderr, said);
      } finally {
        Deno.removeSync(dir, { recursive: true });
      }
    },
  );
}
