/**
 * Bundles for config.md: `mounts`, with every option of the MUST and SHOULD
 * lists on a tmpfs and on a bind.
 *
 * @module
 */

import {
  type Case,
  type JsonObject,
  makeCase,
  merge,
  MOUNTS,
  namespacesBut,
  USERNS,
  withMounts,
  withWords,
} from "./case.ts";

/** config.md, "Linux mount options": those that are flags. */
const FLAGS = [
  ..."async atime defaults dev diratime dirsync exec iversion".split(" "),
  ..."lazytime loud noatime nodev nodiratime noexec noiversion".split(" "),
  ..."nolazytime norelatime nostrictatime nosuid relatime ro rw".split(" "),
  ..."silent strictatime suid sync nosymfollow symfollow mand".split(" "),
  ..."nomand".split(" "),
];
const PROPAGATION =
  "private shared slave unbindable rprivate rshared rslave runbindable"
    .split(" ");
const RECURSIVE = [
  ..."rro rrw rnosuid rsuid rnodev rdev rnoexec rexec rnodiratime".split(" "),
  ..."rdiratime rrelatime rnorelatime rnoatime ratime".split(" "),
  ..."rstrictatime rnostrictatime rnosymfollow rsymfollow".split(" "),
];

function tmpfs(...options: string[]): JsonObject {
  return {
    destination: "/mnt",
    type: "tmpfs",
    source: "tmpfs",
    options: [...options, "mode=755", "size=64k"],
  };
}

function bind(...options: string[]): JsonObject {
  return {
    destination: "/mnt",
    type: "none",
    source: "@BUNDLE@/source",
    options,
  };
}

/** A source that holds a mount of its own: for the recursive options. */
function mountBelow(bundle: string): void {
  const dir = `${bundle}/source/below`;
  Deno.mkdirSync(dir, { recursive: true });
  new Deno.Command("mount", {
    args: ["-t", "tmpfs", "-o", "size=64k", "below", dir],
  }).outputSync();
}

const ID_MAPS: JsonObject = {
  uidMappings: [{ containerID: 0, hostID: 10000, size: 1000 }],
  gidMappings: [{ containerID: 0, hostID: 10000, size: 1000 }],
};

const CGROUP: JsonObject = {
  destination: "/sys/fs/cgroup",
  type: "cgroup",
  source: "cgroup",
  options: ["nosuid", "noexec", "nodev", "relatime", "ro"],
};

/** Single mounts beside the usual ones. */
const SINGLE: [string, JsonObject, ...string[]][] = [
  ["bind-plain", bind("bind"), "probe=/mnt"],
  ["bind-ro", bind("bind", "ro"), "probe=/mnt"],
  ["bind-crossed", bind("rbind", "ro", "nosuid", "nodev", "noexec", "noatime")],
  ["bind-shared-ro", bind("bind", "rslave", "ro")],
  ["bind-type", {
    destination: "/mnt",
    type: "bind",
    source: "@BUNDLE@/source",
  }, "probe=/mnt"],
  ["bind-no-type", {
    destination: "/mnt",
    source: "@BUNDLE@/source",
    options: ["bind"],
  }],
  ["bind-relative-source", {
    destination: "/mnt",
    source: "source",
    options: ["bind"],
  }, "probe=/mnt"],
  ["bind-data", bind("bind", "size=64k")],
  ["bind-file", {
    destination: "/etc/passwd",
    source: "@BUNDLE@/source/file",
    options: ["bind", "ro"],
  }, "probe=/etc/passwd"],
  ["bind-file-new", {
    destination: "/new/place/file",
    source: "@BUNDLE@/source/file",
    options: ["bind"],
  }, "probe=/new/place/file"],
  ["bind-dir-new", {
    destination: "/new/dir",
    source: "@BUNDLE@/source",
    options: ["bind"],
  }, "probe=/new/dir"],
  ["bind-missing-source", {
    destination: "/mnt",
    source: "@BUNDLE@/nosuch",
    options: ["bind"],
  }],
  ["bind-dir-on-file", {
    destination: "/etc/passwd",
    source: "@BUNDLE@/source",
    options: ["bind"],
  }],
  ["bind-device", {
    destination: "/dev/zero2",
    source: "/dev/zero",
    options: ["bind", "nosuid"],
  }, "probe=/dev/zero2"],
  ["destination-relative", { ...tmpfs(), destination: "mnt" }],
  ["destination-dots", { ...tmpfs(), destination: "/tmp/../mnt" }],
  ["destination-escapes", { ...tmpfs(), destination: "/../../mnt" }],
  ["destination-symlink", { ...tmpfs(), destination: "/link-to-mnt" }],
  ["destination-symlink-out", { ...tmpfs(), destination: "/link-out/x" }],
  ["destination-root", { ...tmpfs(), destination: "/" }],
  ["destination-in-proc", { ...tmpfs(), destination: "/proc/sys" }],
  ["destination-proc-file", {
    destination: "/proc/uptime",
    source: "@BUNDLE@/source/file",
    options: ["bind"],
  }],
  ["tmpfs-plain", { destination: "/mnt", type: "tmpfs", source: "tmpfs" }],
  ["tmpfs-mode", tmpfs("mode=1777", "uid=5"), "probe=/mnt"],
  ["tmpfs-new-dir", { ...tmpfs(), destination: "/fresh/tmp" }],
  ["tmpfs-copyup", {
    destination: "/etc",
    type: "tmpfs",
    source: "tmpfs",
    options: ["tmpcopyup"],
  }, "probe=/etc"],
  ["tmpfs-copyup-ro", {
    destination: "/etc",
    type: "tmpfs",
    source: "tmpfs",
    options: ["tmpcopyup", "ro"],
  }, "probe=/etc"],
  ["unknown-option", tmpfs("nosuchoption")],
  ["unknown-type", { ...tmpfs(), type: "nosuchfs" }],
  ["idmap", { ...bind("bind", "idmap"), ...ID_MAPS }, "probe=/mnt"],
  ["ridmap", { ...bind("rbind", "ridmap"), ...ID_MAPS }, "probe=/mnt"],
  ["idmap-implied", { ...bind("bind"), ...ID_MAPS }, "probe=/mnt"],
  ["idmap-without-maps", bind("bind", "idmap")],
  ["remount", bind("bind", "remount", "ro")],
  ["cgroup", CGROUP, "probe=/sys/fs/cgroup"],
  ["cgroup-rw", { ...CGROUP, options: ["rw", "nosuid"] }],
  ["proc-again", { destination: "/mnt", type: "proc", source: "proc" }],
];

