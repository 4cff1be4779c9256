/**
 * Turns the flags of `rustyrun run --rootfs` into a configuration: what docker
 * would give a container that was started with the same flags.
 *
 * @module
 */

import type { Config } from "./config.ts";
import type { IdMapping, Mount, Namespace, Process, Spec } from "./schema.ts";
import { ContainerError } from "../errors.ts";
import {
  flagOn,
  type Flags,
  flagTyped,
  flagUses,
  flagValue,
  refuse,
} from "./flags/use.ts";
import {
  DEFAULT_HOSTNAME,
  DEFAULT_PATH,
  listDefaultMounts,
  listThrottles,
  MASKED_PATHS,
  READONLY_PATHS,
} from "./flags/defaults.ts";
import { readCapabilities } from "./flags/capabilities.ts";
import { checkId, makeId } from "./id.ts";
import { readEnvironment, type Variable } from "./flags/environment.ts";
import { dropCovered, makeFiles } from "./flags/files.ts";
import type { FlagsHost } from "./flags/host.ts";
import { readResources, readUlimits } from "./flags/limits.ts";
import { type FlagMount, readMounts } from "./flags/mounts.ts";
import { type FlagsInput, readLaunchOptions } from "./flags/launch.ts";
import { checkRules } from "./flags/rules.ts";
import { readEphemeral, readRootfs } from "./flags/rootfs.ts";
import { hideSecrets, isHostRoot } from "./flags/secrets.ts";
import {
  readDevices,
  readSecurityOptions,
  readSysctls,
} from "./flags/security.ts";
import { readUser, readUserns, setUser } from "./flags/users.ts";

export type { FlagsHost } from "./flags/host.ts";

