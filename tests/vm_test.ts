/**
 * `deno task vm`: what it asks of the program that runs guests, and what it makes of
 * its end.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { BuildError } from "../scripts/build.ts";
import { readWanted, vmEnv, vmWords } from "../scripts/vm.ts";
import { ROOT, runToEnd } from "./harness.ts";

const FILE = "tests/vm_test.ts";

for (
  const [args, want] of [
    [[], { kernels: ["6.1"], all: false, files: [] }],
    [["--kernel", "6.12", FILE], {
      kernels: ["6.12"],
      all: false,
      files: [FILE],
    }],
    [["--all"], {
      kernels: ["6.1", "6.12"],
      all: true,
      files: ["tests/integration"],
    }],
    [["--all", "--kernel", "6.1"], {
      kernels: ["6.1"],
      all: true,
      files: ["tests/integration"],
    }],
  ] as const
) {
  Deno.test(`deno task vm ${args.join(" ")}: the kernels and files`, () => {
    assertEquals<unknown>(readWanted(args), want);
  });
}

for (
  const [args, why] of [
    [["--kernel"], "--kernel needs a value"],
    [["--kernel", "5.10"], 'no kernel "5.10", but 6.1, 6.12'],
    [["--fast"], 'unknown argument "--fast"'],
    [["tests/none_test.ts"], 'there is no "tests/none_test.ts"'],
    [["--all", FILE], `--all and "${FILE}" exclude each other`],
  ] as const
) {
  Deno.test(`deno task vm ${args.join(" ")} is refused`, () => {
    assertThrows(
      () => readWanted(args),
      BuildError,
      `Cannot run tests in a guest: ${why}\n  hint: `,
    );
  });
}

Deno.test("vmWords() shares everything read-only below /mnt", () => {
  const wanted = { kernels: ["6.12"], all: true, files: ["tests/integration"] };
  const deno = Deno.execPath();
  const name = deno.slice(deno.lastIndexOf("/") + 1);
  const dir = deno.slice(0, deno.lastIndexOf("/"));
  assertEquals(vmWords("6.12", wanted, "/cache", { DENO_JOBS: "2" }), [
    "run",
    "--kernel",
    "6.12",
    "--workdir",
    "/",
    "--timeout",
    "21600",
    "--share",
    `${ROOT}:/mnt/clone:ro:cached`,
    "--share",
    `${dir}:/mnt/deno:ro:cached`,
    "--share",
    "/cache:/mnt/cache:ro:cached",
    "--env",
    "DENO_JOBS=2",
    "--env",
    "RUSTYRUN_WARM=mixed",
    "--",
    "bash",
    "/mnt/clone/.ci/guest",
    "/mnt/clone",
    `/mnt/deno/${name}`,
    "/mnt/cache",
    "tests/integration",
  ]);
});

Deno.test("vmEnv() asks for a compiler in the guest of --all", () => {
  const of = (all: boolean, ours?: string) =>
    vmEnv({ all }, ours)["VM_EXTRA_PACKAGES"];
  assertEquals(of(true, ""), "gcc libc6-dev");
  assertEquals(of(true, "socat"), "socat gcc libc6-dev");
  assertEquals(of(false, "socat"), undefined);
});

/** Runs scripts/vm.ts with a shell script in the place of `vm`. */
async function runVm(script: string, ...args: string[]) {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-vm-" });
  try {
    const vm = `${dir}/vm`;
    Deno.writeTextFileSync(vm, `#!/bin/sh\ncd ${dir}\n${script}\n`, {
      mode: 0o700,
    });
    const words = ["run", "-A", "--no-check", `${ROOT}/scripts/vm.ts`];
    return await runToEnd([Deno.execPath(), ...words, ...args], {
      env: { VM: vm },
    });
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

/** A guest whose kernel decides how the tests end. */
const GUEST = `case $3 in
6.1) echo 'ok | 3 passed | 0 failed | 1 ignored (2s)' ;;
*) echo 'FAILED | 2 passed | 1 failed | 1 ignored (2s)'; exit 1 ;;
esac`;

Deno.test("deno task vm: one kernel's failure is the end's, and each has a line", async () => {
  const { code, stdout } = await runVm(GUEST, "--all");
  assertEquals(code, 1);
  assertEquals(
    stdout.split("\n\n")[1],
    `Kernel 6.1: ok | 3 passed | 0 failed | 1 ignored (2s)
Kernel 6.12: FAILED | 2 passed | 1 failed | 1 ignored (2s)
`,
  );
  assertEquals((await runVm(GUEST)).code, 0);
});

Deno.test("deno task vm: a guest that failed is tried again, three times at most", async () => {
  const again =
    `[ -e once ] || { : >once; exit 125; }; echo "ok | 1 passed | 0 failed (1s)"`;
  assertEquals((await runVm(again)).code, 0);
  const { code, stdout, stderr } = await runVm("exit 125");
  assertEquals(code, 125);
  assertEquals(
    stdout,
    "\nKernel 6.1: exit code 125, and no closing line\n",
  );
  assertEquals(stderr.match(/^The guest failed/gm)?.length, 2);
});
