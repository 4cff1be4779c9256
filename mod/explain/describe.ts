/**
 * An operation in the kernel's words: calls by their names, numbers as the names
 * they have in manual pages, slots as what they hold.
 *
 * @module
 */

import { CLONE, MOUNT_ATTR, MS, PR, S_IF } from "../../ffi/constants.ts";
import type { Config } from "../config/config.ts";
import { COVER, type Op, REMOVE, SYNC } from "../plan.ts";
import { formatCapabilities } from "../security/capabilities.ts";

/** What the slots hold: "/proc" for the root's, "a new tmpfs". */
export type Held = Map<string, string>;

type Numeric = number | bigint;

function names(table: Record<string, number>, prefix: string, bits: Numeric) {
  return Object.entries(table)
    .filter(([, bit]) => bit !== 0 && (Number(bits) & bit) === bit)
    .map(([name]) => prefix + name);
}

const cloneFlags = (flags: Numeric): string =>
  names(CLONE, "CLONE_", flags).reverse().join("|") || "0";

const octal = (mode: Numeric): string => "0" + mode.toString(8);

const list = (items: readonly string[]): string => items.join(", ") || "none";

function capabilities(mask: Numeric): string {
  const found = formatCapabilities(BigInt(mask));
  return found.length === 41 ? "all 41" : list(found);
}

function text(data: Uint8Array): string {
  return data.length <= 200
    ? `"${JSON.stringify(new TextDecoder().decode(data)).slice(1, -1)}"`
    : `${data.length} bytes`;
}

/** Attributes of a mount in mount(8)'s words. */
export function mountAttributes(attr: Numeric): string[] {
  const bits = Number(attr);
  const flags = { ...MOUNT_ATTR, ATIME: 0, STRICTATIME: 0, NOATIME: 0 };
  const found = names(flags, "", bits);
  if ((bits & MOUNT_ATTR.ATIME) === MOUNT_ATTR.NOATIME) found.push("NOATIME");
  if ((bits & MOUNT_ATTR.ATIME) === MOUNT_ATTR.STRICTATIME) {
    found.push("STRICTATIME");
  }
  return found.map((it) => it === "RDONLY" ? "ro" : it.toLowerCase());
}

/** "c 1:3" of a mode and a device number; makedev(3) backwards. */
export function deviceNumber(mode: Numeric, rdev: Numeric): string {
  const number = BigInt(rdev);
  const major = ((number >> 8n) & 0xfffn) | ((number >> 32n) & ~0xfffn);
  const minor = (number & 0xffn) | ((number >> 12n) & 0xffffff00n);
  const kind = Number(mode) & S_IF.MT;
  if (kind === S_IF.IFO) return "p";
  return `${kind === S_IF.BLK ? "b" : "c"} ${major}:${minor}`;
}

/** CPUs or nodes of a bit mask: "0-3,8". */
export function bitList(mask: Uint8Array): string {
  const set = [...mask].flatMap((byte, at) =>
    [0, 1, 2, 3, 4, 5, 6, 7].filter((bit) => (byte >> bit) & 1)
      .map((bit) => 8 * at + bit)
  );
  const ranges: [number, number][] = [];
  for (const it of set) {
    const last = ranges.at(-1);
    if (last !== undefined && last[1] === it - 1) last[1] = it;
    else ranges.push([it, it]);
  }
  return ranges.map(([a, b]) => a === b ? `${a}` : `${a}-${b}`).join(",");
}

/** What a slot holds, for a reader. */
const held = (slot: string, slots: Held): string => slots.get(slot) ?? slot;

/** `path` below what `at` holds. */
function below(at: string, path: string, slots: Held): string {
  if (at === "" || path.startsWith("/")) return path;
  const base = at === "root" ? "" : held(at, slots);
  return path === "" ? base : `${base === "/" ? "" : base}/${path}`;
}

/** Slots that are known by their names: trees that the container never sees. */
const TREES: readonly string[] = ["files", "layers", "lower", "stage"];

/** Remembers what an operation puts into a slot. */
export function remember(op: Op, slots: Held): void {
  switch (op.do) {
    case "open":
    case "openTree":
      slots.set(
        op.into,
        slots.get(`stage/${op.path}`) ?? below(op.at, op.path, slots),
      );
      break;
    case "mkdirOwn":
      slots.set(op.into, below(op.at, op.name, slots));
      break;
    case "stage":
      slots.set(`stage/${op.name}`, held(op.tree, slots));
      break;
    case "target":
      slots.set(op.into, op.path);
      break;
    case "fsmount":
      slots.set(
        op.into,
        TREES.includes(op.into) ? op.into : `new ${op.fstype}`,
      );
      break;
    case "moveMount":
      // What is attached is from now on known by its place.
      if (op.tree !== "root" && !TREES.includes(op.tree)) {
        slots.set(op.tree, held(op.onto, slots));
      }
      break;
    case "pivot":
    case "chroot":
    case "enter":
      slots.set(op.root, "/");
      break;
    default:
  }
}

