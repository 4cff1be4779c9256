/**
 * Places and limits that no cgroup can have.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import {
  type CgroupFacts,
  type CgroupLook,
  planCgroups,
} from "../mod/cgroups.ts";
import type { CgroupConfig } from "../mod/cgroups/model.ts";
import { ContainerError } from "../mod/errors.ts";
import { friendly, LOOKS, MACHINES, oci } from "./cgroups/machines.ts";

const MEMORY = { memory: { limit: 67108864 } };

const REFUSALS: {
  name: string;
  config: CgroupConfig;
  facts: CgroupFacts;
  look?: CgroupLook;
  message: string;
  code: string;
  hint: string;
}[] = [
  {
    name: "a limit in an ssh session",
    config: friendly(MEMORY, {
      flags: new Map([["linux.resources.memory.limit", "--memory 64m"]]),
    }),
    facts: MACHINES.v2Session,
    look: LOOKS.login,
    message:
      'Cannot apply "--memory 64m": the cgroup of this session is not delegated to user 1000',
    code: "cgroup-not-delegated",
    hint:
      "Start it as: XDG_RUNTIME_DIR=/run/user/1000 systemd-run --user --scope -p Delegate=yes rustyrun ... (rustyrun doctor shows which controllers you get)",
  },
  {
    name: "a limit of a user who has not logged in, but by su",
    config: friendly({ pids: { limit: 20 } }),
    facts: MACHINES.v2Session,
    look: LOOKS.systemd,
    message:
      'Cannot apply linux.resources.pids.limit "20": the cgroup of this session is not delegated to user 1000',
    code: "cgroup-not-delegated",
    hint:
      "This user's own systemd does not run: log in (ssh, machinectl shell; su and sudo do not start it), or have root call loginctl enable-linger 1000; then try again with XDG_RUNTIME_DIR=/run/user/1000",
  },
  {
    name: "a limit of a user on v1",
    config: friendly({ pids: { limit: 20 } }),
    facts: MACHINES.v1User,
    look: LOOKS.user,
    message:
      'Cannot apply linux.resources.pids.limit "20": the cgroup of this session is not delegated to user 1000',
    code: "cgroup-not-delegated",
    hint: "Cgroup v1 is not handed to users: run as root",
  },
  {
    name: "a limit of a user on v1 with systemd",
    config: friendly({ pids: { limit: 20 } }),
    facts: MACHINES.v1User,
    look: LOOKS.systemd,
    message:
      'Cannot apply linux.resources.pids.limit "20": the cgroup of this session is not delegated to user 1000',
    code: "cgroup-not-delegated",
    hint:
      "Cgroup v1 is not handed to users: run as root, or boot with systemd.unified_cgroup_hierarchy=1",
  },
  {
    name: "a limit of a user on v2 without systemd",
    config: friendly({ pids: { limit: 20 } }),
    facts: MACHINES.v2Session,
    look: LOOKS.user,
    message:
      'Cannot apply linux.resources.pids.limit "20": the cgroup of this session is not delegated to user 1000',
    code: "cgroup-not-delegated",
    hint:
      "Run as root, or have root make a cgroup below /sys/fs/cgroup, chown it to user 1000 and start rustyrun in it",
  },
  {
    name: "a cgroupsPath of a user who may not have it",
    config: oci("/a/b"),
    facts: MACHINES.v2Session,
    look: LOOKS.login,
    message:
      'Cannot make the cgroup "/a/b" (linux.cgroupsPath) in "/sys/fs/cgroup": user 1000 may not write there',
    code: "cgroup-not-delegated",
    hint:
      "Start it as: XDG_RUNTIME_DIR=/run/user/1000 systemd-run --user --scope -p Delegate=yes rustyrun ... (rustyrun doctor shows which controllers you get)",
  },
  {
    name: "a cgroupsPath that the user's session may not move to",
    config: oci("/user.slice/user-1000.slice/user@1000.service/c"),
    facts: MACHINES.v2Session,
    look: LOOKS.login,
    message:
      'Cannot make the cgroup "/user.slice/user-1000.slice/user@1000.service/c" (linux.cgroupsPath) in "/sys/fs/cgroup": user 1000 may not write there',
    code: "cgroup-not-delegated",
    hint:
      "Start it as: XDG_RUNTIME_DIR=/run/user/1000 systemd-run --user --scope -p Delegate=yes rustyrun ... (rustyrun doctor shows which controllers you get)",
  },
  {
    name: "a limit in the occupied root of a cgroup namespace",
    config: friendly(MEMORY),
    facts: MACHINES.v2Container,
    look: LOOKS.container,
    message:
      'Cannot limit the container: the caller is in the topmost cgroup it can see ("/sys/fs/cgroup"), and cgroup v2 hands out no controllers from a cgroup that holds processes',
    code: "cgroup-no-place",
    hint:
      "Move the processes into a child first: mkdir /sys/fs/cgroup/init && for p in $(cat /sys/fs/cgroup/cgroup.procs); do echo $p > /sys/fs/cgroup/init/cgroup.procs; done",
  },
  {
    name: "the root as cgroupsPath",
    config: oci("/.."),
    facts: MACHINES.v1,
    message:
      'Cannot use linux.cgroupsPath "/..": it is the root cgroup, which holds the machine\'s own processes',
    code: "cgroups-path-invalid",
    hint: "Name a cgroup below it",
  },
  {
    name: "a mount that does not show the caller's cgroup",
    config: friendly(),
    facts: {
      ...MACHINES.v1,
      cgroups: [{ ...MACHINES.v1.cgroups[3]!, root: "/docker/abc", own: "/" }],
    },
    message:
      'Cannot find the caller\'s cgroup "/": "/sys/fs/cgroup/devices" shows the hierarchy from "/docker/abc" on',
    code: "cgroup-not-visible",
    hint:
      "In a container, mount the cgroup file system inside its own cgroup namespace",
  },
  {
    name: "root without any device rules",
    config: friendly(),
    facts: MACHINES.none,
    message:
      "Cannot keep the container from the machine's devices: neither the v1 devices controller nor cgroup v2 is mounted",
    code: "controller-missing",
    hint:
      "mkdir /sys/fs/cgroup/devices && mount -t cgroup -o devices devices /sys/fs/cgroup/devices",
  },
  {
    name: "the systemd manager on a machine without cgroups",
    config: friendly({}, { cgroupManager: "systemd" }),
    facts: MACHINES.none,
    message:
      "Cannot use the systemd cgroup manager: no cgroup file system is mounted",
    code: "systemd-cgroup-layout",
    hint: "mount -t cgroup2 none /sys/fs/cgroup",
  },
  {
    name: "a limit without a manager",
    config: friendly(MEMORY, { cgroupManager: "disabled" }),
    facts: MACHINES.v2,
    message:
      'Cannot apply linux.resources.memory.limit "67108864": the cgroup manager is disabled',
    code: "limit-refused",
    hint: "Leave out --cgroup-manager disabled, or the limit",
  },
  {
    name: "a bundle's device rules without a manager",
    config: {
      ...oci("/c1", {
        devices: [{ allow: true }, { allow: false, type: "b", access: "w" }],
      }),
      cgroupManager: "disabled",
    },
    facts: MACHINES.v2,
    message:
      "Cannot apply linux.resources.devices[1]: it denies devices, and the cgroup manager is disabled",
    code: "device-rules-missing",
    hint:
      "Leave out --cgroup-manager disabled, or all rules that deny something",
  },
  ...[
    {
      name: "without a manager",
      config: friendly({}, {
        cgroupManager: "disabled",
        hostDevices: [{ host: "/dev/x", container: "/dev/x", access: "wm" }],
      }),
      facts: MACHINES.v2,
    },
    {
      name: "of a user's container",
      config: friendly({}, {
        hostDevices: [{ host: "/dev/x", container: "/dev/x", access: "wm" }],
      }),
      facts: MACHINES.v2Session,
      look: LOOKS.user,
    },
  ].map((it) => ({
    ...it,
    name: `a device only to be written ${it.name}`,
    message:
      'Cannot apply hostDevices "/dev/x": only device rules hold a container to "wm" of "/dev/x", and this one has none',
    code: "device-rules-missing",
    hint:
      'Leave ":wm" out, or run it as root and without --cgroup-manager disabled',
  })),
  {
    name: "a --device that is none",
    config: friendly({}, {
      hostDevices: [{ host: "/dev/nope", container: "/dev/x", access: "rw" }],
    }),
    facts: MACHINES.v1,
    message: 'Cannot pass the device "/dev/nope": the host has no such device',
    code: "device-missing",
    hint:
      "ls -l /dev/nope shows what it is; --volume shows a file or directory",
  },
];

for (const { name, config, facts, look, message, code, hint } of REFUSALS) {
  Deno.test(`planCgroups() refuses ${name}`, () => {
    const error = assertThrows(
      () => planCgroups(config, facts, "t0", look ?? LOOKS.root),
      ContainerError,
    );
    assertEquals(error.message, message);
    assertEquals([error.code, error.hint], [code, hint]);
  });
}
