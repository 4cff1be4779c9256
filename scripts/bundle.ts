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

import { EMBEDDED } from "../ffi/helper.ts";
import {
  type Arch,
  BuildError,
  buildHelper,
  helperPath,
  ROOT,
} from "./build.ts";
import { type Heat, joinParts, lazyStrings, splitParts } from "./hot.ts";

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

/**
 * Writes the bundle; builds the helper before, if need be.
 *
 * @param others helpers to carry beside this machine's
 * @throws {BuildError} when a part of it fails
 */
export function bundle(others: readonly string[] = []): void {
  buildHelper();
  const helpers = new Map(
    [...others, helperPath(Deno.build.arch as Arch)].map(readHelper),
  );
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-bundle-" });
  const part = `${BUNDLE}.${Deno.pid}`;
  try {
    runBundler(["--code-splitting", `--outdir=${dir}/parts`, `${ROOT}main.ts`]);
    const parts = new Map(
      [...Deno.readDirSync(`${dir}/parts`)].map(({ name }) => [
        name,
        Deno.readTextFileSync(`${dir}/parts/${name}`),
      ]),
    );
    const { hot, rare } = splitParts(parts, HEAT);
    Deno.mkdirSync(`${dir}/hot`);
    for (const [name, text] of hot) {
      Deno.writeTextFileSync(`${dir}/hot/${name}`, text);
    }
    runBundler(["--minify", `--output=${dir}/code.js`, `${dir}/hot/main.js`]);
    const code = joinParts(Deno.readTextFileSync(`${dir}/code.js`), rare);
    Deno.writeTextFileSync(
      part,
      // Without -q Deno draws its progress, nothing but erased lines, on the
      // terminal of whoever runs this: an engine's, in the middle of a line.
      `#!/usr/bin/env -S deno run -q -A\nglobalThis.${EMBEDDED}=${
        lazyStrings(helpers)
      };\n${code}`,
    );
    Deno.chmodSync(part, 0o755);
    Deno.renameSync(part, BUNDLE);
    console.log(
      `Bundled dist/rustyrun.js: ${
        Math.ceil(code.length / 1024)
      } KiB of code, helper for ${[...helpers.keys()].join(" and ")}`,
    );
  } finally {
    Deno.removeSync(dir, { recursive: true });
    try {
      Deno.removeSync(part);
    } catch {
      // Renamed, or never made.
    }
  }
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
