/** Tests of the generated check against the zod schema that it comes from. */

import { assert, assertEquals } from "@std/assert";
import type { z } from "zod";
import {
  checkProcess,
  checkResources,
  checkSeccomp,
  checkSpec,
} from "../mod/config/check.ts";
import type { Problem } from "../mod/config/problem.ts";
import {
  processSchema,
  resourcesSchema,
  seccompSchema,
  specSchema,
} from "../mod/config/schema.ts";
import { damageValue, makeValue, Random } from "./config/random.ts";

/** Returns a value for a failure message. */
function show(value: unknown): string {
  return JSON.stringify(
    value,
    (_, v) => typeof v === "bigint" ? `${v}n` : v,
    1,
  );
}

/** Asserts that both give one verdict; returns it. */
function compare(
  schema: z.ZodType,
  check: (value: unknown) => Problem[],
  value: unknown,
): boolean {
  const parsed = schema.safeParse(value);
  const problems = check(value);
  assertEquals(
    problems.length === 0,
    parsed.success,
    `zod: ${parsed.error?.message}\ncheck: ${show(problems)}\n${show(value)}`,
  );
  return parsed.success;
}

/** Paths of a problem list, as zod writes them. */
function zodPaths(schema: z.ZodType, value: unknown): Set<string> {
  const paths = new Set<string>();
  for (const issue of schema.safeParse(value).error?.issues ?? []) {
    let path = "";
    for (const part of issue.path) {
      path += typeof part === "number"
        ? `[${part}]`
        : /^[A-Za-z_]\w*$/.test(String(part))
        ? `${path === "" ? "" : "."}${String(part)}`
        : `[${JSON.stringify(part)}]`;
    }
    paths.add(path);
  }
  return paths;
}

const SUBJECTS = [
  ["checkSpec", specSchema, checkSpec, 2000],
  ["checkProcess", processSchema, checkProcess, 1000],
  ["checkResources", resourcesSchema, checkResources, 1000],
  ["checkSeccomp", seccompSchema, checkSeccomp, 500],
] as const;

for (const [name, schema, check, rounds] of SUBJECTS) {
  Deno.test(`${name}() accepts ${rounds} random valid values as zod does`, () => {
    for (let seed = 1; seed <= rounds; seed++) {
      const value = makeValue(new Random(seed), schema);
      assert(compare(schema, check, value), `seed ${seed}: ${show(value)}`);
    }
  });

  Deno.test(`${name}() gives zod's verdict on ${rounds} damaged values`, () => {
    let refused = 0;
    for (let seed = 1; seed <= rounds; seed++) {
      const random = new Random(seed);
      const value = makeValue(random, schema) as Record<string, unknown>;
      if (Object.keys(value).length === 0) continue;
      for (let n = random.below(2); n >= 0; n--) {
        damageValue(random, value);
        if (Object.keys(value).length === 0) break;
      }
      if (!compare(schema, check, value)) refused++;
    }
    assert(refused > rounds / 3, `only ${refused} of ${rounds} were refused`);
  });
}

Deno.test("checkSpec() names the places that zod names, of 2000 damaged values", () => {
  for (let seed = 1; seed <= 2000; seed++) {
    const random = new Random(seed);
    const value = makeValue(random, specSchema);
    damageValue(random, value);
    assertEquals(
      new Set(checkSpec(value).map(({ path }) => path)),
      zodPaths(specSchema, value),
      show(value),
    );
  }
});

/** A configuration with nothing optional in it. */
const SMALL = { ociVersion: "1.3.0", root: { path: "rootfs" } };

for (const value of [undefined, null, 1, "a", true, [], {}, SMALL]) {
  Deno.test(`checkSpec() gives zod's verdict on ${show(value)}`, () => {
    compare(specSchema, checkSpec, value);
  });
}

