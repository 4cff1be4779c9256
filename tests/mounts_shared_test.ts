/**
 * A container in the caller's mount namespace: its plan, which leaves the
 * caller's mounts what they are, and what it cannot have.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import type { Config, Spec } from "../mod/config/config.ts";
import { ContainerError } from "../mod/errors.ts";
import type { Facts } from "../mod/host.ts";
import { type MountHost, planMounts } from "../mod/mounts.ts";
import {
  findBadNotes,
  makeConfig,
  makeFacts,
  makeHost,
  pickSteps,
  showPlan,
  UNPRIVILEGED,
} from "./manager_fixtures.ts";

const NONE: NonNullable<Spec["linux"]> = { namespaces: [{ type: "pid" }] };

function plan(
  spec: Partial<Spec>,
  changes: Partial<Config> = {},
  facts: Partial<Facts> = {},
  host: Partial<MountHost> = {},
) {
  return planMounts(
    makeConfig({ linux: NONE, ...spec }, changes),
    makeFacts(facts),
    makeHost(host),
  );
}

Deno.test("planMounts() attaches one private mount in the caller's mount namespace, and all else below it", () => {
  const phased = plan(
    {
      root: { path: "rootfs", readonly: true },
      mounts: [
        { destination: "/proc", type: "proc", source: "proc" },
        {
          destination: "/data",
          type: "bind",
          source: "/srv",
          options: ["rbind"],
        },
      ],
      linux: {
        ...NONE,
        maskedPaths: ["/proc/kcore"],
        readonlyPaths: ["/proc/sys"],
      },
    },
    {},
    {},
    { sources: new Map([[1, "directory"]]) },
  );
  assertEquals(showPlan({ ...phased, devices: [] }), [
    "# sources",
    "openTree null - /dev/null 1",
    "verify null 0x2000 0x103 0",
    "mountSetattr null - 0 1 0 0x40000 -",
    "# root",
    "fsmount empty tmpfs [source=tmpfs mode=0755 nr_blocks=1 nr_inodes=1] 1 0",
    "mountSetattr root - 0x8000 0 0 0x40000 -",
    "moveMount root place",
    "mountSetattr root - 0x8000 0 0 0x40000 -",
    "close place",
    "# mounts",
    "fsmount mount.0 proc [source=proc] 0 0",
    "mkdir root proc 0x1ed",
    "open target root proc 0x230000 0 0xe",
    "moveMount mount.0 target",
    "openTree mount.1 - /srv 0x8001",
    "target target root /data 1 0x1ed",
    "mountSetattr mount.1 - 0x8000 0 0 0x80000 -",
    "moveMount mount.1 target",
    "# pivot",
    "enter root",
    "# readonly",
    "readonly mount.0 sys root /proc/sys",
    "# masked",
    "mask mount.0 kcore root /proc/kcore null empty",
    "# rootReadonly",
    "mountSetattr root - 0 1 0 0 -",
  ]);
  assertEquals(findBadNotes(phased), []);
});

Deno.test("planMounts() changes no mount of the caller's, and moves onto none but the root's place", () => {
  const ops = Object.values(plan({
    mounts: [{ destination: "/tmp", type: "tmpfs", source: "tmpfs" }],
  })).flat();
  const touched = ops.filter((op) =>
    op.do === "mountSetattr" && op.path !== "" || op.do === "pivot" ||
    op.do === "chroot" || op.do === "unshare"
  );
  assertEquals(touched, []);
  assertEquals(
    ops.flatMap((op) => op.do === "moveMount" ? [op.onto] : []),
    ["place", "target"],
  );
});

for (
  const [word, lines] of [
    ["private", []],
    ["rprivate", []],
    ["unbindable", ["mountSetattr root - 0 0 0 0x20000 -"]],
    ["runbindable", ["mountSetattr root - 0x8000 0 0 0x20000 -"]],
  ] as const
) {
  Deno.test(`planMounts() gives rootfsPropagation ${word} in the caller's mount namespace`, () => {
    assertEquals(
      pickSteps(
        plan({ linux: { ...NONE, rootfsPropagation: word } }),
        "pivot",
      ),
      ["# pivot", "enter root", ...lines],
    );
  });
}

Deno.test("planMounts() enters by chroot with --no-pivot as without in the caller's mount namespace", () => {
  assertEquals(
    pickSteps(plan({}, { noPivot: true }), "root", "pivot"),
    pickSteps(plan({}), "root", "pivot"),
  );
});

const bind = (options: string[]): Partial<Spec> => ({
  mounts: [{ destination: "/v", type: "bind", source: "/srv", options }],
});

/** What cannot be had, and the clause that says so. */
const REFUSED: [
  string,
  Partial<Spec>,
  string,
  Partial<Config>?,
  Partial<Facts>?,
][] = [
  [
    "a new user namespace",
    { linux: { namespaces: [{ type: "user" }] } },
    "a process in another user namespace may not mount there",
  ],
  [
    "a joined user namespace",
    { linux: { namespaces: [{ type: "user", path: "/proc/1/ns/user" }] } },
    "a process in another user namespace may not mount there",
  ],
  [
    "a caller without CAP_SYS_ADMIN",
    {},
    "it takes CAP_SYS_ADMIN to mount there",
    {},
    UNPRIVILEGED,
  ],
  [
    "the caller's own root",
    {},
    "the container's mounts would lie on the caller's own (root.path \"/\")",
    { rootfs: "/" },
  ],
  [
    "a throw-away layer",
    {},
    "a throw-away layer and files of rustyrun's own need a place that nobody else sees",
    { ephemeral: { kind: "memory" } },
  ],
  ...["shared", "rshared", "slave", "rslave"].map((
    word,
  ): [string, Partial<Spec>, string] => [
    `rootfsPropagation ${word}`,
    { linux: { ...NONE, rootfsPropagation: word } },
    `nothing propagates between a mount namespace and itself (linux.rootfsPropagation "${word}")`,
  ]),
  ...["shared", "rshared"].map((word): [string, Partial<Spec>, string] => [
    `a volume that is ${word}`,
    bind(["rbind", word]),
    'what is mounted below a shared volume would stay on the host (mounts[0], "/v")',
  ]),
];

for (const [what, spec, why, changes, facts] of REFUSED) {
  Deno.test(`planMounts() refuses ${what} without a mount namespace`, () => {
    const error = assertThrows(
      () => plan(spec, changes, facts),
      ContainerError,
    );
    assertEquals(
      error.message,
      `Cannot set up the root file system in the caller's mount namespace: ${why}`,
    );
    assertEquals(error.code, "mount-namespace-missing");
    assertEquals(
      error.hint,
      'Add {"type":"mount"} to linux.namespaces: then the container has a mount namespace of its own',
    );
  });
}
