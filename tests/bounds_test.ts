/**
 * What --timeout and --result-fd come to: values, operations, counters.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { listMeasured } from "../mod/cgroups/measured.ts";
import { checkMaxOutput, readBounds } from "../mod/config/flags/bounds.ts";
import { checkResultFd, readResultFd } from "../mod/config/flags/result_fd.ts";
import type { Flags } from "../mod/config/flags/use.ts";
import type { KeeperWords } from "../mod/container/launch/keeper.ts";
import { planBounds } from "../mod/container/launch/result.ts";
import { ContainerError } from "../mod/errors.ts";

function makeFlags(flags: Record<string, string | true>): Flags {
  return new Map(
    Object.entries(flags).map(([name, value]) => [
      name,
      [{ value, typed: `--${name} ${value}` }],
    ]),
  );
}

for (
  const [text, ms] of [
    ["10", 10_000],
    ["0.5", 500],
    ["250ms", 250],
    ["1h30m", 5_400_000],
    ["1ns", 1],
    ["00001s", 1000],
  ] as const
) {
  Deno.test(`readBounds() of --timeout ${text} is ${ms} ms`, () => {
    assertEquals(readBounds(makeFlags({ timeout: text }), true), {
      timeout: { ms, typed: `--timeout ${text}` },
    });
  });
}

for (
  const text of ["", "0", "0ms", "-1", "5x", "1e3", "s", "1s ", "9".repeat(20)]
) {
  Deno.test(`readBounds() refuses --timeout ${JSON.stringify(text)}`, () => {
    const error = assertThrows(
      () => readBounds(makeFlags({ timeout: text }), true),
      ContainerError,
    );
    assertEquals(error.code, "invalid-timeout");
  });
}

for (
  const [text, fd] of [
    ["3", 3],
    ["2147483647", 2147483647],
    ["2147483648", undefined],
    ["2", undefined],
    ["03", undefined],
    ["-3", undefined],
    ["", undefined],
  ] as const
) {
  Deno.test(`readResultFd() of ${JSON.stringify(text)} is ${fd}`, () => {
    assertEquals(readResultFd(makeFlags({ "result-fd": text })), fd);
  });
}

Deno.test("readBounds() wants somebody who stays", () => {
  for (const name of ["timeout", "max-output", "result-fd"]) {
    const flags = makeFlags({ [name]: "5", detach: true });
    assertThrows(() => readBounds(flags, false), ContainerError, name);
  }
  assertEquals(
    readBounds(makeFlags({ timeout: "5", detach: true }), true).timeout?.ms,
    5000,
  );
  assertEquals(readBounds(makeFlags({}), false), {});
});

Deno.test("checkResultFd() wants one that is open and nobody else's", () => {
  checkResultFd(undefined, 9, () => false);
  checkResultFd(5, 2, (fd) => fd === 5);
  assertThrows(() => checkResultFd(4, 2, () => true), ContainerError, "gets");
  assertThrows(() => checkResultFd(5, 2, () => false), ContainerError, "open");
});

for (
  const [text, bytes] of [["0", 0], ["512", 512], ["1m", 1 << 20]] as const
) {
  Deno.test(`readBounds() of --max-output ${text} is ${bytes}`, () => {
    assertEquals(readBounds(makeFlags({ "max-output": text }), true), {
      maxOutput: { bytes, typed: `--max-output ${text}` },
    });
  });
}

for (const text of ["", "-1", "x", "1x", "9".repeat(17)]) {
  Deno.test(`readBounds() refuses --max-output ${JSON.stringify(text)}`, () => {
    const error = assertThrows(
      () => readBounds(makeFlags({ "max-output": text }), true),
      ContainerError,
    );
    assertEquals(error.code, "invalid-max-output");
  });
}

Deno.test("checkMaxOutput() refuses a terminal", () => {
  const bounds = readBounds(makeFlags({ "max-output": "1" }), true);
  checkMaxOutput(bounds, false);
  checkMaxOutput({}, true);
  assertThrows(() => checkMaxOutput(bounds, true), ContainerError, "terminal");
});

const dir = (path: string, version: 1 | 2, controllers: string[]) => ({
  path,
  mount: "/sys/fs/cgroup",
  controllers,
  version,
});

Deno.test("listMeasured() takes v1's counters, else v2's", () => {
  const show = (dirs: Parameters<typeof listMeasured>[0]) =>
    listMeasured(dirs).map((it) =>
      `${it.what} ${it.file} ${it.key} ${it.unit}`
    );
  assertEquals(show([]), []);
  const v2 = dir("/u/box", 2, []);
  assertEquals(show([v2]), [
    "oom /u/box/memory.events oom_kill 1",
    "peak /u/box/memory.peak  1",
    "pids /u/box/pids.events max 1",
    "cpu /u/box/cpu.stat usage_usec 1000",
  ]);
  assertEquals(
    show([
      dir("/m/box", 1, ["memory"]),
      dir("/c/box", 1, ["cpu", "cpuacct"]),
      v2,
    ]),
    [
      "oom /m/box/memory.oom_control oom_kill 1",
      "peak /m/box/memory.max_usage_in_bytes  1",
      "cpu /c/box/cpuacct.usage  1000000",
      "pids /u/box/pids.events max 1",
    ],
  );
});

const WORDS: KeeperWords = {
  error: (error) => `${error.code}\n`,
  exit: (error) => error.exitCode,
  result: (error) => `{"${error.code}"}\n`,
};

Deno.test("planBounds() plans what was asked for", () => {
  const rlimit = (hard: bigint) => [
    { resource: 0, soft: 1n, hard, name: "cpu" },
  ];
  const plan = (
    rlimits: Parameters<typeof planBounds>[0]["rlimits"],
    bounds: Parameters<typeof planBounds>[1],
  ) =>
    planBounds(
      { rlimits, cgroup: { dirs: [] } } as unknown as Parameters<
        typeof planBounds
      >[0],
      bounds,
      WORDS,
    ).map((it) =>
      it.do === "kTime"
        ? [it.do, it.ms, it.exit, it.text]
        : it.do === "kOutput"
        ? [it.do, it.out, it.err, it.bytes, it.exit, it.text]
        : it.do === "kResult"
        ? [it.do, it.fd, it.cpu, it.signals[9], it.failed]
        : it
    );
  assertEquals(plan([], {}), []);
  assertEquals(plan([], { timeout: { ms: 5, typed: "--timeout 5ms" } }), [
    ["kTime", 5, 124, "time-limit\n"],
  ]);
  assertEquals(plan([], { maxOutput: { bytes: 5, typed: "--max-output 5" } }), [
    ["kOutput", "stdout", "stderr", 5, 137, "output-limit\n"],
  ]);
  const result = (cpu: bigint | number) => [
    ["kResult", "result", cpu, '"SIGKILL"', '{"start"}\n'],
  ];
  assertEquals(plan([], { resultFd: 7 }), result(-1));
  assertEquals(plan(rlimit(2n), { resultFd: 7 }), result(2n));
  assertEquals(
    plan(rlimit(0xffffffffffffffffn), { resultFd: 7 }),
    result(-1),
  );
});
