/**
 * A front with its engine as the program under test: RUSTYRUN_WARM=1 of
 * program.ts. Each file of tests has one of its own.
 *
 * @module
 */

import { encodeFront } from "../mod/serve/protocol.ts";

/** A machine's tests are busy: cold would be right, but is not what is tested. */
const PATIENCE_MS = 2000;

/** Blocks until there is a file of that name. */
function awaitFile(path: string): void {
  for (;;) {
    try {
      Deno.lstatSync(path);
      return;
    } catch {
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10);
    }
  }
}

/**
 * Starts the warm engine of a program; it ends with this process.
 *
 * @param program as mod/program.ts calls it again
 * @param plain path of a front
 * @returns path of its front
 */
export function serveWarm(program: readonly string[], plain: string): string {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-served-" });
  const [socket, front] = [`${dir}/s`, `${dir}/rustyrun`];
  const bytes = encodeFront(Deno.readFileSync(plain), {
    program,
    socket,
    patience: PATIENCE_MS,
  });
  Deno.writeFileSync(front, bytes);
  Deno.chmodSync(front, 0o755);
  const [command, ...words] = program;
  const engine = new Deno.Command(command!, {
    args: [...words, "serve", "--socket", socket, "--idle", "0"],
    cwd: "/",
    stdin: "null",
    stdout: "null",
    stderr: "inherit",
  }).spawn();
  engine.unref();
  addEventListener("unload", () => {
    Deno.kill(engine.pid, "SIGKILL");
    Deno.removeSync(dir, { recursive: true });
  });
  awaitFile(socket);
  return front;
}