function describeMount(op: Op, config: Config, slots: Held) {
  switch (op.do) {
    case "openTree":
      return `open_tree("${
        slots.get(`stage/${op.path}`) ?? below(op.at, op.path, slots)
      }")${destinationOf(op, config)}`;
    case "fsmount": {
      const options = op.options.filter((it) => !it.startsWith("source="));
      const all = [...options, ...mountAttributes(op.attr)];
      return `fsopen("${op.fstype}"${
        all.length > 0 ? `, ${all.join(",")}` : ""
      })${destinationOf(op, config)}`;
    }
    case "mountSetattr": {
      const what = [
        ...mountAttributes(op.set),
        ...mountAttributes(op.clear).filter((it) => it !== "relatime")
          .map((it) => `not ${it}`),
        ...names(MS, "", op.propagation).map((it) => it.toLowerCase()),
        ...op.userns === "" ? [] : ["ids mapped"],
      ];
      const recursive = Number(op.flags) & 0x8000 ? ", and all below" : "";
      return `mount_setattr(${op.path || held(op.slot, slots)}${recursive}: ${
        list(what)
      })`;
    }
    case "unmount":
      return `umount2(${op.path === "/" ? "" : op.path}/${op.name})`;
    case "stage":
      return `move_mount(${held(op.tree, slots)} -> the stage)`;
    case "fchdir":
      return `fchdir(${held(op.slot, slots)})`;
    case "moveMount":
      return `move_mount(${held(op.tree, slots)} -> ${held(op.onto, slots)})`;
    case "target":
      return `open "${op.path}" in ${
        op.at === "" ? "the root" : held(op.at, slots)
      }, made if missing`;
    case "mask":
      return `move_mount(/dev/null or an empty directory -> ${op.path})`;
    case "readonly":
      return `mount_setattr(${op.path}: ro)`;
    case "reconfigure":
      return `fspick(${held(op.slot, slots)}, ${op.options.join(",")})`;
    case "copyUp":
      return `copy ${held(op.source, slots)} into ${held(op.onto, slots)}`;
    case "cover": {
      const what = names(COVER, "", op.take).join(", ");
      return `fchmodat(${held(op.tree, slots)}, ${what} of ${op.path}, or ${
        octal(op.mode)
      })`;
    }
    case "pivot":
      return 'pivot_root(".", "."), umount2(".", MNT_DETACH)';
    case "chroot":
    case "enter":
      return 'chroot(".")';
    default:
      return undefined;
  }
}

function destinationOf(op: Op, config: Config): string {
  const at = /^mounts\[(\d+)\]/.exec(op.from ?? "")?.[1];
  const found = at === undefined ? undefined : config.spec.mounts?.[Number(at)];
  return found === undefined ? "" : ` for ${found.destination}`;
}

const WAITS: Record<number, string> = {
  [SYNC.cgroups]: "until the cgroups are made",
  [SYNC.idMaps]: "until uid_map and gid_map are written",
  [SYNC.hooks]: "until the host has run its hooks",
  [SYNC.ready]: "until rlimits are set and the state is written",
  [SYNC.start]: "until the keeper watches",
  [SYNC.netDevices]: "until the network devices are there",
};

function describeFile(op: Op, slots: Held): string | undefined {
  switch (op.do) {
    case "open":
      return `open "${below(op.at, op.path, slots)}"`;
    case "close":
      return `close(${held(op.slot, slots)})`;
    case "verify":
      return `fstat(${held(op.slot, slots)})${
        Number(op.rdev) === 0
          ? ", fstatfs"
          : `: ${deviceNumber(op.type, op.rdev)}`
      }`;
    case "same":
      return `fstat(${held(op.slot, slots)}): the one that was looked at`;
    case "write":
      return `write ${text(op.data)} to ${
        op.at === "proc" || op.at === "self" ? "/proc/" : ""
      }${op.at === "self" ? "self/" : ""}${op.path}`;
    case "writeFd":
      return `write ${text(op.data)} to ${held(op.slot, slots)}`;
    case "mkdirOwn":
      return `mkdir ${
        below(op.at, op.name, slots)
      } 0700, which was not there, and open it`;
    case "mkdir":
      return `mkdir ${below(op.at, op.name, slots)} ${octal(op.mode)}`;
    case "mknod": {
      const device = deviceNumber(op.mode, op.rdev);
      return `mknod ${below(op.at, op.name, slots)} ${device} ${
        octal(Number(op.mode) & 0o7777)
      }`;
    }
    case "symlink":
      return `symlink ${below(op.at, op.name, slots)} -> ${op.target}`;
    case "file":
      return `create ${below(op.at, op.name, slots)} (${op.data.length} bytes)`;
    case "setxattr":
      return `fsetxattr(${held(op.slot, slots)}, ${op.name}=${op.value})`;
    case "chown":
      return `chown ${held(op.slot, slots)} ${op.uid}:${op.gid}`;
    case "pty":
      return "open a new pseudoterminal";
    case "ctty":
      return "ioctl(TIOCSCTTY)";
    case "dup":
      return `dup3(${held(op.slot, slots)}, ${op.fd})`;
    case "sendFd":
      return `send ${held(op.slot, slots)} to the host (SCM_RIGHTS)`;
    default:
      return undefined;
  }
}

