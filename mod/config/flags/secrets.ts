/**
 * What a container on the machine's own root (`--rootfs /`) does not get to
 * see: homes, what people keep in /tmp, mail, other engines' files, and as root
 * whatever /etc keeps from ordinary users.
 *
 * @module
 */

import type { Config } from "../config.ts";
import type { Mount } from "../schema.ts";
import type { FlagsHost } from "./host.ts";

/** Directories that hold what people and services keep to themselves, with the
 * mode of the empty one in its place. */
const PRIVATE: readonly (readonly [string, number])[] = [
  // Sockets of daemons, which do as root what they are asked, also on a read-only
  // file system; and what other runtimes keep of their containers.
  ["/run", 0o755],
  ["/tmp", 0o1777],
  ["/var/tmp", 0o1777],
  ["/var/backups", 0o755],
  ["/var/mail", 0o2775],
  ["/var/spool/cron", 0o755],
  ["/var/spool/mail", 0o2775],
  ["/var/lib/NetworkManager", 0o700],
  ["/var/lib/bluetooth", 0o700],
  ["/var/lib/containerd", 0o700],
  ["/var/lib/containers", 0o700],
  ["/var/lib/docker", 0o700],
  ["/var/lib/kubelet", 0o700],
  ["/var/lib/libvirt", 0o755],
  ["/var/lib/mysql", 0o700],
  ["/var/lib/postgresql", 0o755],
  ["/var/lib/private", 0o700],
  ["/var/lib/samba", 0o755],
  ["/var/lib/sss", 0o755],
];

/** Files of passwords: they keep their accounts. shadow(5), gshadow(5). */
const SHADOW = /^\/etc\/g?shadow-?$/;

/** Where HOME of a caller is no home: these and what is right above them. */
const SYSTEM =
  /^\/(bin|boot|dev|etc|lib\w*|opt|proc|run|s?bin|srv|sys|tmp|usr|var)?$/;

/** What is hidden, and how. */
export interface Hidden {
  /** Empty directories. */
  mounts: Mount[];
  /** In a throw-away layer: files with other contents. */
  overwrites: Config["overwrites"];
  /** Without one: files of ours in their place. */
  files: Config["files"];
}

/** Whether a directory is the machine's own root, by identity: "/../", a symbolic link or
 * a bind mount are "/" as well. */
export function isHostRoot(
  own: ReturnType<FlagsHost["stat"]>,
  host: FlagsHost,
): boolean {
  const root = host.stat("/");
  return root.dev === own.dev && root.ino === own.ino;
}

function isDirectory(path: string, host: FlagsHost): boolean {
  try {
    return host.stat(path).isDirectory;
  } catch {
    // What cannot be seen from here cannot be seen from inside either.
    return false;
  }
}

/** Homes: those that everybody has, the people's in passwd(5), the caller's. */
function listHomes(host: FlagsHost): string[] {
  const homes = ["/root", "/home"];
  for (const line of host.readTextFile("/etc/passwd").split("\n")) {
    const [, , uid = "", , , home = ""] = line.split(":");
    // useradd(8): UID_MIN; 65534 is nobody.
    if (Number(uid) >= 1000 && Number(uid) !== 65534) homes.push(home);
  }
  homes.push(host.env["HOME"] ?? "");
  return homes.map((it) => it.replace(/(?<=.)\/+$/, ""))
    .filter((it) => it.startsWith("/") && !SYSTEM.test(it));
}

/** The same accounts, of which none has a password. */
function lockAccounts(text: string): string {
  return text.replaceAll(/^([^:\n]*):[^:\n]*/gm, "$1:*");
}

/** What /etc keeps from ordinary users: directories that they may not enter,
 * files that they may not read. */
function listPrivate(
  directory: string,
  host: FlagsHost,
  found: { directories: [string, number][]; files: [string, number][] },
): typeof found {
  for (const { name, kind, mode, size } of host.list(directory)) {
    const path = `${directory}/${name}`;
    if (kind === "directory") {
      if ((mode & 0o001) === 0) found.directories.push([path, mode & 0o7777]);
      else listPrivate(path, host, found);
    } else if (
      kind === "file" && (mode & 0o004) === 0 && size > 0 &&
      host.mayRead(path)
    ) {
      found.files.push([path, mode & 0o7777]);
    }
  }
  return found;
}

/**
 * Returns what hides the secrets of the machine whose own root is the
 * container's. A volume on, or in, a directory that is hidden shows it again.
 *
 * @param options `ephemeral`: there is a throw-away layer; `showHome`: homes
 * stay
 * @throws what `host.readTextFile` throws where /etc/passwd cannot be read
 */
export function hideSecrets(
  options: { ephemeral: boolean; showHome: boolean },
  host: FlagsHost,
): Hidden {
  const access = options.ephemeral ? [] : ["ro"];
  const empty = (destination: string, mode: number): Mount => ({
    destination,
    type: "tmpfs",
    source: "tmpfs",
    options: [...access, "nosuid", "nodev", `mode=${mode.toString(8)}`],
  });
  const directories = new Map(PRIVATE);
  const add = (path: string, mode: number) => {
    const covered = [...directories.keys()].some((it) =>
      path === it || path.startsWith(`${it}/`)
    );
    if (!covered) directories.set(path, mode);
  };
  // The variables of other containers are there.
  add(host.states, 0o700);
  if (!options.showHome) {
    for (const home of listHomes(host)) {
      add(home, home === "/root" ? 0o700 : 0o755);
    }
  }
  const files: Config["files"] = [];
  // Nobody else can read what this is about.
  if (host.uid === 0) {
    const found = listPrivate("/etc", host, { directories: [], files: [] });
    for (const [path, mode] of found.directories) directories.set(path, mode);
    for (const [path, mode] of found.files) {
      const data = SHADOW.test(path)
        ? lockAccounts(host.readTextFile(path))
        : "";
      files.push({ path, data, mode });
    }
  }
  return {
    mounts: [...directories].filter(([path]) => isDirectory(path, host))
      .map(([path, mode]) => empty(path, mode)),
    ...(options.ephemeral
      ? {
        overwrites: files.map(({ path, data }) => ({ path, data })),
        files: [],
      }
      : { overwrites: [], files }),
  };
}
