/**
 * The security manager: who the process is and what it may do, as operations.
 *
 * @module
 */

import { toBytes } from "../ffi/bytes.ts";
import { PR } from "../ffi/constants.ts";
import type { Config } from "./config/config.ts";
import {
  hasUserNamespace,
  isMapped,
  namespaceUse,
} from "./config/namespaces.ts";
import { ContainerError } from "./errors.ts";
import type { Facts } from "./host.ts";
import type { Op, Phased } from "./plan.ts";
import { resolveCapabilities } from "./security/capabilities.ts";
import { planCpus, planInherited } from "./security/inherited.ts";
import { planOomScore, planProcess } from "./security/process.ts";
import { planSysctls } from "./security/sysctl.ts";

export {
  DEFAULT_CAPABILITIES,
  formatCapabilities,
  resolveCapabilities,
  type Warning,
} from "./security/capabilities.ts";
export { planCpus } from "./security/inherited.ts";
export { encodeSet } from "./security/process.ts";
export { type ResourceLimit, rlimitsOf } from "./security/rlimits.ts";
export {
  type ReadInRoot,
  type ResolvedUser,
  resolveUser,
  USER_FILE_MAX,
} from "./security/user.ts";

/** PATH of a process whose environment has none. */
const DEFAULT_PATH =
  "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const CAP_SETGID = 1n << 6n;

/** What the security manager gets from elsewhere. */
export interface SecurityOptions {
  /** setgroups(2) is denied in the container's user namespace. */
  setgroups?: "allow" | "deny";
  /** It is a process in a container that runs: its working directory must be
   * there, and CPUs of its own are for it. */
  exec?: boolean;
}

/**
 * Plans everything about the process's rights: capabilities(7),
 * credentials(7), prctl(2). The user is `process.user` as it stands: a name is
 * looked up before, by {@linkcode resolveUser}.
 *
 * @throws {ContainerError} when a property cannot be applied as it stands
 */
export function planSecurity(
  config: Config,
  facts: Facts,
  options: SecurityOptions = {},
): Phased {
  const { process } = config.spec;
  return {
    sources: [...planInherited(config, facts), ...planOomScore(config)],
    session: [
      planCpus(
        options.exec ? process?.execCPUAffinity?.final : undefined,
        "process.execCPUAffinity.final",
      ),
    ],
    pivot: planDirectory(config, options),
    sysctl: planSysctls(config),
    process: planProcess(config),
    privileges: planPrivileges(config),
    labels: [...planLabels(config, facts), ...planEntry(config)],
    credentials: process === undefined
      ? []
      : planCredentials(config, facts, options),
    findExec: process?.args === undefined
      ? []
      : [planFindExec(process.args, process.env)],
  };
}

/** The working directory is made while the root can still be written, and
 * before a filter that may not know openat2(2). The second look, by name and
 * as the container's user, is among the credentials. */
function planDirectory(config: Config, options: SecurityOptions): Op[] {
  const { process } = config.spec;
  if (process === undefined) return [];
  const cwd = process.cwd || "/";
  if (!cwd.startsWith("/")) {
    throw new ContainerError(
      `Cannot start the process in "${cwd}": the path must be absolute (process.cwd)`,
      { code: "cwd-relative", hint: `Write "/${cwd}"` },
    );
  }
  return [{
    do: "chdir",
    path: cwd,
    create: options.exec ? 2 : 3,
    why: options.exec
      ? `go to "${cwd}"`
      : `go to "${cwd}", making it where it is missing`,
    from: "process.cwd",
  }];
}

/** By name, now that everything is mounted: what the first look held may be
 * covered. Still before any filter. */
function planEntry(config: Config): Op[] {
  const { process } = config.spec;
  if (process === undefined) return [];
  const path = process.cwd || "/";
  return [{
    do: "chdir",
    path,
    create: 6,
    why: `be in what "${path}" is now, with all that is mounted`,
    from: "process.cwd",
  }];
}

