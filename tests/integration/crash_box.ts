/**
 * What the crash and race tests share: a bundle with a --root of its own,
 * commands marked for the leak check, and what of it may be left.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import {
  cliCommand,
  type CliOptions,
  type CliResult,
  findLeaksBeside,
  makeRootfs,
  runToEnd,
  takeSnapshot,
} from "../harness.ts";
import { makeSpec, type Spec } from "./caller.ts";

/** A bundle, and where its containers are kept. */
export interface CrashBox extends AsyncDisposable {
  /** Starts every id and cgroup of this box. */
  name: string;
  dir: string;
  bundle: string;
  root: string;
  /** Makes another bundle with the same rootfs, for a container of that id. */
  addBundle(id: string, over?: Spec): string;
  /** The command line of rustyrun with --root and these words. */
  argv(...words: string[]): string[];
  /** Runs a command line to its own end, whatever it leaves running. */
  runApart(argv: readonly string[], options?: CliOptions): Promise<CliResult>;
  call(...words: string[]): Promise<CliResult>;
  /** Fails unless the command exits 0 and says nothing. */
  callQuiet(...words: string[]): Promise<void>;
  /** created, running, paused, stopped; "none" when it does not exist. */
  status(id: string): Promise<string>;
  /** What is left beside the cache of filters, when all has had time to go.
   *
   * @param allowed tells of what may stay, and is not waited for */
  findRest(allowed?: (left: string) => boolean): Promise<string[]>;
}

/** Waits until no process is left of what the tests here have started: a warden
 * whose host was killed may still be at work. */
export async function settle(): Promise<void> {
  const left = await findLeaksBeside(() => false, takeSnapshot());
  assertEquals(left, []);
}

const APART = 'file=$1; shift; exec "$@" >"$file.out" 2>"$file.err"';

let boxes = 0;

/** Makes a box; its disposal fails when anything is left. */
export function makeCrashBox(over: Spec = {}): CrashBox {
  const name = `rrcrash-${Deno.pid}-${++boxes}`;
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-crash-" });
  const bundle = `${dir}/bundle`;
  const root = `${dir}/root`;
  Deno.mkdirSync(bundle);
  Deno.mkdirSync(root, { mode: 0o700 });
  const rootfs = `${dir}/rootfs`;
  Deno.renameSync(makeRootfs(), rootfs);
  const write = (at: string, id: string, more: Spec) =>
    Deno.writeTextFileSync(
      `${at}/config.json`,
      JSON.stringify(makeSpec(id, { root: { path: rootfs }, ...more })),
    );
  write(bundle, name, over);
  const before = takeSnapshot();
  const argv = (...words: string[]) => [
    ...cliCommand(),
    "--root",
    root,
    ...words,
  ];
  let calls = 0;
  const runApart: CrashBox["runApart"] = async (line, options) => {
    // A container inherits these: a pipe would have no end before it has.
    const file = `${dir}/output-${++calls}`;
    const { code, signal } = await runToEnd(
      ["/bin/sh", "-c", APART, "sh", file, ...line],
      options,
    );
    const result = {
      code,
      signal,
      stdout: Deno.readTextFileSync(`${file}.out`),
      stderr: Deno.readTextFileSync(`${file}.err`),
    };
    Deno.removeSync(`${file}.out`);
    Deno.removeSync(`${file}.err`);
    return result;
  };
  const call = (...words: string[]) => runApart(argv(...words));
  const listRoot = () =>
    [...Deno.readDirSync(root)].filter((it) => it.name !== ".cache")
      .map((it) => `file ${root}/${it.name}`);
  const box: CrashBox = {
    name,
    dir,
    bundle,
    root,
    addBundle(id, more = {}) {
      const at = `${dir}/${id}`;
      Deno.mkdirSync(at);
      write(at, id, { ...over, ...more });
      return at;
    },
    argv,
    runApart,
    call,
    async callQuiet(...words) {
      const { code, stdout, stderr } = await call(...words);
      assertEquals(
        { words, code, stdout, stderr },
        { words, code: 0, stdout: "", stderr: "" },
      );
    },
    async status(id) {
      const { code, stdout, stderr } = await call("state", id);
      if (code === 0) return JSON.parse(stdout).status;
      assertEquals(
        stderr.split("\n")[0]?.replace(/^.*Cannot/, "Cannot"),
        `Cannot find "${id}": container does not exist`,
      );
      return "none";
    },
    findRest: async (allowed = () => false) =>
      [
        ...await findLeaksBeside(
          (it) => it === `file ${dir}` || allowed(it),
          before,
          name,
          dir,
        ),
        ...listRoot(),
      ].filter((it) => it !== `file ${dir}`),
    async [Symbol.asyncDispose]() {
      const left = await box.findRest();
      for (const { name } of Deno.readDirSync(root)) {
        await call("delete", "--force", name);
      }
      Deno.removeSync(dir, { recursive: true });
      if (left.length > 0) throw new Error(`Left behind: ${left.join("; ")}`);
    },
  };
  return box;
}
