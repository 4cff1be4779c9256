/**
 * Standard streams that do not wait (O_NONBLOCK): the flag belongs to the open file,
 * and so to everybody who has it, a container that has ended among them. What is
 * written to one that is full gets there, as soon as somebody reads.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { cliCommand, makeBox, start } from "../harness.ts";
import { findPython, testOn } from "../needs.ts";

/** Fills the pipe that a descriptor is, and becomes what follows; it is read after a
 * while. With 0: a pipe of its own, into which its words come after a while. */
const SCRIPT = `
import fcntl, os, sys, time
fd, words = int(sys.argv[1]), sys.argv[2:]
if fd == 0:
    ours, theirs = os.pipe()
    if os.fork() == 0:
        time.sleep(1)
        os.write(theirs, b'{"memory":{"limit":0}}')
        os._exit(0)
    os.dup2(ours, 0)
    os.close(theirs)
else:
    theirs, given = os.pipe()
    if os.fork() == 0:
        os.close(given)
        time.sleep(1)
        text = b""
        while part := os.read(theirs, 65536): text += part
        os.write(3 - fd, text.lstrip(b"."))
        os._exit(0)
    os.dup2(given, fd)
    os.close(given)
    os.close(theirs)
fcntl.fcntl(fd, fcntl.F_SETFL, fcntl.fcntl(fd, fcntl.F_GETFL) | os.O_NONBLOCK)
try:
    while fd: os.write(fd, b"." * 4096)
except BlockingIOError: pass
pid = os.posix_spawn(words[0], words, os.environ)
os.close(fd)
code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
if fd: os.wait()
sys.exit(code)
`;

/** Runs rustyrun with a standard stream of its that does not wait. */
const call = (fd: 0 | 1 | 2, ...words: string[]) =>
  start([findPython(), "-c", SCRIPT, `${fd}`, ...cliCommand(), ...words]).done;

testOn(
  ["helper", "busybox", "root", "python3"],
  "what is written to a full stream that does not wait gets there",
  async () => {
    await using box = makeBox();
    const id = `${box.id}-d`;
    const detached = await call(
      ...[1, "run", "-d", "--rootfs", box.rootfs, "--name", id] as const,
      ...["--", "sleep", "1000"],
    );
    assertEquals([detached.code, detached.stderr], [0, `${id}\n`]);
    try {
      const list = await call(1, "list", "--quiet");
      assertEquals(list.code, 0);
      assertMatch(list.stderr, new RegExp(`^${id}$`, "m"));
      const exec = await call(2, "exec", id, "nosuch");
      assertEquals([exec.code, exec.stderr], [255, ""]);
      assertMatch(exec.stdout, /executable file not found/);
      const run = await call(
        ...[2, "run", "--rootfs", box.rootfs, "--name", box.id] as const,
        ...["--", "nosuch"],
      );
      assertEquals([run.code, run.stderr], [127, ""]);
      assertMatch(run.stdout, /executable file not found/);
      const update = await call(0, "update", "-r", "-", id);
      assertEquals([update.code, update.stdout, update.stderr], [0, "", ""]);
    } finally {
      await call(1, "delete", "--force", id);
    }
  },
);
