/**
 * What a failure means to the person who asked: for every row of (operation,
 * errno) the whole message, its hint, its code and its exit code. failure/ has the
 * rows.
 *
 * @module
 */

import { assert, assertEquals, assertMatch } from "@std/assert";
import { errnoNumber } from "../ffi/errno.ts";
import type { Config } from "../mod/config/config.ts";
import { ContainerError, suppress } from "../mod/errors.ts";
import { wordFailure, wordPlanError } from "../mod/failure.ts";
import { HelperDied, OperationError } from "../mod/process.ts";
import { makeConfig, makeFacts, UNPRIVILEGED } from "./manager_fixtures.ts";
import { COMMAND } from "./failure/command.ts";
import { NAMESPACES } from "./failure/namespaces.ts";
import { SETTINGS } from "./failure/settings.ts";
import { MOUNTS } from "./failure/mounts.ts";
import { TARGETS } from "./failure/targets.ts";
import { ROOT } from "./failure/root.ts";
import { PROCESS } from "./failure/process.ts";
import { chdir, type Row } from "./failure/row.ts";

/** A configuration that has all that the operations above come from. */
function configFor(row: Pick<Row, "op" | "userns" | "flags">): Config {
  const { op } = row;
  const command = op.do === "findExec"
    ? op.candidates[0]
    : op.do === "exec"
    ? op.argv[0]
    : "sh";
  return makeConfig({
    process: {
      args: [command ?? ""],
      cwd: "/",
      env: ["PATH=/usr/bin:/bin"],
      scheduler: { policy: "SCHED_FIFO" },
      apparmorProfile: "box-profile",
      selinuxLabel: "system_u:box",
    },
    mounts: [
      { destination: "/proc", type: "proc", source: "proc" },
      { destination: "/mnt", source: "/data" },
    ],
    linux: {
      namespaces: [
        { type: row.userns || op.do === "setgid" ? "user" : "time" },
        { type: "network", path: "/proc/9/ns/net" },
      ],
      personality: { domain: "LINUX32" },
      memoryPolicy: { mode: "MPOL_BIND" },
    },
  }, {
    files: [{ path: "/etc/hosts", data: "", mode: 0o644 }],
    flags: new Map(Object.entries(row.flags ?? {})),
  });
}

function wordRow(row: Omit<Row, "message" | "code">): ContainerError {
  return wordFailure(
    {
      op: row.op,
      errno: errnoNumber(row.errno) || Number(row.errno),
      detail: row.detail ?? 0,
      text: row.text ?? "",
    },
    configFor(row),
    makeFacts(row.facts ?? (row.user ? UNPRIVILEGED : {})),
    undefined,
    (path) => row.sysctls?.[path] ?? "",
  );
}

const ROWS: Record<string, Row> = {
  ...COMMAND,
  ...NAMESPACES,
  ...SETTINGS,
  ...MOUNTS,
  ...TARGETS,
  ...ROOT,
  ...PROCESS,
};

for (const [name, row] of Object.entries(ROWS)) {
  Deno.test(`wordFailure() ${row.op.do} ${row.errno}: ${name}`, () => {
    assertEquals(wordRow(row).toJSON(), {
      error: row.message,
      code: row.code,
      ...(row.hint === undefined ? {} : { hint: row.hint }),
      exitCode: row.exitCode ?? 125,
    });
  });
}

Deno.test("wordFailure() keeps to the house's style in every row", () => {
  for (const [name, { message, hint, code }] of Object.entries(ROWS)) {
    assertMatch(message, /^Cannot [^ ]/, name);
    assert(!/[.!]$/.test(message) && !/[.!]$/.test(hint ?? ""), name);
    assert(!/n't\b|'re\b|'ll\b/.test(`${message} ${hint}`), name);
    assertMatch(hint ?? "It", /^([A-Z/]|rustyrun )/, name);
    assertMatch(code, /^[a-z0-9]+(-[a-z0-9]+)*$/, name);
  }
});

Deno.test("wordFailure() has words for every operation and every errno", () => {
  const ops = Object.values(ROWS).map((row) => row.op);
  for (const it of ops) {
    for (let errno = 1; errno < 134; errno++) {
      for (const facts of [makeFacts(), makeFacts(UNPRIVILEGED)]) {
        const failure = { op: it, errno, detail: 0, text: "" };
        const { message, hint } = wordFailure(
          failure,
          configFor({ op: it }),
          facts,
        );
        assert(!/undefined|NaN|\[object/.test(`${message} ${hint ?? ""}`));
      }
    }
  }
});

Deno.test("wordFailure() keeps the cause", () => {
  const cause = new Error("below");
  const failure = { op: chdir(), errno: 2, detail: 0, text: "" };
  const error = wordFailure(
    failure,
    configFor({ op: chdir() }),
    makeFacts(),
    cause,
  );
  assert(error.cause === cause);
});

const config = makeConfig();

Deno.test("wordPlanError() words an operation that failed", () => {
  const cause = new OperationError(chdir(), {
    kind: 1,
    index: 3,
    errno: 13,
    detail: 0,
    text: "/srv",
  });
  // What failed after it is told after it.
  const after = new Error("clean-up");
  suppress(cause, after);
  const error = wordPlanError(cause, config, makeFacts());
  assert(error instanceof ContainerError && error.cause === cause);
  assertEquals(error.suppressed, [after]);
  assertEquals(
    error.message,
    'Cannot use "/srv" as the working directory (process.cwd): chdir: EACCES (permission denied)',
  );
});

for (
  const [name, signal, oom, message, code, hint] of [
    [
      "that a signal killed",
      11,
      false,
      "Cannot start the container: signal 11 killed the helper",
      "helper-died",
      "The kernel's log (dmesg) may say more",
    ],
    [
      "that ended by itself",
      0,
      false,
      "Cannot start the container: the helper ended without a reason",
      "helper-died",
      "The kernel's log (dmesg) may say more",
    ],
    [
      "that its memory limit killed",
      9,
      true,
      "Cannot start the container: its memory limit killed it before the command ran",
      "memory-limit",
      "Give it more: --memory",
    ],
  ] as const
) {
  Deno.test(`wordPlanError() words a helper ${name}`, () => {
    const died = new HelperDied(signal);
    const after = new Error("clean-up");
    suppress(died, after);
    const error = wordPlanError(died, config, makeFacts(), oom);
    assert(error instanceof ContainerError);
    assertEquals(error.suppressed, [after]);
    assertEquals(error.toJSON(), { error: message, code, hint, exitCode: 125 });
  });
}

Deno.test("wordPlanError() names the limit that leaves a helper no time", () => {
  const limited = makeConfig({
    process: {
      cwd: "/",
      rlimits: [{ type: "RLIMIT_CPU", soft: 0, hard: 0 }],
    },
  });
  const error = wordPlanError(new HelperDied(9), limited, makeFacts());
  assert(error instanceof ContainerError);
  assertEquals(
    error.hint,
    "The limit process.rlimits[0]: RLIMIT_CPU 0 is in seconds of processor time, and may leave too little to start a program",
  );
});

Deno.test("wordPlanError() lets other errors pass", () => {
  for (const it of [new TypeError("x"), "text", undefined]) {
    assertEquals(wordPlanError(it, config, makeFacts()), it);
  }
});