function readHostname(flags: Flags): string {
  const name = flagValue(flags, "hostname");
  if (name === undefined) return DEFAULT_HOSTNAME;
  if (
    name.length > 64 || !/^[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?$/.test(name)
  ) {
    throw refuse(
      flagTyped(flags, "hostname"),
      `${JSON.stringify(name)} is not a host name`,
      "hostname",
      "Use letters, digits, dots and dashes, at most 64 of them",
    );
  }
  return name;
}

function readWorkdir(flags: Flags): string {
  const dir = flagValue(flags, "workdir");
  if (dir === undefined) return "/";
  if (!dir.startsWith("/")) {
    throw refuse(
      flagTyped(flags, "workdir"),
      `"${dir}" is not an absolute path`,
      "workdir",
      "A directory in the container is written from the root: /work",
    );
  }
  return dir;
}

/** Returns the command and its words. */
function readCommand(flags: Flags, args: readonly string[]): string[] {
  const program = flagValue(flags, "command");
  const words = program === undefined ? [...args] : [program, ...args];
  if (words.length === 0) return ["/bin/sh"];
  if (words[0] === "") {
    throw new ContainerError('Cannot run the command "": it has no name', {
      code: "invalid-command",
      hint: "Leave it out for /bin/sh, or give the path of a program",
    });
  }
  return words;
}

/** Returns whether the command gets a terminal. */
function readTerminal(flags: Flags, host: FlagsHost): boolean {
  if (!flagOn(flags, "tty")) return false;
  if (flags.has("console-socket")) return true;
  if (flagOn(flags, "detach")) {
    throw new ContainerError(
      "Cannot give the command a terminal: with -d nobody holds it",
      {
        code: "no-terminal",
        hint:
          "Leave -t out; rustyrun exec -it ID sh opens a terminal later. --console-socket PATH gives it to a program",
      },
    );
  }
  const { stdin, stdout } = host.isTerminal;
  if (stdin || (stdout && !flagOn(flags, "interactive"))) return true;
  throw new ContainerError(
    "Cannot give the command a terminal: standard input is not one",
    {
      code: "no-terminal",
      hint: `Leave ${
        flagOn(flags, "interactive") ? "-t out of -it" : "-t out"
      }, or run rustyrun from a terminal`,
    },
  );
}

/** Returns the default mounts with the user's: in place of a default one with
 * the same destination, else behind them. */
function mergeMounts(
  defaults: Mount[],
  own: FlagMount[],
  note: (key: string, typed: string) => void,
): Mount[] {
  const mounts = [...defaults];
  for (const { mount, typed } of own) {
    let at = mounts.findIndex((m) => m.destination === mount.destination);
    if (at < 0) at = mounts.length;
    mounts[at] = mount;
    note(`mounts[${at}]`, typed);
  }
  return mounts;
}

function mapsTtyGroup({ containerID, size }: IdMapping): boolean {
  return containerID <= 5 && 5 < containerID + size;
}

/**
 * Takes gid=5 (tty) from the devpts mount: the kernel refuses a group that the
 * user namespace does not map. For the callers of `userns`, which know the ids
 * only later.
 */
function dropTtyGroup(mounts: Mount[]): void {
  const at = mounts.findIndex((m) => m.type === "devpts");
  const devpts = mounts[at];
  if (!devpts) return;
  const options = (devpts.options ?? []).filter((o) => o !== "gid=5");
  mounts[at] = { ...devpts, options };
}

/**
 * Returns the configuration that the flags of `run --rootfs` describe.
 *
 * Left to later: HOME (from the image's passwd), a user given by name
 * (`userName`; then call {@linkcode setUser}), the ids of `userns` (then call
 * {@linkcode dropTtyGroup} where they leave out group 5), what
 * `hostDevices` are, and the default seccomp profile.
 *
 * @throws {ContainerError} for a value that cannot be, with a hint
 */
export function configFromFlags(
  input: FlagsInput,
  host: FlagsHost,
): Config {
  const { flags } = input;
  const origin = new Map<string, string>();
  const note = (key: string, typed: string) => {
    if (typed) origin.set(key, typed);
  };
  const noteFlag = (key: string, name: string) =>
    note(key, flagTyped(flags, name));

  const { rootfs, found } = readRootfs(flags, host);
  noteFlag("root.path", "rootfs");
  const ephemeral = readEphemeral(flags, host);
  noteFlag("ephemeral", "ephemeral");
  const hostname = readHostname(flags);
  noteFlag("hostname", "hostname");
  const name = flagValue(flags, "name");
  const id = name === undefined ? makeId() : checkId(name);
  noteFlag("id", "name");

  const userns = readUserns(flags, host);
  const hostNetwork = flagValue(flags, "network") === "host";
  const namespaces: Namespace[] = [
    ...(userns.mode ? [{ type: "user" } as const] : []),
    { type: "mount" },
    { type: "uts" },
    { type: "ipc" },
    { type: "pid" },
    { type: "cgroup" },
    ...(hostNetwork ? [] : [{ type: "network" } as const]),
  ];
  if (userns.mode) noteFlag("linux.namespaces[0]", "userns");
  noteFlag("linux.uidMappings", "userns");
  if (!hostNetwork) {
    noteFlag(`linux.namespaces[${namespaces.length - 1}]`, "network");
  }
  note(
    "hostDevices",
    flagUses(flags, "device").map((it) => it.typed).join(" "),
  );

  const security = readSecurityOptions(flags, host, note);
  const terminal = readTerminal(flags, host);
  noteFlag("process.terminal", "tty");

  const variables = new Map<string, Variable>([
    ["PATH", { value: DEFAULT_PATH }],
    ["HOSTNAME", { value: hostname }],
    ...(terminal ? [["TERM", { value: "xterm" }] as const] : []),
  ]);
  readEnvironment(flags, host, variables);
  const env: string[] = [];
  for (const [name, { value, typed }] of variables) {
    if (typed) note(`process.env[${env.length}]`, typed);
    env.push(`${name}=${value}`);
  }

  const launch = readLaunchOptions(input, host.cwd);
  // Without device rules a node would open every device (device_rules.ts); in a
  // user namespace none is made.
  const capabilities = readCapabilities(
    flags,
    host.uid === 0 && launch.cgroupManager === "disabled" &&
      userns.mode === "",
  );
  if (flags.has("cap-add") || flags.has("cap-drop")) {
    note(
      "process.capabilities",
      [...flags.get("cap-add") ?? [], ...flags.get("cap-drop") ?? []]
        .map((u) => u.typed).join(" "),
    );
  }
  const process: Process = {
    terminal,
    user: { uid: 0, gid: 0 },
    args: readCommand(flags, input.args),
    env,
    cwd: readWorkdir(flags),
    capabilities: {
      bounding: capabilities,
      effective: capabilities,
      permitted: capabilities,
    },
    noNewPrivileges: security.noNewPrivileges,
  };
  noteFlag("process.args", "command");
  noteFlag("process.cwd", "workdir");
  const rlimits = readUlimits(flags, note);
  if (rlimits.length) process.rlimits = rlimits;
  if (security.apparmorProfile) {
    process.apparmorProfile = security.apparmorProfile;
  }

  const own = readMounts(flags, host);
  const hidden = isHostRoot(found, host)
    ? hideSecrets({
      ephemeral: ephemeral !== undefined,
      showHome: flagOn(flags, "show-home"),
    }, host)
    : undefined;
  const mounts = mergeMounts(
    [
      ...listDefaultMounts(hostNetwork && userns.mode !== ""),
      ...hidden?.mounts ?? [],
    ],
    own,
    note,
  );
  if (userns.mapping && !mapsTtyGroup(userns.mapping)) {
    dropTtyGroup(mounts);
  }
  const resources = readResources(flags, note);
  // Everything that is not allowed is forbidden; the cgroup manager adds the
  // default devices. Without CAP_MKNOD on the host there is nothing to forbid.
  if (host.uid === 0) resources.devices = [{ allow: false, access: "rwm" }];
  const sysctl = readSysctls(flags, note);
  const spec: Spec = {
    ociVersion: "1.3.0",
    root: { path: rootfs, readonly: flagOn(flags, "read-only") },
    hostname,
    process,
    mounts,
    linux: {
      namespaces,
      ...(userns.mapping
        ? { uidMappings: [userns.mapping], gidMappings: [userns.mapping] }
        : {}),
      ...(Object.keys(resources).length ? { resources } : {}),
      ...(Object.keys(sysctl).length ? { sysctl } : {}),
      rootfsPropagation: "private",
      maskedPaths: security.unmasked
        ? []
        : [...MASKED_PATHS, ...listThrottles(host)],
      readonlyPaths: security.unmasked ? [] : [...READONLY_PATHS],
    },
  };
  noteFlag("root.readonly", "read-only");

  // Everything else is right by construction, and the rules take their time.
  if (own.length || Object.keys(sysctl).length) checkRules(spec, origin);

  const user = readUser(flags);
  if (typeof user === "object") setUser(spec, user.uid, user.gid);
  else if (user === undefined && userns.mode === "keep-id") {
    setUser(spec, host.uid, host.gid);
  }
  noteFlag("process.user", "user");

  return {
    id,
    bundle: host.bundle,
    mode: "friendly",
    spec,
    rootfs,
    seenRoot: { dev: found.dev, ino: found.ino },
    ...(ephemeral ? { ephemeral } : {}),
    files: dropCovered([
      ...makeFiles(hostname, hostNetwork, host),
      ...hidden?.files ?? [],
    ], own),
    overwrites: hidden?.overwrites ?? [],
    stdin: flagOn(flags, "interactive"),
    init: flagOn(flags, "init"),
    ...launch,
    ...(typeof user === "string" ? { userName: user } : {}),
    ...(userns.mode === "auto" || userns.mode === "keep-id"
      ? { userns: userns.mode }
      : {}),
    ...(security.seccompProfile
      ? { seccompProfile: security.seccompProfile }
      : {}),
    hostDevices: readDevices(flags),
    flags: origin,
  };
}
