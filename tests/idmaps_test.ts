/**
 * Which ids a user namespace gets, and from whom.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { ContainerError } from "../mod/errors.ts";
import { parseSubordinateIds, resolveIdMaps } from "../mod/namespaces.ts";
import type { SubordinateIds } from "../mod/namespaces/idmaps.ts";
import { makeConfig, makeFacts, UNPRIVILEGED } from "./manager_fixtures.ts";

const MAPS = {
  uidMappings: [{ containerID: 0, hostID: 100000, size: 65536 }],
  gidMappings: [{ containerID: 0, hostID: 100000, size: 65536 }],
};

Deno.test("parseSubordinateIds() finds a user by name and by number", () => {
  const text = "a:100000:65536\n1000:5:7\nb:1:1\nbad:x:1\na:9:0\n";
  assertEquals(parseSubordinateIds(text, "a", 1000), [
    { start: 100000, size: 65536 },
    { start: 5, size: 7 },
  ]);
});

const RANGE = [{ start: 100000, size: 65536 }];

const NONE = { uids: [], gids: [], tools: false };

const MANY = { uids: RANGE, gids: RANGE, tools: true };

/** The caller is in group 1000. */
const OTHER_GROUP = { ...MANY, loginGid: 100 };

const IDS: [
  string,
  "auto" | "keep-id",
  SubordinateIds,
  Parameters<typeof makeFacts>[0],
  number[][],
  string,
][] = [
  [
    "the caller alone as root",
    "auto",
    NONE,
    UNPRIVILEGED,
    [[0, 1000, 1]],
    "direct deny",
  ],
  [
    "the caller as root and a range after it",
    "auto",
    MANY,
    UNPRIVILEGED,
    [[0, 1000, 1], [1, 100000, 65536]],
    "tools allow",
  ],
  [
    "the caller as root and a range after it, in its login's group",
    "auto",
    { ...MANY, loginGid: 1000 },
    UNPRIVILEGED,
    [[0, 1000, 1], [1, 100000, 65536]],
    "tools allow",
  ],
  [
    "the caller alone where newuidmap would refuse its group",
    "auto",
    OTHER_GROUP,
    UNPRIVILEGED,
    [[0, 1000, 1]],
    "direct deny",
  ],
  [
    "the caller alone as itself where newuidmap would refuse its group",
    "keep-id",
    OTHER_GROUP,
    UNPRIVILEGED,
    [[1000, 1000, 1]],
    "direct deny",
  ],
  [
    "a range for root in any group",
    "auto",
    { ...MANY, loginGid: 100 },
    {},
    [[0, 100000, 65536]],
    "direct allow",
  ],
  [
    "the caller alone as itself",
    "keep-id",
    NONE,
    UNPRIVILEGED,
    [[1000, 1000, 1]],
    "direct deny",
  ],
  [
    "the caller as itself within a range",
    "keep-id",
    MANY,
    UNPRIVILEGED,
    [[0, 100000, 1000], [1000, 1000, 1], [1001, 101000, 64536]],
    "tools allow",
  ],
  [
    "a range and not root itself for root",
    "auto",
    MANY,
    {},
    [[0, 100000, 65536]],
    "direct allow",
  ],
];

for (const [name, userns, subordinate, facts, maps, writer] of IDS) {
  Deno.test(`resolveIdMaps() maps ${name}`, () => {
    const config = makeConfig(
      { linux: { namespaces: [{ type: "user" }] } },
      { userns },
    );
    const found = resolveIdMaps(config, makeFacts(facts), subordinate);
    assertEquals(
      found?.uidMappings.map((it) => [it.containerID, it.hostID, it.size]),
      maps,
    );
    assertEquals(`${found?.writer} ${found?.setgroups}`, writer);
  });
}

Deno.test("resolveIdMaps() does not give root's own id away", () => {
  const error = assertThrows(
    () =>
      resolveIdMaps(
        makeConfig({ linux: { namespaces: [{ type: "user" }] } }, {
          userns: "auto",
        }),
        makeFacts({}),
        NONE,
      ),
    ContainerError,
  );
  assertEquals(
    [error.message, error.code],
    [
      "Cannot choose ids for the user namespace (--userns auto): /etc/subuid and /etc/subgid give root none, and its own would be root outside as well",
      "subordinate-ids-missing",
    ],
  );
});

Deno.test("resolveIdMaps() says that newuidmap refuses the caller's group", () => {
  const config = makeConfig({
    linux: { namespaces: [{ type: "user" }], ...MAPS },
  });
  const error = assertThrows(
    () => resolveIdMaps(config, makeFacts(UNPRIVILEGED), OTHER_GROUP),
    ContainerError,
  );
  assertEquals([error.message, error.code, error.hint], [
    "Cannot map more than the caller's own id: newuidmap and newgidmap want the group of its login, 100, and it is in 1000",
    "newuidmap-group",
    "Call rustyrun in that group (newgrp, sg), map a single id, or let root set GRANT_AUX_GROUP_SUBIDS to yes in /etc/login.defs",
  ]);
});

Deno.test("resolveIdMaps() wants newuidmap for a range of an unprivileged caller", () => {
  const config = makeConfig({
    linux: { namespaces: [{ type: "user" }], ...MAPS },
  });
  const error = assertThrows(
    () => resolveIdMaps(config, makeFacts(UNPRIVILEGED), NONE),
    ContainerError,
  );
  assertEquals(
    error.message,
    "Cannot map more than the caller's own id: newuidmap and newgidmap are not installed",
  );
});
