/**
 * What flags for limits, rights and mounts come to in the configuration.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { Config } from "../mod/config/config.ts";
import { parseInteger, parseSize } from "../mod/config/flags/numbers.ts";
import { checkSpec } from "../mod/config/check.ts";
import { specProblems } from "../mod/config/rules.ts";
import { configOf } from "./from_flags_host.ts";
import { CAPABILITIES } from "./from_flags_room.ts";

/** [flags, what of the configuration, its value] */
const rows: [string, (c: Config) => unknown, unknown][] = [
  // Limits.
  ["--memory 64m", (c) => c.spec.linux!.resources!.memory, {
    limit: 67108864,
    swap: 134217728,
  }],
  ["-m1g --memory-swap -1", (c) => c.spec.linux!.resources!.memory, {
    limit: 1073741824,
    swap: -1,
  }],
  ["-m 64m --memory-swap 64m", (c) => c.spec.linux!.resources!.memory, {
    limit: 67108864,
    swap: 67108864,
  }],
  [
    "--cpus 0.5 --cpu-shares 512 --cpuset-cpus 0-1,3",
    (c) => c.spec.linux!.resources!.cpu,
    { period: 100000, quota: 50000, shares: 512, cpus: "0-1,3" },
  ],
  ["--cpus 2", (c) => c.spec.linux!.resources!.cpu!.quota, 200000],
  ["--pids-limit 20", (c) => c.spec.linux!.resources!.pids, { limit: 20 }],
  ["--pids-limit -1", (c) => c.spec.linux!.resources!.pids, { limit: -1 }],
  [
    "--ulimit nofile=1024:2048 --ulimit core=0 --ulimit fsize=-1",
    (c) => c.spec.process!.rlimits,
    [
      { type: "RLIMIT_NOFILE", soft: 1024, hard: 2048 },
      { type: "RLIMIT_CORE", soft: 0, hard: 0 },
      {
        type: "RLIMIT_FSIZE",
        soft: 18446744073709551615n,
        hard: 18446744073709551615n,
      },
    ],
  ],
  [
    "--ulimit as=9007199254740993",
    (c) => c.spec.process!.rlimits![0]!.soft,
    9007199254740993n,
  ],
  // Security.
  ["--cap-drop ALL", (c) => c.spec.process!.capabilities!.bounding, []],
  [
    "--cap-drop ALL --cap-add net_admin",
    (c) => c.spec.process!.capabilities!.permitted,
    ["CAP_NET_ADMIN"],
  ],
  [
    "--cap-add CAP_SYS_PTRACE --cap-drop MKNOD",
    (c) => c.spec.process!.capabilities!.effective,
    [
      ...CAPABILITIES.slice(0, 11),
      "CAP_SYS_PTRACE",
      "CAP_AUDIT_WRITE",
      "CAP_SETFCAP",
    ],
  ],
  [
    "--cap-add ALL --cap-drop SYS_ADMIN",
    (c) => c.spec.process!.capabilities!.bounding!.length,
    40,
  ],
  [
    "--security-opt no-new-privileges=false",
    (c) => c.spec.process!.noNewPrivileges,
    false,
  ],
  [
    "--security-opt no-new-privileges",
    (c) => c.spec.process!.noNewPrivileges,
    true,
  ],
  [
    "--security-opt no-new-privileges:true",
    (c) => c.spec.process!.noNewPrivileges,
    true,
  ],
  ["--security-opt seccomp=unconfined", (c) => c.seccompProfile, "unconfined"],
  [
    "--security-opt seccomp=profile.json",
    (c) => c.seccompProfile,
    "/home/me/profile.json",
  ],
  [
    "--security-opt apparmor=web",
    (c) => c.spec.process!.apparmorProfile,
    "web",
  ],
  [
    "--security-opt systempaths=unconfined",
    (c) => [c.spec.linux!.maskedPaths, c.spec.linux!.readonlyPaths],
    [[], []],
  ],
  ["--sysctl net.ipv4.ip_forward=1", (c) => c.spec.linux!.sysctl, {
    "net.ipv4.ip_forward": "1",
  }],
  [
    "--device /dev/fuse --device /dev/sda:r --device /dev/a:/dev/b:rw",
    (c) => c.hostDevices,
    [
      { host: "/dev/fuse", container: "/dev/fuse", access: "rwm" },
      { host: "/dev/sda", container: "/dev/sda", access: "r" },
      { host: "/dev/a", container: "/dev/b", access: "rw" },
    ],
  ],
  // Mounts.
  ["-v ./data:/data", (c) => c.spec.mounts!.slice(7), [{
    destination: "/data",
    type: "bind",
    source: "/home/me/data",
    options: ["rbind", "rprivate"],
  }]],
  [
    "-v ./data:/data/:ro,noexec,rslave",
    (c) => c.spec.mounts!.slice(7),
    [{
      destination: "/data",
      type: "bind",
      source: "/home/me/data",
      options: ["rbind", "rro", "noexec", "rslave"],
    }],
  ],
  ["-v .:/here:bind,ro", (c) => c.spec.mounts![7]!.options, [
    "bind",
    "rprivate",
    "ro",
  ]],
  ["-v ..:/home:rw", (c) => c.spec.mounts![7]!.source, "/home/me/.."],
  [
    "-v ./data:/a/b -v /up:/a --tmpfs /a/c/d --tmpfs /z",
    (c) => c.spec.mounts!.slice(7).map((m) => m.destination),
    ["/a", "/z", "/a/b", "/a/c/d"],
  ],
  ["--tmpfs /t", (c) => c.spec.mounts![7], {
    destination: "/t",
    type: "tmpfs",
    source: "tmpfs",
    options: ["nosuid", "nodev", "noexec"],
  }],
  ["--tmpfs /t:exec,size=64m,mode=1777", (c) => c.spec.mounts![7]!.options, [
    "nosuid",
    "nodev",
    "exec",
    "size=64m",
    "mode=1777",
  ]],
  [
    "--mount type=bind,src=data,dst=/d,readonly",
    (c) => c.spec.mounts![7],
    {
      destination: "/d",
      type: "bind",
      source: "/home/me/data",
      options: ["rbind", "rprivate", "rro"],
    },
  ],
  [
    "--mount type=bind,source=/up,target=/d,ro=false,bind-propagation=rslave,bind-recursive=disabled",
    (c) => c.spec.mounts![7]!.options,
    ["bind", "rslave"],
  ],
  [
    "--mount type=tmpfs,destination=/d,tmpfs-size=1m,tmpfs-mode=700,ro",
    (c) => c.spec.mounts![7]!.options,
    ["nosuid", "nodev", "noexec", "ro", "size=1m", "mode=700"],
  ],
  // In place of a default one.
  [
    "--tmpfs /dev/shm:size=1g -v ./data:/proc",
    (c) => [
      c.spec.mounts!.length,
      c.spec.mounts![0]!.source,
      c.spec.mounts![6]!.options,
    ],
    [7, "/home/me/data", ["nosuid", "nodev", "noexec", "size=1g"]],
  ],
  ["-v ./data/file:/etc/hosts", (c) => c.files.map((f) => f.path), [
    "/etc/hostname",
    "/etc/resolv.conf",
  ]],
  ["-v ./data:/etc", (c) => c.files, []],
];