/** prctl(2), PR_SET_NO_NEW_PRIVS: its children have it, too. */
export function planNoNewPrivileges({ spec }: Config): Op[] {
  if (!spec.process?.noNewPrivileges) return [];
  return [{
    do: "prctl",
    option: PR.SET_NO_NEW_PRIVS,
    a: 1,
    b: 0,
    c: 0,
    d: 0,
    why: "let no program it runs gain privileges",
    from: "process.noNewPrivileges",
  }];
}

function planPrivileges(config: Config): Op[] {
  return [{
    do: "prctl",
    option: PR.SET_DUMPABLE,
    a: 0,
    b: 0,
    c: 0,
    d: 0,
    why: "let nobody in the container trace this process",
  }, ...planNoNewPrivileges(config)];
}

function planLabels(config: Config, facts: Facts): Op[] {
  const { apparmorProfile, selinuxLabel } = config.spec.process ?? {};
  const ops: Op[] = [];
  const write = (path: string, text: string, why: string, from: string) =>
    ops.push({
      do: "write",
      at: "proc",
      path,
      data: toBytes(text),
      flags: 0,
      why,
      from,
    });
  // Without the module everything is unconfined already.
  if (
    apparmorProfile && (facts.apparmor || apparmorProfile !== "unconfined")
  ) {
    if (!facts.apparmor) {
      throw new ContainerError(
        `Cannot apply the AppArmor profile "${apparmorProfile}": AppArmor is off on this host (process.apparmorProfile)`,
        {
          code: "apparmor-off",
          hint: `Leave out ${
            config.flags.get("process.apparmorProfile") ??
              "process.apparmorProfile"
          }`,
        },
      );
    }
    write(
      "self/attr/apparmor/exec",
      `exec ${apparmorProfile}`,
      `confine it by the AppArmor profile "${apparmorProfile}"`,
      "process.apparmorProfile",
    );
  }
  if (selinuxLabel) {
    if (!facts.selinux) {
      throw new ContainerError(
        `Cannot apply the SELinux label "${selinuxLabel}": SELinux is off on this host (process.selinuxLabel)`,
        { code: "selinux-off", hint: "Remove process.selinuxLabel" },
      );
    }
    write(
      "self/attr/exec",
      selinuxLabel,
      `label it "${selinuxLabel}"`,
      "process.selinuxLabel",
    );
  }
  return ops;
}

/** The working directory is tried before and after the change of user: before,
 * because root may go where the user may not; after, because on some file
 * systems it is the other way round (CVE-2024-21626: C checks where it is). */
function planCredentials(
  config: Config,
  facts: Facts,
  options: SecurityOptions,
): Op[] {
  const { process } = config.spec;
  const cwd = process?.cwd || "/";
  const user = process?.user ?? {};
  const { uid = 0, gid = 0 } = user;
  const { sets } = resolveCapabilities(config, facts);
  const { uidMappings, gidMappings } = config.spec.linux ?? {};
  if (namespaceUse(config, "user") === "new") {
    if (!isMapped(uidMappings, uid)) throw unmapped(config, "user", uid);
    if (!isMapped(gidMappings, gid)) throw unmapped(config, "group", gid);
  }
  const prctl = (option: number, a: number, why: string): Op => ({
    do: "prctl",
    option,
    a,
    b: 0,
    c: 0,
    d: 0,
    why,
    from: "process.capabilities",
  });
  return [
    {
      do: "capDrop",
      keep: sets.bounding,
      why: "drop what is not in the bounding set",
      from: "process.capabilities.bounding",
    },
    prctl(PR.SET_KEEPCAPS, 1, "keep the capabilities over the change of user"),
    ...planGroups(config, facts, options),
    {
      do: "setgid",
      gid,
      why: `become group ${gid}`,
      from: "process.user.gid",
    },
    {
      do: "setuid",
      uid,
      why: `become user ${uid}`,
      from: "process.user.uid",
    },
    prctl(PR.SET_KEEPCAPS, 0, "keep them no longer"),
    {
      do: "chdir",
      path: cwd,
      create: 12,
      why: `be in "${cwd}" as that user, if it may enter`,
      from: "process.cwd",
    },
    {
      do: "capSet",
      effective: sets.effective,
      permitted: sets.permitted,
      inheritable: sets.inheritable,
      why: "have the given capabilities and no more",
      from: "process.capabilities",
    },
    {
      do: "capAmbient",
      set: sets.ambient,
      why: "set the ambient capabilities",
      from: "process.capabilities.ambient",
    },
    {
      do: "umask",
      mask: user.umask ?? 0o022,
      why: "set the umask",
      from: "process.user.umask",
    },
  ];
}

