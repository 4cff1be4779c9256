/**
 * A bundle of the differential test: what it is, and the configuration that
 * all of them start from.
 *
 * Strings of a configuration may hold `@BUNDLE@` (the bundle's path),
 * `@PAYLOAD@` (the payload on the host), `@OUT@` (a directory for what hooks
 * write) and `@NS@` (the namespaces of a process held for joining).
 *
 * @module
 */

/** Anything that JSON can hold. */
export type Json =
  | null
  | boolean
  | number
  | string
  | Json[]
  | { [key: string]: Json };

/** A JSON object. */
export type JsonObject = { [key: string]: Json };

/** How a bundle is run. */
export type Mode =
  /** create, start, wait, delete. */
  | "create"
  /** `run` in the foreground: the exit code counts. */
  | "run"
  /** `run --detach` of a pausing process, then `exec`. */
  | "exec"
  /** create must be refused. */
  | "invalid";

/** One bundle. */
export interface Case {
  /** `group/what`, unique. */
  name: string;
  mode: Mode;
  /** The configuration. */
  config: JsonObject;
  /** Puts files into the bundle before each run; the path of the bundle. */
  prepare?: (bundle: string) => void;
  /** exec: the process object, for `--process`. */
  process?: JsonObject;
  /** exec: words before the command, in place of a process object. */
  words?: string[];
  /** Flags of create or run, before the id. */
  flags?: string[];
  /** CLONE_* flags of a process whose namespaces `@NS@` names. */
  hold?: number;
  /** The runtime is called in the held process's mount namespace: it mounts
   * there what a container without one of its own mounts. */
  inside?: boolean;
  /** The terminal is received over a console socket. */
  terminal?: boolean;
  /** A seccomp listener waits at `@OUT@/seccomp.sock`. */
  listener?: boolean;
}

/** A copy of `base` with `patch` laid over it: objects merge, everything else
 * is replaced, null removes a key. */
export function merge(base: JsonObject, patch: JsonObject): JsonObject {
  const result: JsonObject = { ...base };
  for (const [key, value] of Object.entries(patch)) {
    const old = result[key];
    if (value === null) delete result[key];
    else if (isObject(value)) {
      result[key] = merge(isObject(old) ? old : {}, value);
    } else result[key] = value;
  }
  return result;
}

/** Whether a value is a JSON object. */
export function isObject(value: Json | undefined): value is JsonObject {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The mounts that engines and `runc spec` write. */
export const MOUNTS: JsonObject[] = [
  { destination: "/proc", type: "proc", source: "proc" },
  {
    destination: "/dev",
    type: "tmpfs",
    source: "tmpfs",
    options: ["nosuid", "strictatime", "mode=755", "size=65536k"],
  },
  {
    destination: "/dev/pts",
    type: "devpts",
    source: "devpts",
    options: [
      "nosuid",
      "noexec",
      "newinstance",
      "ptmxmode=0666",
      "mode=0620",
      "gid=5",
    ],
  },
  {
    destination: "/dev/shm",
    type: "tmpfs",
    source: "shm",
    options: ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"],
  },
  {
    destination: "/dev/mqueue",
    type: "mqueue",
    source: "mqueue",
    options: ["nosuid", "noexec", "nodev"],
  },
  {
    destination: "/sys",
    type: "sysfs",
    source: "sysfs",
    options: ["nosuid", "noexec", "nodev", "ro"],
  },
];

/** The namespaces of an ordinary container. */
export const NAMESPACES: JsonObject[] = [
  "pid",
  "network",
  "ipc",
  "uts",
  "mount",
  "cgroup",
].map((type) => ({ type }));

/** The capabilities of `runc spec`. */
export const CAPABILITIES = [
  "CAP_AUDIT_WRITE",
  "CAP_KILL",
  "CAP_NET_BIND_SERVICE",
];

/** Every bundle is this one with a patch. */
export const BASE: JsonObject = {
  ociVersion: "1.2.0",
  process: {
    user: { uid: 0, gid: 0 },
    args: ["/payload", "report"],
    env: ["PATH=/usr/bin:/bin", "TERM=xterm"],
    cwd: "/",
    capabilities: {
      bounding: CAPABILITIES,
      effective: CAPABILITIES,
      permitted: CAPABILITIES,
    },
    noNewPrivileges: true,
  },
  root: { path: "rootfs" },
  hostname: "box",
  mounts: MOUNTS,
  linux: {
    namespaces: NAMESPACES,
    cgroupsPath: "@CGROUP@",
    resources: { devices: [{ allow: false, access: "rwm" }] },
  },
};

/** What a case may say beside its name and patch. */
export type CaseOptions = Partial<Omit<Case, "name" | "config">>;

/** A case from a patch of {@linkcode BASE}. */
export function makeCase(
  name: string,
  patch: JsonObject = {},
  options: CaseOptions = {},
): Case {
  return { name, mode: "create", ...options, config: merge(BASE, patch) };
}

/** A patch of `process`. */
export function inProcess(patch: JsonObject): JsonObject {
  return { process: patch };
}

/** A patch of `linux`. */
export function inLinux(patch: JsonObject): JsonObject {
  return { linux: patch };
}

/** A patch whose payload also looks at paths or tries system calls. */
export function withWords(patch: JsonObject, ...words: string[]): JsonObject {
  return merge(patch, { process: { args: ["/payload", "report", ...words] } });
}

/** A patch that mounts more than the usual. */
export function withMounts(...mounts: JsonObject[]): JsonObject {
  return { mounts: [...MOUNTS, ...mounts] };
}

/** The usual namespaces without some types, with others added. */
export function namespacesBut(
  without: string[],
  ...more: JsonObject[]
): JsonObject[] {
  return [
    ...NAMESPACES.filter((n) => !without.includes(n.type as string)),
    ...more,
  ];
}

/** A patch for a user namespace that maps 0..65535 to 100000... */
export const USERNS: JsonObject = {
  linux: {
    namespaces: namespacesBut([], { type: "user" }),
    uidMappings: [{ containerID: 0, hostID: 100000, size: 65536 }],
    gidMappings: [{ containerID: 0, hostID: 100000, size: 65536 }],
  },
};