function describePrctl(option: number, a: Numeric): string {
  const name = Object.entries(PR).find(([, it]) => it === option)?.[0];
  return `prctl(${name === undefined ? option : `PR_${name}`}, ${a})`;
}

function describeProcess(op: Op): string | undefined {
  switch (op.do) {
    case "keyring":
      return `keyctl(JOIN_SESSION_KEYRING, "${op.name}")`;
    case "prctl":
      return describePrctl(Number(op.option), op.a);
    case "capDrop":
      return `prctl(PR_CAPBSET_DROP) of all but ${capabilities(op.keep)}`;
    case "capSet": {
      const same = BigInt(op.effective) === BigInt(op.permitted);
      return `capset(permitted ${capabilities(op.permitted)}; effective ${
        same ? "the same" : capabilities(op.effective)
      }; inheritable ${capabilities(op.inheritable)})`;
    }
    case "capAmbient":
      return `prctl(PR_CAP_AMBIENT): ${capabilities(op.set)}`;
    case "setgroups": {
      const gids = new Uint32Array(op.gids.slice().buffer);
      return `setgroups(${[...gids].join(", ")})`;
    }
    case "setgid":
      return `setresgid(${op.gid})`;
    case "setuid":
      return `setresuid(${op.uid})`;
    case "umask":
      return `umask(${octal(op.mask)})`;
    case "sched":
      return "sched_setattr()";
    case "ioprio":
      return `ioprio_set(class ${Number(op.value) >> 13}, level ${
        Number(op.value) & 7
      })`;
    case "personality":
      return `personality(0x${op.value.toString(16)})`;
    case "mempolicy":
      return `set_mempolicy(nodes ${bitList(op.nodes) || "none"})`;
    case "affinity":
      return `sched_setaffinity(${
        op.cpus.length === 0 ? "every CPU" : `CPUs ${bitList(op.cpus)}`
      })`;
    case "chdir":
      return `chdir("${op.path}")`;
    case "seccomp":
      return `seccomp(SECCOMP_SET_MODE_FILTER, ${
        op.filter.length / 8
      } instructions)`;
    default:
      return undefined;
  }
}

/** An operation in the kernel's words. */
export function describeOp(
  op: Op,
  config: Config,
  slots: Held = new Map(),
): string {
  const found = describeMount(op, config, slots) ?? describeFile(op, slots) ??
    describeProcess(op);
  if (found !== undefined) return found;
  switch (op.do) {
    case "warden":
      return "fork the warden, which waits for the end of this process";
    case "unshare":
      return `unshare(${cloneFlags(op.flags)})`;
    case "fork":
      return `clone3(${cloneFlags(op.flags)}${
        op.cgroup === "" ? "" : "|CLONE_INTO_CGROUP"
      })`;
    case "userns":
      return `clone3(CLONE_NEWUSER) to hold ids: uid ${
        op.uidMap.trim().replaceAll("\n", ", ")
      }; gid ${op.gidMap.trim().replaceAll("\n", ", ")}`;
    case "setns":
      return `setns(${held(op.slot, slots)}, ${cloneFlags(op.type)})`;
    case "sync":
      return `wait for the host${
        WAITS[Number(op.id)] === undefined ? "" : `, ${WAITS[Number(op.id)]}`
      }`;
    case "spawn":
      return `run ${op.path}${
        op.argv.slice(1).map((it) => ` ${JSON.stringify(it)}`).join("")
      }${Number(op.timeout) > 0 ? `, at most ${op.timeout} s` : ""}`;
    case "setsid":
      return "setsid()";
    case "hostname":
      return `sethostname("${op.name}")`;
    case "domainname":
      return `setdomainname("${op.name}")`;
    case "linkUp":
      return `ioctl(SIOCSIFFLAGS, "${op.name}", IFF_UP)`;
    case "netlink":
      return `rtnetlink message for ${op.name}`;
    case "findExec":
      return `look for ${op.candidates.join(", ")}`;
    case "waitStart":
      return "write into exec.fifo, which is full until start reads it";
    case "rest":
      return "recvmsg() of the rest of the plan";
    case "closeFds":
      return `close_range(${3 + Number(op.keep)}, ~0)`;
    case "signals":
      return op.end
        ? "sigaction() of SIGHUP, SIGINT, SIGQUIT, SIGTERM: end"
        : "rt_sigprocmask() of none, SIGPIPE as it is by default";
    case "init":
      return op.idle
        ? "pid 1 reaps, and waits for a signal that ends it"
        : "fork: the child goes on, pid 1 forwards signals and reaps";
    case "remove":
      return `remove ${
        names(REMOVE, "", op.how).join(", ") || "only what is empty"
      }`;
    case "exec":
      return `execve(${op.argv.map((it) => JSON.stringify(it)).join(" ")})`;
    default:
      return op.do;
  }
}
