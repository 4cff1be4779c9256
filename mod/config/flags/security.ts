/**
 * `--security-opt`, `--device` and `--sysctl`.
 *
 * @module
 */

import { type Flags, flagUses, refuse, resolvePath } from "./use.ts";
import { explainFileError, type FlagsHost } from "./host.ts";
import type { Note } from "./limits.ts";
import { ContainerError } from "../../errors.ts";
import { joinPath } from "../problem.ts";

/** What `--security-opt` asks for. */
export interface SecurityOptions {
  noNewPrivileges: boolean;
  /** "unconfined", or the absolute path of a profile. */
  seccompProfile?: string;
  apparmorProfile?: string;
  /** Neither masked nor read-only paths. */
  unmasked: boolean;
}

/**
 * Returns what the uses of `--security-opt` ask for, in docker's words; ":" is
 * taken for "=" as docker does.
 *
 * @throws {ContainerError} for an option that there is not
 */
export function readSecurityOptions(
  flags: Flags,
  host: FlagsHost,
  note: Note,
): SecurityOptions {
  const options: SecurityOptions = { noNewPrivileges: true, unmasked: false };
  for (const { value: text, typed } of flagUses(flags, "security-opt")) {
    const [name, value] = text.split(/[=:](.*)/s);
    if (name === "no-new-privileges") {
      if (value !== undefined && !/^(true|false)$/.test(value)) {
        throw refuse(
          typed,
          `"${value}" is no value for "${name}"`,
          "security-opt",
          "Write no-new-privileges=true or no-new-privileges=false",
        );
      }
      options.noNewPrivileges = value !== "false";
      note("process.noNewPrivileges", typed);
    } else if (name === "seccomp" && value) {
      if (value === "builtin") delete options.seccompProfile;
      else {
        options.seccompProfile = value === "unconfined"
          ? value
          : readProfile(value, typed, host);
        note("linux.seccomp", typed);
      }
    } else if (name === "apparmor" && value) {
      if (value === "unconfined") delete options.apparmorProfile;
      else options.apparmorProfile = value;
      note("process.apparmorProfile", typed);
    } else if (name === "systempaths" && value === "unconfined") {
      options.unmasked = true;
      note("linux.maskedPaths", typed);
      note("linux.readonlyPaths", typed);
    } else if (!(name === "label" && value === "disable")) {
      throw refuse(
        typed,
        `there is no option "${text}"`,
        "security-opt",
        "They are: seccomp=FILE, seccomp=unconfined, no-new-privileges=true|false, apparmor=PROFILE, systempaths=unconfined",
      );
    }
  }
  return options;
}

function readProfile(path: string, typed: string, host: FlagsHost): string {
  const file = resolvePath(host.cwd, path);
  let why = "it is not a file";
  let cause: unknown;
  try {
    if (host.stat(file).isFile) return file;
  } catch (error) {
    why = explainFileError(error);
    cause = error;
  }
  throw new ContainerError(
    `Cannot read the seccomp profile "${path}" (${typed}): ${why}`,
    {
      code: "seccomp-profile-unreadable",
      hint: "Give a JSON file in docker's format, or seccomp=unconfined",
      cause,
    },
  );
}

/**
 * Returns the devices of `--device HOST[:CONTAINER[:rwm]]`.
 *
 * @throws {ContainerError} for what is no absolute path or no access
 */
export function readDevices(
  flags: Flags,
): { host: string; container: string; access: string }[] {
  return flagUses(flags, "device").map(({ value, typed }) => {
    const parts = value.split(":");
    const [host = ""] = parts;
    // Two parts: docker takes the second for the access when it reads so.
    const short = parts.length === 2 && /^[rwm]+$/.test(parts[1]!);
    const container = short ? host : parts[1] ?? host;
    const access = short ? parts[1]! : parts[2] ?? "rwm";
    if (!host.startsWith("/") || parts.length > 3) {
      throw refuse(
        typed,
        `"${value}" is not PATH, PATH:DST or PATH:DST:ACCESS`,
        "device",
        "Write for example --device /dev/fuse or --device /dev/sda:/dev/xvda:r",
      );
    }
    if (!container.startsWith("/")) {
      throw refuse(
        typed,
        `"${container}" is not an absolute path`,
        "device",
        "Where it appears in the container is written from the root: /dev/fuse",
      );
    }
    if (!/^(?!.*(.).*\1)[rwm]{1,3}$/.test(access)) {
      throw refuse(
        typed,
        `"${access}" is not an access`,
        "device",
        "Write r to read, w to write, m to mknod, each at most once",
      );
    }
    return { host, container, access };
  });
}

/**
 * Returns the kernel parameters of `--sysctl NAME=VALUE`. Which of them belong
 * to a namespace of the container is decided later.
 *
 * @throws {ContainerError} for what is no NAME=VALUE, and a name given twice
 */
export function readSysctls(
  flags: Flags,
  note: Note,
): Record<string, string> {
  const sysctls: Record<string, string> = {};
  for (const { value: text, typed } of flagUses(flags, "sysctl")) {
    const [name, value] = text.split(/=(.*)/s);
    if (
      !/^[A-Za-z0-9_-]+([./][A-Za-z0-9_-]+)+$/.test(name!) ||
      value === undefined
    ) {
      throw refuse(
        typed,
        `"${text}" is not NAME=VALUE`,
        "sysctl",
        "Write for example --sysctl net.ipv4.ip_forward=1",
      );
    }
    if (Object.hasOwn(sysctls, name!)) {
      throw refuse(
        typed,
        `"${name}" is set twice`,
        "sysctl",
        "Leave one of them out",
      );
    }
    sysctls[name!] = value;
    note(joinPath("linux.sysctl", name!), typed);
  }
  return sysctls;
}