function unmapped(
  { mode, flags }: Config,
  kind: "user" | "group",
  id: number,
): ContainerError {
  const flag = flags.get("process.user");
  return new ContainerError(
    `Cannot run as ${kind} ${id}${
      flag === undefined ? "" : ` (${flag})`
    }: the container's user namespace does not map it`,
    {
      code: `${kind}-unmapped`,
      hint: mode === "friendly"
        ? "Use an id that is mapped, or map more: --userns C:H:N as root, else a range in /etc/subuid and /etc/subgid (rustyrun doctor shows how)"
        : `Map it in linux.${
          kind === "user" ? "uid" : "gid"
        }Mappings, or use an id that is mapped`,
    },
  );
}

function planGroups(
  config: Config,
  facts: Facts,
  options: SecurityOptions,
): Op[] {
  const gids = config.spec.process?.user?.additionalGids ?? [];
  const from = "process.user.additionalGids";
  const denied = options.setgroups === "deny" ||
    (!hasUserNamespace(config) && (facts.caps & CAP_SETGID) === 0n);
  if (denied) {
    if (gids.length === 0) return [];
    throw new ContainerError(
      `Cannot give the process the groups ${
        gids.join(", ")
      }: a caller with a single mapped id must deny setgroups (${from})`,
      {
        code: "setgroups-denied",
        hint:
          "Give the caller a range in /etc/subgid, run it as root, or leave the groups out",
      },
    );
  }
  for (const gid of gids) {
    if (
      namespaceUse(config, "user") === "new" &&
      !isMapped(config.spec.linux?.gidMappings, gid)
    ) throw unmapped(config, "group", gid);
  }
  const bytes = new Uint8Array(gids.length * 4);
  const view = new DataView(bytes.buffer);
  for (const [at, gid] of gids.entries()) view.setUint32(at * 4, gid, true);
  return [{
    do: "setgroups",
    gids: bytes,
    why: gids.length === 0
      ? "be in no other group"
      : `be in the groups ${gids.join(", ")}`,
    from,
  }];
}

/**
 * Returns the paths to try for `process.args[0]`, in order: itself when it
 * holds a slash, else each directory of the container's PATH, environ(7). An
 * empty entry of PATH is the working directory.
 *
 * @throws {ContainerError} when there is no command
 */
export function execCandidates(config: Config): string[] {
  const { args, env } = config.spec.process ?? {};
  return listCandidates(args, env);
}

/** Plans the search for a command.
 *
 * @throws {ContainerError} when it is empty */
export function planFindExec(
  args: readonly string[],
  env: readonly string[] | undefined,
): Op {
  return {
    do: "findExec",
    candidates: listCandidates(args, env),
    why: `find "${args[0] ?? ""}"`,
    from: "process.args",
  };
}

function listCandidates(
  args: readonly string[] = [],
  env: readonly string[] = [],
): string[] {
  const name = args[0] ?? "";
  if (name === "") {
    throw new ContainerError(
      'Cannot run "": the command is empty (process.args)',
      { code: "command-empty", hint: "Name a command", exitCode: 127 },
    );
  }
  if (name.includes("/")) return [name];
  const path = env.findLast((it) => it.startsWith("PATH="))?.slice(5) ??
    DEFAULT_PATH;
  return path.split(":").map((it) => `${it === "" ? "." : it}/${name}`);
}
