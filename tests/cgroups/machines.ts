/**
 * Machines and configurations that the tests of the cgroups manager share.
 *
 * @module
 */

import type { CgroupConfig, CgroupLook } from "../../mod/cgroups/model.ts";
import type { Resources } from "../../mod/config/schema.ts";
import type { CgroupFacts } from "../../mod/cgroups.ts";
import type { CgroupMount } from "../../mod/host.ts";

const V1 = [
  ["cpu", "cpuacct"],
  ["cpuset"],
  ["memory"],
  ["devices"],
  ["freezer"],
  ["blkio"],
  ["pids"],
  ["name=systemd"],
];

function mountV1(controllers: string[], own: string): CgroupMount {
  const name = controllers.join(",").replace("name=", "");
  return {
    version: 1,
    controllers,
    path: `/sys/fs/cgroup/${name}`,
    root: "/",
    own,
  };
}

const V2 = ["cpuset", "cpu", "io", "memory", "hugetlb", "pids", "rdma"];

function mountV2(own: string, controllers = V2): CgroupMount {
  return { version: 2, controllers, path: "/sys/fs/cgroup", root: "/", own };
}

const root = { uid: 0, inUserns: false };
const user = { uid: 1000, inUserns: false };

/** Facts of the machines that a container may meet. */
export const MACHINES = {
  v1: { ...root, cgroups: V1.map((c) => mountV1(c, "/user")) },
  v1User: { ...user, cgroups: V1.map((c) => mountV1(c, "/user")) },
  hybrid: {
    ...root,
    cgroups: [
      ...V1.map((c) => mountV1(c, "/")),
      { ...mountV2("/", ["hugetlb"]), path: "/sys/fs/cgroup/unified" },
    ],
  },
  v2: { ...root, cgroups: [mountV2("/")] },
  v2Systemd: {
    ...root,
    cgroups: [mountV2("/user.slice/user-0.slice/session-1.scope")],
  },
  /** Root in a container: a cgroup namespace, whose root holds processes. */
  v2Container: { ...root, cgroups: [mountV2("/")] },
  /** A desktop terminal or `systemd-run --user --scope -p Delegate=yes`. */
  v2Delegated: {
    ...user,
    cgroups: [
      mountV2(
        "/user.slice/user-1000.slice/user@1000.service/app.slice/run-r1.scope",
      ),
    ],
  },
  /** An ssh login. */
  v2Session: {
    ...user,
    cgroups: [mountV2("/user.slice/user-1000.slice/session-3.scope")],
  },
  none: { ...root, cgroups: [] },
} satisfies Record<string, CgroupFacts>;

/** Looks at a machine of directories: path -> owner. A directory that is not
 * the real root has cgroup.type; `busy` ones hold processes. */
function fakeLook(
  owners: Record<string, number>,
  { rootIsReal = true }: { rootIsReal?: boolean } = {},
): CgroupLook {
  return {
    read(path) {
      const at = path.lastIndexOf("/");
      const dir = path.slice(0, at);
      const isRoot = dir === "/sys/fs/cgroup" ||
        dir === "/sys/fs/cgroup/unified";
      if (path.endsWith("/cgroup.type")) {
        return isRoot && rootIsReal ? undefined : "domain\n";
      }
      return path.endsWith("/cgroup.procs") ? "1\n42\n" : undefined;
    },
    stat(path) {
      const dir = path.replace(/\/cgroup\.procs$/, "");
      const uid = owners[dir];
      return uid === undefined ? undefined : { uid, mode: 0o40755 };
    },
    device: () => undefined,
    manager: () => "/user.slice/user-1000.slice/user@1000.service",
  };
}

const APP = "/sys/fs/cgroup/user.slice/user-1000.slice/user@1000.service";

const USER = {
  "/sys/fs/cgroup": 0,
  "/sys/fs/cgroup/user.slice": 0,
  "/sys/fs/cgroup/user.slice/user-1000.slice": 0,
  "/sys/fs/cgroup/user.slice/user-1000.slice/session-3.scope": 0,
  [APP]: 1000,
  [`${APP}/app.slice`]: 1000,
  [`${APP}/app.slice/run-r1.scope`]: 1000,
  ...Object.fromEntries(
    ["cpu,cpuacct", "cpuset", "memory", "devices", "freezer", "blkio"]
      .concat("pids", "systemd").flatMap((n) => [
        [`/sys/fs/cgroup/${n}`, 0],
        [`/sys/fs/cgroup/${n}/user`, 0],
      ]),
  ),
};

/** What can be seen on each machine. */
export const LOOKS = {
  root: fakeLook({}),
  container: fakeLook({}, { rootIsReal: false }),
  user: fakeLook(USER),
  systemd: fakeLook({ ...USER, "/run/systemd/system": 0 }),
  /** After a login of the user. */
  login: fakeLook({
    ...USER,
    "/run/systemd/system": 0,
    "/run/user/1000/systemd": 1000,
  }),
};

/** A configuration in friendly mode. */
export function friendly(
  resources: Resources = {},
  more: Partial<CgroupConfig> = {},
): CgroupConfig {
  return {
    id: "box",
    mode: "friendly",
    cgroupManager: "cgroupfs",
    flags: new Map(),
    hostDevices: [],
    spec: {
      ociVersion: "1.3.0",
      root: { path: "/r" },
      linux: { resources },
    },
    ...more,
  };
}

/** A configuration from a config.json. */
export function oci(
  cgroupsPath: string | undefined,
  resources: Resources = {},
  linux: NonNullable<CgroupConfig["spec"]["linux"]> = {},
): CgroupConfig {
  return {
    ...friendly(),
    mode: "oci",
    spec: {
      ociVersion: "1.3.0",
      root: { path: "/r" },
      linux: {
        ...linux,
        resources,
        ...(cgroupsPath === undefined ? {} : { cgroupsPath }),
      },
    },
  };
}
