/**
 * What the security manager looks up: capabilities, limits, users, programs, CPUs.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { ContainerError } from "../mod/errors.ts";
import type { Config } from "../mod/config/config.ts";
import type { Process } from "../mod/config/schema.ts";
import {
  encodeSet,
  execCandidates,
  formatCapabilities,
  resolveCapabilities,
  resolveUser,
  rlimitsOf,
  type Warning,
} from "../mod/security.ts";
import {
  ALL_CAPS,
  makeConfig,
  makeFacts,
  UNPRIVILEGED,
} from "./manager_fixtures.ts";
import { of, USERNS } from "./security_room.ts";

Deno.test("resolveCapabilities() leaves out what cannot be granted and warns of it", () => {
  const config = makeConfig(of({
    capabilities: {
      bounding: ["CAP_KILL", "CAP_NEW", "CAP_SYS_RESOURCE", "CAP_NEW"],
      permitted: ["CAP_KILL"],
      effective: ["CAP_KILL", "CAP_CHOWN"],
      inheritable: ["CAP_CHOWN", "CAP_NEW"],
      ambient: ["CAP_KILL"],
    },
  }));
  const facts = makeFacts({ caps: ALL_CAPS & ~(1n << 24n) });
  assertEquals(resolveCapabilities(config, facts), {
    sets: {
      bounding: 32n,
      permitted: 32n,
      effective: 32n,
      inheritable: 0n,
      ambient: 0n,
    },
    warnings: [
      [
        'Cannot grant the capability "CAP_NEW": it is not known (process.capabilities.bounding, inheritable)',
        false,
      ],
      [
        "Cannot grant CAP_SYS_RESOURCE: the caller does not have it (process.capabilities.bounding)",
        false,
      ],
      [
        "Cannot grant CAP_CHOWN: it is not permitted (process.capabilities.effective)",
        true,
      ],
      [
        "Cannot grant CAP_CHOWN: it is not in the bounding set (process.capabilities.inheritable)",
        true,
      ],
      [
        "Cannot grant CAP_KILL: it is not both permitted and inheritable (process.capabilities.ambient)",
        true,
      ],
    ].map(([message, quiet]) => ({ message, quiet })) as Warning[],
  });
});

for (
  const [mode, flags, warned] of [
    ["oci", [], 1],
    ["friendly", [], 0],
    ["friendly", [["process.capabilities", "--cap-add KILL"]], 1],
  ] as const
) {
  Deno.test(`resolveCapabilities() in ${mode} mode with ${flags.length} flags`, () => {
    const config = makeConfig(
      of({ capabilities: { bounding: ["CAP_KILL"] } }),
      {
        mode,
        flags: new Map(flags),
      },
    );
    const facts = makeFacts({ caps: 0n });
    assertEquals(resolveCapabilities(config, facts).warnings.length, warned);
  });
}

Deno.test("resolveCapabilities() grants every capability in a new user namespace", () => {
  const names = formatCapabilities(ALL_CAPS);
  const config = makeConfig({
    ...USERNS,
    ...of({ capabilities: { bounding: names, permitted: names } }),
  });
  const { sets, warnings } = resolveCapabilities(
    config,
    makeFacts(UNPRIVILEGED),
  );
  assertEquals([sets.bounding, sets.permitted], [ALL_CAPS, ALL_CAPS]);
  assertEquals(warnings, []);
});

const limit = (type: string, soft: number | bigint, hard: number | bigint) => ({
  type,
  soft,
  hard,
});

Deno.test("rlimitsOf() keeps 64-bit values and gives back the caller's NOFILE", () => {
  const config = makeConfig(of({
    rlimits: [limit("RLIMIT_CORE", 0, 18446744073709551615n)],
  }));
  assertEquals(
    rlimitsOf(config, makeFacts(), { soft: 512n, hard: 20000n }),
    [
      {
        name: "RLIMIT_CORE",
        resource: 4,
        soft: 0n,
        hard: 18446744073709551615n,
        from: "process.rlimits[0]",
      },
      { name: "RLIMIT_NOFILE", resource: 7, soft: 512n, hard: 20000n },
    ],
  );
});

const BAD_LIMITS: [Process["rlimits"], string][] = [
  [
    [limit("RLIMIT_X", 1, 1)],
    'Cannot set the limit "RLIMIT_X": no such limit (process.rlimits[0])',
  ],
  [
    [limit("RLIMIT_AS", 1, 1), limit("RLIMIT_AS", 1, 1)],
    'Cannot set the limit "RLIMIT_AS": it is listed twice (process.rlimits[1])',
  ],
  [
    [limit("RLIMIT_AS", 2, 1)],
    'Cannot set the limit "RLIMIT_AS": the soft value 2 is above the hard value 1 (process.rlimits[0])',
  ],
];

for (const [rlimits, message] of BAD_LIMITS) {
  Deno.test(`rlimitsOf() says: ${message}`, () => {
    const config = makeConfig(of({ rlimits: rlimits! }));
    const error = assertThrows(
      () => rlimitsOf(config, makeFacts()),
      ContainerError,
    );
    assertEquals(error.message, message);
  });
}

const FILES: Record<string, string> = {
  "/etc/passwd":
    "root:x:0:0::/root:/bin/sh\n1000:x:0:0::/evil:/bin/sh\napp:x:7:8:An app:/home/app:/bin/sh\nbroken:x:y:1::/:/\n",
  "/etc/group": "root:x:0:\nstaff:x:50:app,other\napp:x:8:app\nextra:x:9:app\n",
};

const USERS: [string | undefined, Partial<Process>, string][] = [
  [undefined, {}, "0:0 [] /root"],
  [undefined, { user: { uid: 1000, gid: 3 } }, "1000:3 [] /"],
  [undefined, { user: { uid: 7, additionalGids: [4] } }, "7:0 [4] /home/app"],
  ["app", {}, "7:8 [50,9] /home/app"],
  ["app:staff", {}, "7:50 [] /home/app"],
  ["app:3", {}, "7:3 [] /home/app"],
  ["1000:staff", {}, "1000:50 [] /"],
  [":staff", {}, "0:50 [] /root"],
];

for (const [userName, process, expected] of USERS) {
  Deno.test(`resolveUser() finds ${userName ?? JSON.stringify(process)}`, () => {
    const changes: Partial<Config> = userName === undefined ? {} : { userName };
    const config = makeConfig(of(process), changes);
    const user = resolveUser(config, (path) => FILES[path]);
    assertEquals(
      `${user.uid}:${user.gid} [${user.additionalGids}] ${user.home}`,
      expected,
    );
  });
}

const NO_USERS: [string, string][] = [
  [
    "nobody",
    'Cannot run as the user "nobody": /etc/passwd in "/bundle/rootfs" has no such name',
  ],
  [
    "broken",
    'Cannot run as the user "broken": /etc/passwd in "/bundle/rootfs" has no such name',
  ],
  [
    "app:none",
    'Cannot run as the group "none": /etc/group in "/bundle/rootfs" has no such name',
  ],
  [
    "4294967295",
    'Cannot run as the user "4294967295": /etc/passwd in "/bundle/rootfs" has no such name',
  ],
];

for (const [userName, message] of NO_USERS) {
  Deno.test(`resolveUser() refuses ${userName}`, () => {
    const config = makeConfig(of({}), { userName });
    const error = assertThrows(
      () => resolveUser(config, (path) => FILES[path]),
      ContainerError,
    );
    assertEquals(error.message, message);
  });
}

Deno.test("resolveUser() works without passwd and group", () => {
  const user = resolveUser(makeConfig(of({})), () => undefined);
  assertEquals(user.home, "/");
});

const CANDIDATES: [string, string[], string[]][] = [
  ["/bin/sh", ["PATH=/x"], ["/bin/sh"]],
  ["./a", [], ["./a"]],
  ["a", ["PATH=/x:/y", "PATH=/z"], ["/z/a"]],
  ["a", ["PATH="], ["./a"]],
];

for (const [name, env, expected] of CANDIDATES) {
  Deno.test(`execCandidates() tries ${expected} for ${name} with ${env}`, () => {
    assertEquals(
      execCandidates(makeConfig(of({ args: [name], env }))),
      expected,
    );
  });
}

Deno.test("execCandidates() has a PATH where the environment has none", () => {
  assertEquals(execCandidates(makeConfig(of({ args: ["a"] }))).length, 6);
});

const BAD_SETS: string[] = ["", "a", "1-", "3-2", "8192", "0,,1"];

for (const list of BAD_SETS) {
  Deno.test(`encodeSet() refuses "${list}"`, () => {
    assertThrows(() => encodeSet(list, "key"), ContainerError);
  });
}

Deno.test("resolveCapabilities() says once, and by its flag, what friendly mode cannot grant", () => {
  const caps = ["CAP_KILL", "CAP_SYS_RESOURCE"];
  const sets = { bounding: caps, effective: caps, permitted: caps };
  const config = makeConfig(of({ capabilities: sets }), {
    mode: "friendly",
    flags: new Map([["process.capabilities", "--cap-add SYS_RESOURCE"]]),
  });
  const facts = makeFacts({ caps: ALL_CAPS & ~(1n << 24n) });
  assertEquals(resolveCapabilities(config, facts).warnings, [{
    message:
      "Cannot grant CAP_SYS_RESOURCE: the caller does not have it (--cap-add SYS_RESOURCE)",
    quiet: false,
  }]);
});
