/**
 * The files that every container of the friendly form has in /etc, as docker
 * gives them.
 *
 * @module
 */

import type { FlagsHost } from "./host.ts";
import type { Config } from "../config.ts";
import type { FlagMount } from "./mounts.ts";

const HOSTS = `127.0.0.1\tlocalhost
::1\tlocalhost ip6-localhost ip6-loopback
fe00::\tip6-localnet
ff00::\tip6-mcastprefix
ff02::1\tip6-allnodes
ff02::2\tip6-allrouters
`;

/** Returns the host's file; "" when there is none to be read: a machine without
 * /etc/resolv.conf has no resolver to pass on. */
function readHostFile(host: FlagsHost, path: string): string {
  try {
    return host.readTextFile(path);
  } catch {
    return "";
  }
}

/**
 * Returns /etc/hosts, /etc/hostname and /etc/resolv.conf: those of the host
 * with its network, else what a machine without a network has.
 */
export function makeFiles(
  hostname: string,
  hostNetwork: boolean,
  host: FlagsHost,
): Config["files"] {
  // 127.0.1.1 is loopback as well, and keeps "localhost" the name of 127.0.0.1.
  const own = `127.0.1.1\t${hostname}\n`;
  const files = {
    "/etc/hosts": hostNetwork
      ? (readHostFile(host, "/etc/hosts") || HOSTS)
        .replace(/(?<!\n)$/, "\n") + own
      : HOSTS + own,
    "/etc/hostname": `${hostname}\n`,
    "/etc/resolv.conf": hostNetwork
      ? readHostFile(host, "/etc/resolv.conf")
      : "# no network, so no name server (rustyrun --network none)\n",
  };
  return Object.entries(files).map(([path, data]) => ({
    path,
    data,
    mode: 0o644,
  }));
}

/** Leaves out the files that a mount of the user covers. */
export function dropCovered(
  files: Config["files"],
  own: readonly FlagMount[],
): Config["files"] {
  return files.filter(({ path }) =>
    !own.some(({ mount: { destination } }) =>
      destination === path || path.startsWith(`${destination}/`)
    )
  );
}
