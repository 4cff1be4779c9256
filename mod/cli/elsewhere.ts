/**
 * What docker and podman have and rustyrun has not, and what to do instead: the
 * one table of it. The hint of an unknown flag or command comes from here
 * before the nearest name is looked for, which may be near in letters alone.
 *
 * @module
 */

import { statSync } from "../../ffi/files.ts";
import type { Caller } from "../caller.ts";
import { ContainerError } from "../errors.ts";
import { absolutePath } from "../mounts/path.ts";

/** Where the caller is. */
type At = Pick<Caller, "directory">;

const IMAGES =
  "rustyrun knows no images yet: unpack one into a directory, then rustyrun run --rootfs DIR";
const REGISTRIES =
  "rustyrun has no images or registries: a root file system is a directory";
const PORTS =
  "There are no published ports: --network host shares the host's network";
const NETWORKS =
  "There are no networks to join: --network none and --network host are the only two";
const HEALTH = "There are no health checks: rustyrun exec ID PROG runs one";
const LABELS =
  "There are no labels; --name NAME is how a container is found again";
const LOGS =
  "With -d the output is not kept: let the command write to a file on a volume; without -d it goes where rustyrun's goes";
const DNS =
  "Names are resolved by the container's own file: -v FILE:/etc/resolv.conf:ro";
const STOPPING = "rustyrun kill ID SIGNAL sends any signal, at any time";
const SPEED = "An OCI bundle can: linux.resources.blockIO";
const SHARED =
  "An OCI bundle can: leave that namespace out of linux.namespaces, or name one by its path";
const PODS = "There are no pods: an OCI bundle can name namespaces by paths";
const STORE = "There is no store of images, volumes or networks to manage";
const VOLUMES =
  "There are no named volumes: -v ./DIR:/DIR shows a directory of the host";
const CLUSTER = "rustyrun runs containers on this machine only";
const ATTACH =
  "A container in the foreground is attached; rustyrun exec -it ID sh goes into another";
const SECRETS = "Show it as a file: -v FILE:/run/secrets/NAME:ro";
const CREATE =
  "create makes a container from an OCI bundle; from flags: rustyrun run -d --rootfs DIR";
const LIST = "rustyrun list shows the containers, stopped ones too";

/** Commands, several words for one hint. */
const commands = (): [string, string][] => [
  ["attach", ATTACH],
  ["build buildx builder history", IMAGES],
  ["image images import load pull rmi save tag untag search", IMAGES],
  ["commit push login logout manifest trust sign artifact", REGISTRIES],
  [
    "compose stack",
    "There is no compose: one rustyrun run for each service, started by a script or by systemd",
  ],
  ["config node service swarm context farm machine", CLUSTER],
  ["secret", SECRETS],
  [
    "init",
    "rustyrun create makes a container from an OCI bundle, rustyrun start ID runs it",
  ],
  [
    "unshare",
    "util-linux has one: unshare -r PROG",
  ],
  [
    "container",
    "Leave the word container out: rustyrun list, rustyrun kill ID, rustyrun delete ID",
  ],
  [
    "cp export",
    "The root file system is a directory on the host: copy to it, or share one with --volume",
  ],
  ["diff", "With --ephemeral=DIR all changes are in DIR while it is running"],
  ["info", "rustyrun doctor says what this machine allows"],
  ["inspect", "Write rustyrun state ID"],
  ["ls", "Write rustyrun list"],
  ["kube generate play quadlet", "There are no Kubernetes files or units here"],
  ["logs", LOGS],
  ["mount umount unmount", "The root file system is a directory already"],
  ["network port", NETWORKS],
  ["pod", PODS],
  ["plugin system", STORE],
  ["volume", VOLUMES],
  [
    "rename",
    "A container cannot be renamed: run it again with another --name",
  ],
  [
    "restart auto-update",
    "There are no restarts: kill it, wait for it, and run it again; systemd or a loop can do that",
  ],
  ["healthcheck", HEALTH],
  [
    "rm cleanup",
    "Write rustyrun delete ID, or rustyrun delete -f ID if it is running",
  ],
  ["stats", "Write rustyrun events ID, or rustyrun events --stats ID once"],
  [
    "stop",
    "Write rustyrun kill ID, or rustyrun kill ID KILL; then rustyrun wait ID and rustyrun delete ID",
  ],
  ["top", "Write rustyrun ps ID"],
  ["unpause", "Write rustyrun resume ID"],
];

