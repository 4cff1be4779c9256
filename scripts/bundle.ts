/**
 * Writes dist/rustyrun.js: all of rustyrun in one file, the helper inside, which
 * runs with `deno run -A dist/rustyrun.js` and nothing else.
 *
 *     deno task bundle [--with FILE]...
 *
 * It carries this machine's helper; `--with dist/rustyrun-helper-aarch64` adds
 * another one (the release does).
 *
 * @module
 */

import { createHash } from "node:crypto";
import { brotliCompressSync } from "node:zlib";
import { EMBEDDED } from "../ffi/helper.ts";
import { PACKED } from "../mod/cli/load.ts";
import { BUILD } from "../mod/container/replay.ts";
import {
  type Arch,
  BuildError,
  buildHelper,
  helperPath,
  ROOT,
} from "./build.ts";
import {
  type Heat,
  joinParts,
  lazyStrings,
  REST,
  splitEntry,
  splitParts,
} from "./hot.ts";

/** Where the bundle is put. */
export const BUNDLE = `${ROOT}dist/rustyrun.js`;

function readHelper(path: string): [Arch, string] {
  const bytes = Deno.readFileSync(path);
  // e_machine of the ELF header: what the file is, whatever its name says.
  const machine = new DataView(bytes.buffer).getUint16(18, true);
  const arch = machine === 62 ? "x86_64" : machine === 183 ? "aarch64" : "";
  if (arch === "") {
    throw new BuildError(`Cannot bundle "${path}": it is for another machine`);
  }
  return [arch, bytes.toBase64()];
}

/** What `run --bundle` and the commands that engines call most need; measured
 * (docs/performance.md). */
const HEAT: Heat = {
  warm: new Set(["run", "from_bundle", "lifecycle", "exec"]),
  cold: new RegExp(
    "^mod/(cli/(exec|lifecycle|report|usage_error)|config/(flags/|json|problem" +
      "|resources_rules|seccomp_rules|sysctl|from_flags)|cgroups/(bpf|block_io" +
      "|control|cpu|device_program|errors|memory|remove)|container/(activation" +
      "|create|delete|exec|id_maps|kill|net_devices|start|saved|status)|hooks" +
      "|mounts/(attributes|overlay)|namespaces/idmaps|seccomp)|^ffi/(netlink" +
      "|socket|spawn)",
  ),
};

/** Paths of modules in the entry that a start from a recipe does not call. */
const ENTRY_COLD =
  /^(mod\/(cli|errors|plan\.ts|cgroups\/(bpf|errors|model|remove))|ffi\/errno)/;

/** What recipes of one build are told from another's by. */
function nameBuild(code: string, helpers: ReadonlyMap<Arch, string>): string {
  const hash = createHash("sha256").update(code);
  for (const helper of helpers.values()) hash.update(helper);
  return hash.digest("hex").slice(0, 32);
}

function runBundler(args: string[]): void {
  const { success, stderr } = new Deno.Command(Deno.execPath(), {
    args: ["bundle", "--quiet", "--platform=deno", "--frozen", ...args],
    cwd: ROOT,
    env: { NO_COLOR: "1" },
  }).outputSync();
  if (success) return;
  throw new BuildError(
    `Cannot bundle main.ts: deno bundle failed\n${
      new TextDecoder().decode(stderr).trimEnd()
    }`,
  );
}

/** The two files of rustyrun. */
export interface Program {
  /** The entry; it loads the rest by import() of what it was made for. */
  entry: string;
  /** Everything else, the helpers too. */
  rest: string;
  helpers: readonly Arch[];
}

/** Bundles some files once more, minified, to one. */
function joinFiles(
  dir: string,
  files: ReadonlyMap<string, string>,
  entry: string,
): string {
  Deno.mkdirSync(dir);
  for (const [name, text] of files) {
    Deno.writeTextFileSync(`${dir}/${name}`, text);
  }
  runBundler(["--minify", `--output=${dir}/out.js`, `${dir}/${entry}`]);
  return Deno.readTextFileSync(`${dir}/out.js`);
}

/**
 * Makes the program; builds the helper before, if need be.
 *
 * @param rest the argument of the import() by which the entry loads the rest
 * @param others helpers to carry beside this machine's
 * @throws {BuildError} when a part of it fails
 */
export function makeProgram(
  rest: string,
  others: readonly string[] = [],
): Program {
  buildHelper();
  const helpers = new Map(
    [...others, helperPath(Deno.build.arch as Arch)].map(readHelper),
  );
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-bundle-" });
  try {
    runBundler(["--code-splitting", `--outdir=${dir}/parts`, `${ROOT}main.ts`]);
    const parts = new Map(
      [...Deno.readDirSync(`${dir}/parts`)].map(({ name }) => [
        name,
        Deno.readTextFileSync(`${dir}/parts/${name}`),
      ]),
    );
    const { hot, rare } = splitParts(parts, HEAT);
    const code = joinParts(joinFiles(`${dir}/rest`, hot, "rest.js"), rare);
    const entry = joinParts(
      joinFiles(`${dir}/entry`, splitEntry(parts, ENTRY_COLD), "main.js"),
      new Map(),
    ).replace(REST, () => rest);
    const build = nameBuild(entry + code, helpers);
    return {
      entry: `globalThis.${BUILD}="${build}";\n${entry}`,
      rest: `globalThis.${EMBEDDED}=${lazyStrings(helpers)};\n${code}`,
      helpers: [...helpers.keys()],
    };
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

/**
 * Writes the bundle.
 *
 * @param others helpers to carry beside this machine's
 * @throws {BuildError} when a part of it fails
 */
export function bundle(others: readonly string[] = []): void {
  const started = new Date();
  const { entry, rest, helpers } = makeProgram('"data:,"', others);
  const packed = { packed: brotliCompressSync(rest).toString("base64") };
  const part = `${BUNDLE}.${Deno.pid}`;
  try {
    Deno.writeTextFileSync(
      part,
      // Without -q Deno draws its progress, nothing but erased lines, on the
      // terminal of whoever runs this: an engine's, in the middle of a line.
      `#!/usr/bin/env -S deno run -q -A --no-config\nglobalThis.${PACKED}=${
        lazyStrings(Object.entries(packed))
      };\n${entry}`,
    );
    Deno.chmodSync(part, 0o755);
    // A source that changes meanwhile is newer than this.
    Deno.utimeSync(part, started, started);
    Deno.renameSync(part, BUNDLE);
  } finally {
    try {
      Deno.removeSync(part);
    } catch {
      // Renamed, or never made.
    }
  }
  const kib = (text: string) => Math.ceil(text.length / 1024);
  console.log(
    `Bundled dist/rustyrun.js: ${kib(entry)} KiB of code and ${
      kib(rest)
    } KiB packed, helper for ${helpers.join(" and ")}`,
  );
}

function main(args: string[]): void {
  const others: string[] = [];
  for (let i = 0; i < args.length; i++) {
    const path = args[i] === "--with" ? args[++i] : undefined;
    if (path === undefined) {
      throw new BuildError(
        `Cannot bundle: unknown argument "${
          args[i] ?? "--with"
        }"\n  hint: deno task bundle [--with FILE]...`,
      );
    }
    others.push(path);
  }
  bundle(others);
}

if (import.meta.main) {
  try {
    main(Deno.args);
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(error.message);
    Deno.exit(1);
  }
}
