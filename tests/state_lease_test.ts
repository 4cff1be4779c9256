/**
 * A state on which somebody has a lease is no container that is gone.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { readState } from "../mod/state.ts";
import { ContainerError } from "../mod/errors.ts";
import { testOn } from "./needs.ts";

/** F_SETLEASE, F_WRLCK; SIGIO asks for it back. */
const HOLDER = `
import fcntl, os, signal, sys
signal.signal(signal.SIGIO, lambda *_: None)
fd = os.open(sys.argv[1], os.O_RDWR)
fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_WRLCK)
os.write(1, b"held")
sys.stdin.read()
`;

testOn(["python3"], "a state with a lease on it is told of", async () => {
  const root = Deno.makeTempDirSync({ prefix: "rustyrun-test-lease-" });
  const path = `${root}/one/state.json`;
  Deno.mkdirSync(`${root}/one`);
  Deno.writeTextFileSync(path, "{}");
  const holder = new Deno.Command("python3", {
    args: ["-c", HOLDER, path],
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const out = holder.stdout.getReader();
  try {
    assertEquals(new TextDecoder().decode((await out.read()).value), "held");
    const error = assertThrows(() => readState(root, "one"), ContainerError);
    assertEquals([error.message, error.hint], [
      `Cannot look for containers in "${root}": resource temporarily unavailable`,
      "A process has a lease on a file there: lslocks shows which",
    ]);
  } finally {
    await holder.stdin.close();
    await out.cancel();
    await holder.status;
    Deno.removeSync(root, { recursive: true });
  }
});
