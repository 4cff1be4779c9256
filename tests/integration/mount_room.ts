/**
 * A mount namespace of a test's own whose mounts are shared, as systemd makes
 * those of a host, and a peer of it (a service with mounts of its own): what a
 * container must leave as it was, with nothing of this machine at stake.
 *
 *     await using room = await makeRoom();
 *     await runToEnd(room.enter([...cliCommand(), "run", ...]));
 *
 * Disposal fails when a mount is there that was not, or one has changed.
 *
 * @module
 */

import { apart } from "../program.ts";
import { waitFor } from "../wait.ts";

/** Two mount namespaces that see each other's mounts. */
export interface Room extends AsyncDisposable {
  /** A process in it. */
  pid: number;
  /** A process in the peer. */
  peer: number;
  /** A command line that runs `argv` in it. */
  enter(argv: readonly string[]): string[];
  /** The lines of both, mount ids and propagation and all. */
  mounts(): string[];
  /** Those that were not there at first. */
  added(): string[];
  /** Waits until everything is as it was at first, or `before`; returns what is
   * not. */
  findChanges(before?: string[]): Promise<string[]>;
}

async function hold(
  argv: readonly string[],
): Promise<{ pid: number; end: () => Promise<void> }> {
  const child = new Deno.Command(argv[0]!, {
    args: argv.slice(1),
    stdin: "piped",
    stdout: "piped",
  }).spawn();
  const reader = child.stdout.getReader();
  const { done } = await reader.read();
  if (done) throw new Error(`Cannot make a room: ${argv.join(" ")}`);
  return {
    pid: child.pid,
    async end() {
      await reader.cancel();
      await child.stdin.close();
      await child.status;
    },
  };
}

function readMounts(pid: number, name: string): string[] {
  return Deno.readTextFileSync(`/proc/${pid}/mountinfo`).trim().split("\n")
    .map((line) => `${name}: ${line}`);
}

/** Whether the place of a mount is no more: a room has the mounts of other tests
 * as well, and loses those whose place is removed (rmdir(2)). */
function isRemoved(line: string): boolean {
  const path = line.split(" ")[5]!.replace(
    /\\(\d{3})/g,
    (_, code) => String.fromCharCode(parseInt(code, 8)),
  );
  try {
    Deno.lstatSync(path);
    return false;
  } catch {
    return true;
  }
}

/** Makes a room; needs root. */
export async function makeRoom(): Promise<Room> {
  const stay = "echo ready; exec cat";
  const home = await hold([
    "unshare",
    "--mount",
    "--propagation",
    "private",
    "sh",
    "-c",
    `mount --make-rshared / && ${stay}`,
  ]);
  const enter = (argv: readonly string[]) => [
    "nsenter",
    "--mount",
    `--target=${home.pid}`,
    "--",
    ...apart(argv),
  ];
  const peer = await hold(
    enter([
      "unshare",
      "--mount",
      "--propagation",
      "unchanged",
      "sh",
      "-c",
      stay,
    ]),
  );
  const mounts = () => [
    ...readMounts(home.pid, "room"),
    ...readMounts(peer.pid, "peer"),
  ];
  const first = mounts();
  const added = () => mounts().filter((it) => !first.includes(it));
  const findChanges = (before = first) =>
    waitFor(() => {
      const now = mounts();
      return [
        ...now.filter((it) => !before.includes(it)),
        ...before.filter((it) => !now.includes(it) && !isRemoved(it))
          .map((it) => `gone ${it}`),
      ];
    }, (changes) => changes.length === 0);
  return {
    pid: home.pid,
    peer: peer.pid,
    enter,
    mounts,
    added,
    findChanges,
    async [Symbol.asyncDispose]() {
      const changes = await findChanges();
      await peer.end();
      await home.end();
      if (changes.length > 0) {
        throw new Error(`Mounts have changed: ${changes.join("; ")}`);
      }
    },
  };
}