const WHOLE: Case[] = [
  makeCase("mounts/none-but-proc", { mounts: [MOUNTS[0] ?? {}] }),
  makeCase("mounts/empty", { mounts: [] }),
  makeCase(
    "mounts/order",
    withMounts(
      tmpfs(),
      { ...tmpfs(), destination: "/mnt/a" },
      { ...tmpfs("ro"), destination: "/mnt/a/b" },
      { ...bind("bind"), destination: "/mnt/c" },
    ),
  ),
  makeCase("mounts/twice", withMounts(tmpfs(), tmpfs("ro"))),
  makeCase("mounts/dev-ro", {
    mounts: MOUNTS.map((mount) =>
      mount.destination === "/dev"
        ? { ...mount, options: ["nosuid", "ro", "mode=755"] }
        : mount
    ),
  }),
  makeCase("mounts/dev-bind", {
    mounts: MOUNTS.slice(0, 1).concat({
      destination: "/dev",
      source: "@BUNDLE@/source",
      options: ["bind"],
    }),
  }),
  makeCase("mounts/proc-ro", {
    mounts: [
      { ...MOUNTS[0], options: ["ro", "nosuid", "nodev", "noexec"] },
      ...MOUNTS.slice(1),
    ],
  }),
  makeCase("mounts/proc-hidepid", {
    mounts: [{ ...MOUNTS[0], options: ["hidepid=2"] }, ...MOUNTS.slice(1)],
  }),
  makeCase("mounts/sys-rw", {
    mounts: MOUNTS.map((mount) =>
      mount.type === "sysfs" ? { ...mount, options: ["nosuid"] } : mount
    ),
  }),
  makeCase("mounts/no-devpts", {
    mounts: MOUNTS.filter((mount) => mount.type !== "devpts"),
  }),
  makeCase(
    "mounts/cgroup-host-namespace",
    merge(withMounts(CGROUP), {
      linux: { namespaces: namespacesBut(["cgroup"]) },
    }),
  ),
  makeCase(
    "mounts/userns-bind",
    withWords(merge(USERNS, withMounts(bind("bind", "ro"))), "probe=/mnt"),
  ),
  makeCase("mounts/userns-tmpfs", merge(USERNS, withMounts(tmpfs("noexec")))),
  makeCase(
    "mounts/userns-idmap",
    withWords(merge(USERNS, withMounts(bind("bind", "idmap"))), "probe=/mnt"),
  ),
  makeCase(
    "mounts/readonly-root-tmp",
    withWords(
      merge(withMounts(tmpfs()), { root: { readonly: true } }),
      "probe=/mnt",
      "probe=/tmp",
    ),
  ),
  makeCase("mounts/no-pivot", withMounts(tmpfs()), { flags: ["--no-pivot"] }),
];

/** All of this file. */
export const MOUNT_CASES: Case[] = [
  ...FLAGS.map((option) =>
    makeCase(`option/tmpfs-${option}`, withMounts(tmpfs(option)))
  ),
  ...FLAGS.map((option) =>
    makeCase(`option/bind-${option}`, withMounts(bind("bind", option)))
  ),
  ...PROPAGATION.map((option) =>
    makeCase(`option/bind-${option}`, withMounts(bind("bind", option)))
  ),
  ...PROPAGATION.map((option) =>
    makeCase(`option/tmpfs-${option}`, withMounts(tmpfs(option)))
  ),
  ...RECURSIVE.map((option) =>
    makeCase(
      `option/rbind-${option}`,
      withMounts(bind("rbind", option)),
      { prepare: mountBelow },
    )
  ),
  ...SINGLE.map(([name, mount, ...words]) =>
    makeCase(`mounts/${name}`, withWords(withMounts(mount), ...words))
  ),
  ...WHOLE,
];