/** Flags of `run`, without dashes. */
const runFlags = (): [string, string][] => [
  ["a attach sig-proxy", ATTACH],
  ["add-host no-hosts hosts-file", "Show a file: -v FILE:/etc/hosts:ro"],
  [
    "annotation l label label-file",
    `${LABELS}; an OCI bundle has annotations`,
  ],
  [
    "blkio-weight memory-reservation cpuset-mems",
    "Set it once the container is running: rustyrun update has that flag",
  ],
  [
    "blkio-weight-device device-read-bps device-read-iops device-write-bps device-write-iops io-maxbandwidth io-maxiops",
    SPEED,
  ],
  ["cgroup-parent cgroup-conf", "An OCI bundle can: linux.cgroupsPath"],
  [
    "cgroups",
    "Write rustyrun --cgroup-manager disabled before the command to have none",
  ],
  ["conmon-pidfile", "--pid-file FILE gets the pid of the first process"],
  ["cgroupns ipc pid uts", SHARED],
  ["chrootdirs", "-v FILE:DIR/etc/hosts:ro shows a file there as well"],
  [
    "cidfile pod-id-file",
    "--name NAME gives the id; rustyrun run -d prints it",
  ],
  [
    "cpu-period cpu-quota cpu-count cpu-percent",
    "--cpus N is the quota divided by the period",
  ],
  [
    "cpu-rt-period cpu-rt-runtime",
    "Set it once the container is running: rustyrun update has that flag",
  ],
  ["detach-keys", "Nothing detaches from a container in the foreground"],
  ["device-cgroup-rule", "--device PATH:DST:rwm says what is allowed"],
  ["dns dns-opt dns-option dns-search", DNS],
  ["domainname", "An OCI bundle can: domainname"],
  ["entrypoint", "Write --command PROG, and its words after the flags"],
  ["env-host env-merge", "Name each with --env NAME"],
  ["expose p P publish publish-all", PORTS],
  [
    "gidmap uidmap subuidname subgidname",
    "Write --userns CONTAINER:HOST:SIZE, or --userns auto",
  ],
  [
    "gpus",
    "Show a GPU by its devices: --device /dev/dri, and its libraries with --volume",
  ],
  ["group-add", "An OCI bundle can: process.user.additionalGids"],
  [
    "health-cmd health-interval health-retries health-start-period health-start-interval health-timeout health-on-failure no-healthcheck",
    HEALTH,
  ],
  [
    "http-proxy",
    "Only what --env names is passed on: --env HTTP_PROXY --env HTTPS_PROXY",
  ],
  [
    "H host connection context url identity tls tlscacert tlscert tlskey tlsverify",
    CLUSTER,
  ],
  ["init-path", "--init runs rustyrun's own"],
  ["ip ip6 mac-address link-local-ip", NETWORKS],
  ["link net-alias network-alias", NETWORKS],
  ["isolation", "Containers are isolated by namespaces; there is no other way"],
  [
    "kernel-memory",
    "The kernel no longer has such a limit: --memory covers it",
  ],
  ["log-driver log-opt", LOGS],
  [
    "memory-swappiness",
    "An OCI bundle can, with cgroup v1: linux.resources.memory.swappiness",
  ],
  ["net", "Write --network none or --network host"],
  [
    "oom-kill-disable",
    "An OCI bundle can, with cgroup v1: linux.resources.memory.disableOOMKiller",
  ],
  ["oom-score-adj", "An OCI bundle can: process.oomScoreAdj"],
  ["image platform arch os variant pull authfile tls-verify", IMAGES],
  ["disable-content-trust decryption-key image-volume", IMAGES],
  ["personality", "An OCI bundle can: linux.personality"],
  ["pod requires infra", PODS],
  [
    "privileged",
    "There is no --privileged: name what is needed with --cap-add, --device and --security-opt",
  ],
  ["q quiet", "Only the container's output is printed"],
  [
    "read-only-tmpfs",
    "With --read-only name each: --tmpfs /tmp --tmpfs /run",
  ],
  ["replace", "Remove the other first: rustyrun delete --force NAME"],
  [
    "restart",
    "There are no restart policies: systemd or a loop can do that",
  ],
  ["rmi", IMAGES],
  ["runtime", "rustyrun is the runtime"],
  [
    "sdnotify systemd",
    "NOTIFY_SOCKET is passed on; systemd needs nothing else",
  ],
  ["seccomp-policy", "Write --security-opt seccomp=FILE"],
  ["secret", SECRETS],
  ["shm-size", "Write --tmpfs /dev/shm:size=SIZE"],
  ["stop-signal stop-timeout", STOPPING],
  ["storage-opt", "--ephemeral=DIR chooses the disk that changes go to"],
  ["tz", "Write --env TZ=NAME"],
  ["umask", "An OCI bundle can: process.user.umask"],
  ["unsetenv unsetenv-all", "Only what --env names is passed on"],
  [
    "passwd passwd-entry group-entry hostuser",
    "Show a file: -v FILE:/etc/passwd:ro",
  ],
  ["volume-driver", "There are no volume drivers: mount it on the host first"],
  ["use-api-socket", "Show the socket: -v SOCKET:SOCKET"],
  ["volumes-from", "Give the same --volume to both"],
];

