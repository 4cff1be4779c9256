/**
 * The helper's C against plans that nobody would write: tests/c/fuzz.c under
 * ASan and UBSan, from real plans, above a made-up kernel; and the decoder's
 * own table, on x86_64 and (by a cross compiler and qemu-user) on aarch64.
 *
 * FUZZ_SECONDS is how long it runs (3; .ci/run says 20), FUZZ_SEED which inputs
 * it makes (1); FUZZ_REPLAY=FILE runs the one input that an earlier failure has
 * kept.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { OPS } from "../mod/plan.ts";
import { type Arch, DIALECT, ROOT, WARNINGS } from "../scripts/build.ts";
import { buildFuzzer, listUnits, readCoverage } from "./c/fuzz_build.ts";
import { makeSeeds, writeSeeds } from "./c/fuzz_seeds.ts";
import { type Need, testOn } from "./needs.ts";

const SECONDS = Number(Deno.env.get("FUZZ_SECONDS") ?? 3);
const SEED = Number(Deno.env.get("FUZZ_SEED") ?? 1);
const REPLAY = Deno.env.get("FUZZ_REPLAY");

/** What it makes inputs from now. */
let seed = SEED;

const decoder = new TextDecoder();

/** Runs `fn` with a directory that is removed afterwards. */
function inDirectory(fn: (dir: string) => void): void {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-fuzz-" });
  try {
    fn(dir);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

/** Writes the seeds, made in a directory of their own; returns how many. */
function prepareSeeds(dir: string): number {
  const made = `${dir}/made`;
  Deno.mkdirSync(made);
  const seeds = makeSeeds(made);
  writeSeeds(`${dir}/seeds`, seeds);
  return seeds.length;
}

/** Runs the fuzzer; the input that breaks it is kept, and named.
 *
 * @returns what it prints, by its first word; operations by their name */
function runFuzzer(dir: string, ...args: string[]): Map<string, string> {
  const { code, stdout, stderr } = new Deno.Command(`${dir}/fuzz`, {
    args,
    cwd: dir,
    // It has no heap of its own to leak, and its end is not always a return.
    env: {
      ASAN_OPTIONS: "detect_leaks=0",
      UBSAN_OPTIONS: "print_stacktrace=1:abort_on_error=1",
    },
    stdin: "null",
  }).outputSync();
  if (code !== 0) {
    let kept = "";
    try {
      kept = Deno.makeTempFileSync({ prefix: "rustyrun-fuzz-input-" });
      Deno.copyFileSync(`${dir}/crash`, kept);
    } catch {
      Deno.removeSync(kept);
      kept = REPLAY ?? "";
    }
    throw new Error(
      `The fuzzer found something (FUZZ_SEED=${seed}); to see it again: FUZZ_REPLAY=${kept} deno test -A tests/fuzz_test.ts\n${
        decoder.decode(stderr)
      }`,
    );
  }
  return new Map(
    decoder.decode(stdout).trimEnd().split("\n").map((line) => {
      const [, key = "", rest = ""] = /^((?:op )?\S+) ?(.*)$/.exec(line) ?? [];
      return [key, rest];
    }),
  );
}

/** capDrop -> CAP_DROP */
function cName(name: string): string {
  return name.replace(/[A-Z]/g, (c) => `_${c}`).toUpperCase();
}

type Coverage = ReturnType<typeof readCoverage>;

function percent({ ran, lines }: Coverage): number {
  return Math.floor(1000 * ran / lines) / 10;
}

testOn(
  ["asan"],
  "the helper survives plans that were tampered with",
  () =>
    inDirectory((dir) => {
      buildFuzzer(dir);
      if (REPLAY !== undefined) {
        runFuzzer(dir, "--replay", Deno.realPathSync(REPLAY));
        return;
      }
      const seeds = prepareSeeds(dir);
      // What rustyrun itself encodes, the decoder takes.
      runFuzzer(dir, "--check", "seeds");
      const sums = new Map<string, number>();
      const ops = () =>
        Object.keys(OPS).map((name): [string, number] => [
          name,
          sums.get(name) ?? 0,
        ]);
      let said: Map<string, string>;
      let covered: (readonly [string, Coverage])[];
      let decode: Coverage;
      // A busy machine does less in that time: again, from other seeds.
      for (let round = 0;; round++) {
        seed = SEED + round;
        said = runFuzzer(dir, "seeds", `${SECONDS}`, `${seed}`, "crash");
        for (const [name, sum] of ops()) {
          const [, done] = said.get(`op ${cName(name)}`)?.split(" ") ?? [];
          sums.set(name, sum + Number(done ?? 0));
        }
        covered = listUnits().map((name) => [name, readCoverage(dir, name)]);
        decode = covered.find(([name]) => name === "decode")![1];
        const enough = ops().every(([, done]) => done > 0) &&
          percent(decode) >= 95;
        if (enough || round === 10) break;
      }
      const reached = ops().filter(([, done]) => done > 0);
      console.log(
        `fuzz: ${said.get("executions")} executions (${
          said.get("rate")
        } a second) of ${seeds} seeds, FUZZ_SEED=${seed}; ` +
          `${said.get("accepted")} accepted; ` +
          `${reached.length} of ${ops().length} operations ran to their end`,
      );
      console.log(
        `fuzz: lines of the decoder (c/decode.c) that ran: ${
          percent(decode)
        } % ` +
          `(${decode.ran} of ${decode.lines}); others: ${
            covered.filter(([name]) => name !== "decode")
              .map(([name, it]) => `${name} ${percent(it)}`).join(", ")
          }`,
      );
      assertEquals(ops().filter(([, done]) => done === 0), []);
      assertEquals(percent(decode) >= 95, true, `missed: ${decode.missed}`);
    }),
);

/** Compiles the decoder's test for an architecture and runs it. */
function runDecoder(arch: Arch, dir: string, ...args: string[]): string[] {
  const cross = arch !== Deno.build.arch;
  const program = `${dir}/decode-${arch}`;
  const compiled = new Deno.Command(cross ? `${arch}-linux-gnu-gcc` : "cc", {
    args: [
      ...DIALECT,
      ...WARNINGS,
      "-Werror",
      "-Os",
      "-static",
      `${ROOT}tests/c/decode_test.c`,
      `${ROOT}c/decode.c`,
      "-o",
      program,
    ],
  }).outputSync();
  assertEquals(decoder.decode(compiled.stderr), "");
  const { code, stdout } = new Deno.Command(
    cross ? `qemu-${arch}-static` : program,
    { args: cross ? [program, ...args] : args },
  ).outputSync();
  const lines = decoder.decode(stdout).trimEnd().split("\n");
  assertEquals(
    lines.filter((line) => /^(not ok|refused)/.test(line)),
    [],
  );
  assertEquals(code, 0);
  return lines;
}

const MACHINES: [Arch, Need[]][] = Deno.build.arch === "x86_64"
  ? [["x86_64", ["cc"]], ["aarch64", ["cc", "aarch64"]]]
  : [["aarch64", ["cc"]]];

for (const [arch, needs] of MACHINES) {
  testOn(
    needs,
    `plan_open() tells good plans from bad ones (${arch})`,
    () =>
      inDirectory((dir) => {
        const lines = runDecoder(arch, dir);
        assertEquals(lines.length > 70, true);
        assertEquals(lines.filter((line) => !line.startsWith("ok ")), []);
      }),
  );
}

testOn(
  ["cc", "aarch64"],
  "plan_next() reads real plans alike on x86_64 and aarch64",
  () =>
    inDirectory((dir) => {
      const seeds = prepareSeeds(dir);
      const [here, ...others] = MACHINES.map(([arch]) =>
        runDecoder(arch, dir, `${dir}/seeds`)
      );
      assertEquals(here?.length, seeds);
      for (const there of others) assertEquals(there, here);
    }),
);