const MESSAGES: [what: string, spec: unknown, path: string, message: string][] =
  [
    ["no object", 5, "", "must be an object: found 5"],
    [
      "no version",
      { root: { path: "" } },
      "ociVersion",
      "must be a string: found nothing",
    ],
    [
      "a number for text",
      { ...SMALL, mounts: [{ destination: 5 }] },
      "mounts[0].destination",
      "must be a string: found 5",
    ],
    [
      "NUL in text",
      { ...SMALL, hostname: "a\0b" },
      "hostname",
      'must be a string without NUL: found "a\\u0000b"',
    ],
    [
      "text for a flag",
      { ...SMALL, process: { cwd: "/", terminal: "yes" } },
      "process.terminal",
      'must be true or false: found "yes"',
    ],
    [
      "a small integer too large",
      { ...SMALL, process: { cwd: "/", user: { uid: 4294967296 } } },
      "process.user.uid",
      "must be an integer from 0 to 4294967295: found 4294967296",
    ],
    [
      "a fraction",
      { ...SMALL, linux: { resources: { pids: { limit: 1.5 } } } },
      "linux.resources.pids.limit",
      "must be an integer from -9223372036854775808 to 9223372036854775807: found 1.5",
    ],
    [
      "2^64",
      {
        ...SMALL,
        process: {
          cwd: "/",
          rlimits: [{
            type: "RLIMIT_NOFILE",
            soft: 1,
            hard: 18446744073709551616n,
          }],
        },
      },
      "process.rlimits[0].hard",
      "must be an integer from 0 to 18446744073709551615: found 18446744073709551616",
    ],
    [
      "an unknown word",
      { ...SMALL, linux: { personality: { domain: "BSD" } } },
      "linux.personality.domain",
      'must be one of "LINUX", "LINUX32": found "BSD"',
    ],
    [
      "an object for a list",
      { ...SMALL, mounts: {} },
      "mounts",
      "must be a list: found an object",
    ],
    [
      "a list for an object",
      { ...SMALL, linux: { sysctl: ["a"] } },
      "linux.sysctl",
      "must be an object: found a list",
    ],
    [
      "a number in a map",
      { ...SMALL, linux: { sysctl: { "net.core.somaxconn": 1 } } },
      'linux.sysctl["net.core.somaxconn"]',
      "must be a string: found 1",
    ],
    [
      "null in a list",
      { ...SMALL, mounts: [null] },
      "mounts[0]",
      "must be an object: found null",
    ],
    [
      "long text",
      { ...SMALL, linux: { personality: { domain: "x".repeat(100) } } },
      "linux.personality.domain",
      `must be one of "LINUX", "LINUX32": found "${"x".repeat(80)}..."`,
    ],
  ];

for (const [what, spec, path, message] of MESSAGES) {
  Deno.test(`checkSpec() words ${what}`, () => {
    const problems = checkSpec(spec);
    assertEquals(
      problems.slice(0, 1).map((p) => [p.path, p.message]),
      [[path, message]],
    );
  });
}

Deno.test("checkSpec() reports every problem with clause and advice", () => {
  assertEquals(
    checkSpec({
      root: {},
      hostname: 1,
      linux: { seccomp: { defaultAction: "ALLOW", syscalls: [{ names: "" }] } },
    }).map((p) => [p.path, p.clause, p.instead]),
    [
      [
        "ociVersion",
        "config.md#specification-version",
        "add it: the specification requires this property",
      ],
      [
        "root.path",
        "config.md#root",
        "add it: the specification requires this property",
      ],
      ["hostname", "config.md#hostname", "write text in double quotes"],
      [
        "linux.seccomp.defaultAction",
        "config-linux.md#seccomp",
        "write one of these words, as shown",
      ],
      [
        "linux.seccomp.syscalls[0].names",
        "config-linux.md#seccomp",
        "write a list: [...]",
      ],
      [
        "linux.seccomp.syscalls[0].action",
        "config-linux.md#seccomp",
        "add it: the specification requires this property",
      ],
    ],
  );
});

Deno.test("checkResources() names places below linux.resources", () => {
  assertEquals(
    checkResources({ cpu: { shares: "1" } }).map((p) => [
      p.path,
      p.clause,
      p.instead,
    ]),
    [[
      "linux.resources.cpu.shares",
      "config-linux.md#cpu",
      "write the number without quotes",
    ]],
  );
});

Deno.test("checkResources() speaks of the range where a wide integer is exact", () => {
  assertEquals(
    checkResources({ cpu: { shares: -1 } }).map((p) => [p.message, p.instead]),
    [[
      "must be an integer from 0 to 18446744073709551615: found -1",
      "write an integer of that range",
    ]],
  );
});

Deno.test("checkProcess() names places below process", () => {
  assertEquals(checkProcess({}).map((p) => p.path), ["process.cwd"]);
});

Deno.test("checkSeccomp() takes a number of 2^53 as a bigint only", () => {
  const profile = (value: number | bigint) => ({
    defaultAction: "SCMP_ACT_ALLOW",
    syscalls: [{
      names: ["read"],
      action: "SCMP_ACT_ERRNO",
      args: [{ index: 0, value, op: "SCMP_CMP_EQ" }],
    }],
  });
  assertEquals(checkSeccomp(profile(9007199254740992n)), []);
  assertEquals(
    checkSeccomp(profile(9007199254740992)).map((p) => [p.message, p.instead]),
    [[
      "must be an integer from 0 to 18446744073709551615: found 9007199254740992",
      "write it as a bigint: a number of this size is not exact",
    ]],
  );
});