/** Flags of other commands that mean something else there, or elsewhere. */
const otherFlags = (): Record<string, [string, string][]> => ({
  ps: [["a all q quiet n last no-trunc l latest filter s size", LIST]],
  list: [
    ["a all no-trunc n last s size l latest external", LIST],
    ["filter sort ns", "Let jq choose: rustyrun list --format json | jq"],
  ],
  state: [[
    "f format s size type",
    "It prints JSON: rustyrun state ID | jq .status",
  ]],
  wait: [["condition i interval", "It waits until the container has ended"]],
  events: [["no-stream", "Write rustyrun events --stats ID"]],
  kill: [["s signal", "Write the signal after the id: rustyrun kill ID TERM"]],
  start: [["a attach i interactive", ATTACH]],
  exec: [
    ["privileged", "Name what is needed: --cap CAP"],
    ["detach-keys", "Nothing detaches from a command in the foreground"],
    ["env-file", "Name each variable: --env NAME=VALUE"],
    ["l latest", `Name the container; ${LIST}`],
  ],
  update: [
    [
      "restart",
      "There are no restart policies: systemd or a loop can do that",
    ],
  ],
  delete: [
    ["v volumes l link", STORE],
    ["a all", "Write rustyrun delete --force --regex '.*'"],
  ],
  create: [[
    "name rootfs i interactive t tty it v volume e env mount tmpfs read-only ephemeral command w workdir u user hostname network init rm m memory memory-swap cpus cpuset-cpus pids-limit ulimit sysctl device cap-add cap-drop security-opt userns env-file",
    CREATE,
  ]],
});

function findHint(
  rows: readonly [string, string][] | undefined,
  name: string,
): string | undefined {
  return rows?.find(([words]) => words.split(" ").includes(name))?.[1];
}

/** What to do in place of a command of docker's or podman's. */
export function commandElsewhere(name: string): string | undefined {
  return findHint(commands(), name);
}

/** What to do in place of a command that docker and podman have, too, and mean
 * something else by: without words. */
export function wordlessElsewhere(command: string): string | undefined {
  return command === "ps"
    ? `${LIST}; rustyrun ps ID shows processes`
    : undefined;
}

/** What to do in place of a flag of docker's or podman's.
 *
 * @param command "" before any: it means run then
 * @param name without dashes */
export function flagElsewhere(
  command: string,
  name: string,
): string | undefined {
  if (command === "run" || command === "") return findHint(runFlags(), name);
  // Of kill(1) and docker: -9, -KILL.
  if (command === "kill" && /^(\d+|[A-Z][A-Z0-9+]+)$/.test(name)) {
    return `Write the signal after the id, without the dash: rustyrun kill ID ${name}`;
  }
  const hint = findHint(otherFlags()[command], name);
  const isOfRun = command === "create" &&
    findHint(runFlags(), name) !== undefined;
  return hint ?? (isOfRun ? CREATE : undefined);
}

/** Whether a word leads the caller to a directory. */
function isDirectory({ directory }: At, word: string): boolean {
  try {
    return statSync(absolutePath(directory(), word)).isDirectory;
  } catch {
    // What cannot be looked at is none.
    return false;
  }
}

/** A word as it can be typed again. */
const plain = (it: string) => /^[\w./:=@%+-]+$/.test(it) ? it : "...";

/** For `run` with a directory or an image's name that follows no --rootfs. */
export function rootfsElsewhere(words: readonly string[], at: At): string {
  const [word = "", ...rest] = words;
  const run = "rustyrun run --rootfs";
  return isDirectory(at, word)
    ? `Write --rootfs before it: ${[run, ...words.map(plain)].join(" ")}`
    : `rustyrun knows no images yet: unpack it into a directory, then ${
      [run, "DIR", ...rest.map(plain)].join(" ")
    }`;
}

/** For `run ID` in a directory that is no bundle: `run alpine` is the first
 * line that many type. */
export function imageMeant(
  id: string,
  at: At,
  cause: unknown,
): ContainerError {
  return new ContainerError(
    `Cannot run "${id}": there is no config.json here, and a root file system must follow --rootfs`,
    {
      code: "config-unreadable",
      hint: isDirectory(at, id)
        ? rootfsElsewhere([id], at)
        : `rustyrun knows no images yet: unpack ${
          plain(id)
        } into a directory (mkdir DIR && docker export $(docker create ${
          plain(id)
        }) | tar -xC DIR), then rustyrun run --rootfs DIR`,
      cause,
    },
  );
}

/** The tables, by the command whose flags they are ("" for commands): names
 * and hint of each row. */
export function listElsewhere(): [string, readonly [string, string][]][] {
  return [
    ["", commands()],
    ["run", runFlags()],
    ...Object.entries(otherFlags()),
  ];
}
