/**
 * Mounts that are refused.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { ContainerError } from "../mod/errors.ts";
import type { Spec } from "../mod/config/schema.ts";
import { plan, USERNS } from "./mounts_fixtures.ts";

const REFUSED: [string, Partial<Spec>, string][] = [
  [
    "a mount over the root",
    {
      mounts: [{ destination: "/a/..", type: "tmpfs", source: "t" }],
    },
    'Cannot mount "t" on "/a/..": it would lie over the whole root file system (mounts[0])',
  ],
  [
    "the type bind alone",
    {
      mounts: [{ destination: "/a", type: "bind", source: "/s" }],
    },
    'Cannot mount "/s" on "/a": the type "bind" alone makes no bind mount (mounts[0])',
  ],
  ["no type", {
    mounts: [{ destination: "/a", source: "/s" }],
  }, 'Cannot mount "/s" on "/a": it has no type (mounts[0])'],
  [
    "a tmpfs on /proc",
    {
      mounts: [{ destination: "proc", type: "tmpfs" }],
    },
    'Cannot mount "tmpfs" on "proc": only a file system of the type "proc" may be on /proc (mounts[0])',
  ],
  [
    "a mount inside /proc",
    {
      mounts: [{ destination: "/proc/self/attr", type: "tmpfs" }],
    },
    'Cannot mount "tmpfs" on "/proc/self/attr": it would lie inside /proc (mounts[0])',
  ],
  ["a missing source", {
    mounts: [{ destination: "/a", source: "s", options: ["bind"] }],
  }, 'Cannot mount "s" on "/a": no such file or directory (mounts[0])'],
  [
    "one id mapping of two",
    {
      mounts: [{
        destination: "/a",
        source: "/s",
        options: ["bind"],
        uidMappings: [{ containerID: 0, hostID: 0, size: 1 }],
      }],
    },
    'Cannot mount "/s" on "/a": only one of uidMappings and gidMappings is given (mounts[0])',
  ],
  ["idmap without a mapping", {
    mounts: [{ destination: "/a", type: "ext4", options: ["idmap"] }],
  }, 'Cannot mount "ext4" on "/a": "idmap" has no mapping to use (mounts[0])'],
  ["tmpcopyup of another type", {
    mounts: [{ destination: "/a", type: "ext4", options: ["tmpcopyup"] }],
  }, 'Cannot mount "ext4" on "/a": tmpcopyup is for a tmpfs only (mounts[0])'],
  ...["bind", "remount"].map((word): [string, Partial<Spec>, string] => [
    `tmpcopyup with ${word}`,
    {
      mounts: [{
        destination: "/a",
        type: "tmpfs",
        options: [word, "tmpcopyup"],
      }],
    },
    'Cannot mount "tmpfs" on "/a": tmpcopyup is for a tmpfs only (mounts[0])',
  ]),
  [
    "a remount that maps ids",
    {
      mounts: [{
        destination: "/a",
        type: "none",
        options: ["remount", "idmap"],
      }],
    },
    'Cannot mount "none" on "/a": the ids of what is mounted already cannot be mapped (mounts[0])',
  ],
  [
    "cgroups whose ids are mapped",
    {
      mounts: [{ destination: "/a", type: "cgroup2", options: ["idmap"] }],
    },
    'Cannot mount "cgroup2" on "/a": the ids of cgroups cannot be mapped (mounts[0])',
  ],
  [
    "a sysfs of the host's that could be written",
    { ...USERNS, mounts: [{ destination: "/sys", type: "sysfs" }] },
    'Cannot mount "sysfs" on "/sys": with a user namespace and the host\'s network there is only the host\'s own sysfs, read-only (mounts[0])',
  ],
  [
    "another mode of a device of the host's",
    {
      linux: {
        ...USERNS.linux,
        devices: [
          { type: "c", path: "/dev/x", major: 1, minor: 1, fileMode: 0o600 },
        ],
      },
    },
    'Cannot make the device "/dev/x" with the mode 0600: with a user namespace it is the host\'s own, whose mode is 0666 (linux.devices[0])',
  ],
  [
    "a propagation that is none",
    {
      linux: { namespaces: [{ type: "mount" }], rootfsPropagation: "wild" },
    },
    'Cannot set the propagation of the root to "wild": it must be shared, slave, private or unbindable (linux.rootfsPropagation)',
  ],
  [
    "a relative masked path",
    {
      linux: { namespaces: [{ type: "mount" }], maskedPaths: ["proc/kcore"] },
    },
    'Cannot restrict "proc/kcore": the path must be absolute (linux.maskedPaths[0])',
  ],
  [
    "a mount label without SELinux",
    {
      linux: { namespaces: [{ type: "mount" }], mountLabel: "l" },
    },
    'Cannot label the mounts "l": SELinux is off on this host (linux.mountLabel)',
  ],
  [
    "a device of no type",
    {
      linux: {
        namespaces: [{ type: "mount" }],
        devices: [{ type: "x", path: "/dev/x", major: 1, minor: 1 }],
      },
    },
    'Cannot make the device "/dev/x": the type "x" is none of c, b, u and p (linux.devices[0])',
  ],
  [
    "a device without numbers",
    {
      linux: {
        namespaces: [{ type: "mount" }],
        devices: [{ type: "c", path: "/dev/x" }],
      },
    },
    'Cannot make the device "/dev/x": it has no major and minor number (linux.devices[0])',
  ],
  [
    "a terminal without a devpts",
    {
      process: { cwd: "/", terminal: true },
    },
    "Cannot give the process a terminal: no devpts is mounted on /dev/pts (process.terminal)",
  ],
];

for (const [name, spec, message] of REFUSED) {
  Deno.test(`planMounts() refuses ${name}`, () => {
    const host = {
      sources: new Map([[0, "missing" as const]]),
      modes: new Map([["/dev/x", 0o666]]),
    };
    const error = assertThrows(() => plan(spec, {}, host), ContainerError);
    assertEquals(error.message, message);
  });
}
