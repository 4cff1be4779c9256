/**
 * Which devices a process gets as its streams, and how they are had so that the
 * host's cannot be changed by them.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import type { Config, Spec } from "../mod/config/config.ts";
import { planStdio } from "../mod/container/launch/stdio.ts";
import type { Caller } from "../mod/caller.ts";
import { ContainerError } from "../mod/errors.ts";
import type { Facts } from "../mod/host.ts";
import {
  makeConfig,
  makeFacts,
  showPlan,
  UNPRIVILEGED,
} from "./manager_fixtures.ts";

const OTHER: Caller["streams"] = ["other", "other", "other"];
const FRESH: Partial<Spec> = {
  mounts: [{ destination: "/dev", type: "tmpfs" }],
};

function plan(
  spec: Partial<Spec>,
  { streams = OTHER, facts = {}, config = {} }: {
    streams?: Caller["streams"];
    facts?: Partial<Facts>;
    config?: Partial<Config>;
  } = {},
): string[] {
  return showPlan(
    planStdio(
      makeConfig(
        { process: { cwd: "/", args: ["sh"] }, ...spec },
        { stdin: true, ...config },
      ),
      makeFacts(facts),
      streams,
    ),
  );
}

/** A null device with a node of its own. */
const OWN = [
  "# sources",
  "fsmount devices tmpfs [source=tmpfs mode=0755] 0xa 0",
  "mkdir devices dev 0x1ed",
  "open dev devices dev 0x210000 0 4",
  "mknod dev null 0x21b6 0x103 0 0",
  "open stdio.null dev null 2 0 4",
  "verify stdio.null 0x2000 0x103 0",
];
/** The host's, which nobody can change by it. */
const READONLY = [
  "# sources",
  "openTree devices - /dev 0x8001",
  "mountSetattr devices - 0x8000 1 0 0 -",
  "open stdio.null devices null 2 0 4",
  "verify stdio.null 0x2000 0x103 0",
];
/** The host's. */
const HOST = [
  "# sources",
  "open stdio.null - /dev/null 2 0 0",
  "verify stdio.null 0x2000 0x103 0",
];

const DUP = ["dup stdio.null 0"];

Deno.test("planStdio() leaves files, pipes and terminals alone", () => {
  assertEquals(plan(FRESH, { streams: ["terminal", "other", "closed"] }), []);
});

Deno.test("planStdio() without -i has a null device of its own where there is no /dev", () => {
  assertEquals(plan({}, { config: { stdin: false } }), [...OWN, ...DUP]);
});

Deno.test("planStdio() takes each device of the container's own /dev once", () => {
  const streams = ["null", "urandom", "null"] as const;
  for (const destination of ["/dev", "/dev/"]) {
    assertEquals(
      plan({ mounts: [{ destination, type: "tmpfs" }] }, { streams }),
      [
        "# console",
        "open stdio.null root dev/null 2 0 0x12",
        "verify stdio.null 0x2000 0x103 0",
        "open stdio.urandom root dev/urandom 2 0 0x12",
        "verify stdio.urandom 0x2000 0x109 0",
        "dup stdio.null 0",
        "dup stdio.urandom 1",
        "dup stdio.null 2",
      ],
    );
  }
});

Deno.test("planStdio() with a terminal lets go of the caller's streams at once", () => {
  const process = { cwd: "/", args: ["sh"], terminal: true };
  assertEquals(plan({ ...FRESH, process }, { streams: ["zero", ...OTHER] }), [
    ...OWN,
    "dup stdio.null 0",
    "dup stdio.null 1",
    "dup stdio.null 2",
  ]);
});

/** A user namespace with these ids of the host. */
const mapped = (hostID: number): Partial<Spec> => ({
  linux: {
    namespaces: [{ type: "user" }, { type: "pid" }, { type: "mount" }],
    uidMappings: [{ containerID: 0, hostID, size: 65536 }],
    gidMappings: [{ containerID: 0, hostID, size: 65536 }],
  },
});

/** The host's directory, or another. */
const BOUND: Partial<Spec> = {
  mounts: [{ destination: "/dev", source: "/d", options: ["bind"] }],
};
/** The container's own, bound in its mount namespace. */
const INSIDE = [
  "# console",
  "open stdio.null root dev/null 2 0 0x12",
  "verify stdio.null 0x2000 0x103 0",
];

/** Root without CAP_MKNOD. */
const NO_MKNOD = { caps: makeFacts().caps & ~(1n << 27n) };
const owner = Deno.statSync("/dev/null").uid!;

for (
  const [name, spec, facts, want] of [
    ["root", mapped(owner), {}, OWN],
    ["root that may make no node", {}, NO_MKNOD, READONLY],
    ["an owner inside", mapped(owner), NO_MKNOD, READONLY],
    ["no owner inside", mapped(owner + 1), NO_MKNOD, HOST],
    ["a user", mapped(owner), UNPRIVILEGED, INSIDE],
    [
      "a user whose container has not the owner",
      {
        ...mapped(owner + 1),
        ...BOUND,
      },
      UNPRIVILEGED,
      HOST,
    ],
    ["a user namespace's root", {}, { inUserns: true }, READONLY],
    [
      "ids that are not known",
      {
        linux: { namespaces: [{ type: "user", path: "/proc/1/ns/user" }] },
      },
      NO_MKNOD,
      READONLY,
    ],
  ] as [string, Partial<Spec>, Partial<Facts>, string[]][]
) {
  Deno.test(`planStdio() for ${name}`, () => {
    const streams = ["null", "other", "other"] as const;
    assertEquals(plan(spec, { facts, streams }), [...want, ...DUP]);
  });
}

Deno.test("planStdio() has a user's terminal wait with the host's", () => {
  const process = { cwd: "/", args: ["sh"], terminal: true };
  assertEquals(
    plan({ ...mapped(owner), process }, { facts: UNPRIVILEGED }),
    [...HOST, "dup stdio.null 0", "dup stdio.null 1", "dup stdio.null 2"],
  );
});

Deno.test("planStdio() refuses where the container could change the host's device", () => {
  const error = assertThrows(
    () =>
      plan({ ...mapped(owner), ...BOUND }, {
        facts: UNPRIVILEGED,
        config: { stdin: false },
      }),
    ContainerError,
  );
  assertEquals(error.code, "device-owner");
  assertEquals(
    error.message,
    `Cannot give the command a device of its own: it could change the host's "/dev/null", whose owner it may be`,
  );
});
