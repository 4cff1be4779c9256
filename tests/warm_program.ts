/**
 * A front with its engine as the program under test, where RUSTYRUN_WARM=1 asks
 * for it, or a front alone (RUSTYRUN_WARM=none). What the engine says of each call is counted: a front whose calls are
 * all cold shows nothing.
 *
 * @module
 */

import { denoWords } from "../mod/program.ts";
import { encodeFront } from "../mod/serve/protocol.ts";

/** A machine's tests are busy: cold would be right, but is not what is tested. */
const PATIENCE_MS = 2000 * Number(Deno.env.get("RUSTYRUN_SLOW") ?? 1);

/** A front, and the command line of its engine. */
export interface WarmProgram {
  front: string;
  /** Where the engine is to listen. */
  socket: string;
  engine: string[];
}

/** How many calls an engine has served, and why it has not served others. */
export interface Served {
  served: number;
  not: Map<string, number>;
}

/** Whether the tests are to be run through a front with a warm engine. */
export function isWarm(): boolean {
  return Deno.env.get("RUSTYRUN_WARM") === "1";
}

/** Whether they are to be run through a front that finds no engine. */
export function isFrontAlone(): boolean {
  return Deno.env.get("RUSTYRUN_WARM") === "none";
}

/**
 * Writes a front without an engine; it goes with this process.
 *
 * @param file of the full program
 * @returns path of the front
 */
export function serveNobody(file: string): string {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-front-" });
  addEventListener("unload", () => {
    Deno.removeSync(dir, { recursive: true });
  });
  return writeFront(dir, file).front;
}

/** Returns the command line of a file: an executable, main.ts or a bundle, as
 * mod/program.ts calls it again. */
export function lineOf(file: string): string[] {
  return /\.[jt]s$/.test(file) ? [Deno.execPath(), ...denoWords(file)] : [file];
}

/**
 * Writes a front.
 *
 * @param dir gets it, and the socket
 * @param file of the full program
 */
export function writeFront(dir: string, file: string): WarmProgram {
  const [front, socket] = [`${dir}/rustyrun`, `${dir}/serve`];
  const program = lineOf(file);
  const plain = new URL(
    `../dist/rustyrun-front-${Deno.build.arch}`,
    import.meta.url,
  );
  const bytes = encodeFront(Deno.readFileSync(plain), {
    program,
    socket,
    patience: PATIENCE_MS,
  });
  Deno.writeFileSync(front, bytes);
  Deno.chmodSync(front, 0o755);
  const words = ["--verbose", "serve", "--socket", socket, "--idle", "0"];
  return { front, socket, engine: [...program, ...words] };
}

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

/** Reads what an engine has said (`--verbose`).
 *
 * @throws {Error} when it has served no call, or said anything else: that one of
 * its processes holds what is a call's */
export function readServed(said: string): Served {
  const found: Served = { served: 0, not: new Map() };
  for (const line of said.split("\n").filter((it) => it !== "")) {
    const match = /^rustyrun: a call was (not )?served(?:: (.*))?$/.exec(line);
    if (match === null) throw new Error(`The warm engine says: ${line}`);
    const [, not, why = ""] = match;
    if (not === undefined) found.served++;
    else found.not.set(why, (found.not.get(why) ?? 0) + 1);
  }
  if (found.served > 0) return found;
  throw new Error(`The warm engine has served no call: ${said}`);
}

/** As "40 calls served, 3 not (no equal 2, its directory 1)". */
export function formatServed({ served, not }: Served): string {
  const whys = [...not].map(([why, count]) => `${why} ${count}`).sort();
  const count = not.values().reduce((sum, it) => sum + it, 0);
  return `${served} calls served, ${count} not` +
    (count > 0 ? ` (${whys.join(", ")})` : "");
}

/** What has been served, each in a directory of its own. */
const dirs: string[] = [];

/** A front whose engine says into "said" beside it what it has served: all that
 * is printed when this process ends. */
function makeCounted(file: string): WarmProgram & { said: string } {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-served-" });
  if (dirs.push(dir) === 1) addEventListener("unload", tellServed);
  return { ...writeFront(dir, file), said: `${dir}/said` };
}

/** Of those that are still to be ended. */
const engines: number[] = [];

/** Ends the engines first: a failure here is the end of this process. */
function tellServed(): void {
  for (const pid of engines) Deno.kill(pid, "SIGKILL");
  const said = dirs.map((dir) => {
    const text = Deno.readTextFileSync(`${dir}/said`);
    Deno.removeSync(dir, { recursive: true });
    return text;
  });
  console.log(formatServed(readServed(said.join(""))));
}

/**
 * Starts the warm engine of a program; it ends with this process.
 *
 * @param file of the full program
 * @returns path of its front
 */
export function serveWarm(file: string): string {
  const { front, socket, engine, said } = makeCounted(file);
  const child = new Deno.Command("/bin/sh", {
    args: ["-c", 'exec "$@" 2>"$0"', said, ...engine],
    cwd: "/",
    stdin: "null",
    stdout: "null",
    stderr: "inherit",
  }).spawn();
  child.unref();
  engines.push(child.pid);
  awaitFile(socket);
  return front;
}

/** Starts an engine, makes a call by its front, and ends it. */
const APART = `dir=$0
"$dir/engine" </dev/null >/dev/null 2>>"$dir/said" &
until [ -e "$dir/serve" ]; do sleep 0.02; done
"$dir/rustyrun" "$@"
code=$?
{ kill $!; wait $!; rm -f "$dir/serve"; } 2>/dev/null
exit $code`;

/**
 * Returns a command line that makes one call with an engine of its own: in
 * namespaces of its own no other engine is an equal.
 *
 * @param file of the full program
 */
export function serveApart(file: string): string[] {
  const { front, engine, said } = makeCounted(file);
  const dir = front.slice(0, front.lastIndexOf("/"));
  const words = engine.map((it) => `'${it.replaceAll("'", `'\\''`)}'`);
  Deno.writeTextFileSync(said, "");
  Deno.writeTextFileSync(
    `${dir}/engine`,
    `#!/bin/sh\nexec ${words.join(" ")}\n`,
    { mode: 0o700 },
  );
  return ["/bin/sh", "-c", APART, dir];
}