for (const [line, pick, want] of rows) {
  Deno.test(`configFromFlags() of: ${line}`, () => {
    const config = configOf(line);
    assertEquals(pick(config), want);
    // Whatever flags come to, the checks of a config.json have nothing to say.
    assertEquals(checkSpec(config.spec), []);
    assertEquals(specProblems(config.spec, { mapsLater: true }), []);
  });
}

const sizes: [string, number | undefined][] = [
  ["0", 0],
  ["4096", 4096],
  ["64m", 67108864],
  ["64M", 67108864],
  ["64MB", 67108864],
  ["64MiB", 67108864],
  ["1.5g", 1610612736],
  ["512b", 512],
  ["7p", 7881299347898368],
  ["8p", undefined],
  ["", undefined],
  ["m", undefined],
  ["-1", undefined],
  ["1.5", undefined],
  ["1e3", undefined],
  ["0x10", undefined],
  ["64 m", undefined],
  ["64mm", undefined],
  ["64m\n", undefined],
];

for (const [text, want] of sizes) {
  Deno.test(`parseSize() of ${JSON.stringify(text)} is ${want}`, () => {
    assertEquals(parseSize(text), want);
  });
}

for (
  const text of [
    "",
    "01",
    "+1",
    "1.0",
    "1e3",
    " 1",
    "0x1",
    "-0",
    "9".repeat(17),
  ]
) {
  Deno.test(`parseInteger() refuses ${JSON.stringify(text)}`, () => {
    assertEquals(parseInteger(text, -10, Number.MAX_SAFE_INTEGER), undefined);
  });
}
