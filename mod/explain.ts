/**
 * Explains a container before there is one: the plan in words, each step with
 * its reason and the flag or key that it came from.
 *
 * @module
 */

import type { CgroupPlan } from "./cgroups.ts";
import type { Config } from "./config/config.ts";
import type { Step } from "./container/order.ts";
import type { Op, Phase } from "./plan.ts";

/** One line of an explanation. */
export interface Explained {
  /** The step of the plan, or "cgroup" for what the host does itself. */
  step: Phase | "cgroup";
  /** What is done, near the kernel's words. */
  action: string;
  /** Why. */
  why: string;
  /** The config key, absent for what every container gets. */
  from?: string;
  /** The flag as typed, where one set the key. */
  flag?: string;
}

/** What each step of the order is for. */
const TITLES: Record<Phase | "cgroup", string> = {
  cgroup: "Cgroups, made by the host",
  warden: "Somebody who cleans up",
  sources: "What the host lends, opened with the host's eyes",
  cgroupOpen: "The container's cgroup",
  user: "User namespace",
  time: "Time namespace",
  namespaces: "Namespaces that are joined",
  fork: "The first process",
  cgroupJoin: "Into the cgroup",
  session: "A session of its own",
  network: "Network",
  uts: "Names",
  root: "The root file system",
  mounts: "Mounts",
  devices: "Devices",
  hooks: "Hooks",
  console: "Terminal",
  pivot: "The root becomes /",
  sysctl: "Kernel settings",
  readonly: "What may not be changed",
  masked: "What may not be seen",
  rootReadonly: "Read-only root",
  process: "The process",
  privileges: "No new privileges",
  ready: "The host's last word",
  seccompEarly: "System calls",
  labels: "Security labels",
  credentials: "User, groups, capabilities",
  findExec: "The command",
  close: "Nothing else stays open",
  seccomp: "System calls",
  waitStart: "Waiting",
  startHooks: "Hooks",
  exec: "Go",
};

const NAMESPACES: [number, string][] = [
  [0x10000000, "CLONE_NEWUSER"],
  [0x00020000, "CLONE_NEWNS"],
  [0x20000000, "CLONE_NEWPID"],
  [0x40000000, "CLONE_NEWNET"],
  [0x08000000, "CLONE_NEWIPC"],
  [0x04000000, "CLONE_NEWUTS"],
  [0x02000000, "CLONE_NEWCGROUP"],
  [0x00000080, "CLONE_NEWTIME"],
];

function namespaceFlags(flags: number | bigint): string {
  return NAMESPACES.filter(([bit]) => (Number(flags) & bit) !== 0)
    .map(([, name]) => name).join("|") || "0";
}

const octal = (mode: number | bigint): string => "0" + mode.toString(8);

const words = (data: Uint8Array): string =>
  data.length <= 200
    ? JSON.stringify(new TextDecoder().decode(data)).slice(1, -1)
    : `${data.length} bytes`;

function targetOf(op: Op, config: Config): string {
  const at = /^mounts\[(\d+)\]/.exec(op.from ?? "")?.[1];
  const found = at === undefined ? undefined : config.spec.mounts?.[Number(at)];
  return found === undefined ? "" : ` for ${found.destination}`;
}

function describeMount(op: Op, config: Config): string | undefined {
  switch (op.do) {
    case "openTree":
      return op.path === ""
        ? `open_tree(${op.at})`
        : `open_tree("${op.path}")${targetOf(op, config)}`;
    case "fsmount":
      return `fsopen("${op.fstype}"${
        op.options.length > 0 ? `, ${op.options.join(",")}` : ""
      })${targetOf(op, config)}`;
    case "mountSetattr":
      return `mount_setattr(${op.path || op.slot})${targetOf(op, config)}`;
    case "moveMount":
      return `move_mount(${op.tree} -> ${op.onto})`;
    case "target":
      return `open "${op.path}" in the root, made if missing`;
    case "mask":
      return `cover ${op.path}`;
    case "readonly":
      return `make ${op.path} read-only`;
    case "pivot":
      return 'pivot_root(".", ".")';
    case "chroot":
      return 'chroot(".")';
    default:
      return undefined;
  }
}

/** An operation in the kernel's words. */
export function describeOp(op: Op, config: Config): string {
  const mount = describeMount(op, config);
  if (mount !== undefined) return mount;
  switch (op.do) {
    case "unshare":
      return `unshare(${namespaceFlags(op.flags)})`;
    case "fork":
      return `clone3(${namespaceFlags(op.flags)})`;
    case "setns":
      return `setns(${namespaceFlags(op.type)})`;
    case "sync":
      return "wait for the host";
    case "open":
      return `open "${op.path}"`;
    case "write":
      return `write "${words(op.data)}" to ${op.path}`;
    case "writeFd":
      return `write "${words(op.data)}"`;
    case "mkdir":
      return `mkdir ${op.name} ${octal(op.mode)}`;
    case "mknod":
      return `mknod ${op.name} ${octal(op.mode)}`;
    case "symlink":
      return `symlink ${op.name} -> ${op.target}`;
    case "file":
      return `create ${op.name} (${op.data.length} bytes)`;
    case "hostname":
      return `sethostname("${op.name}")`;
    case "domainname":
      return `setdomainname("${op.name}")`;
    case "linkUp":
      return `set ${op.name} up`;
    case "keyring":
      return `keyctl(JOIN_SESSION_KEYRING, "${op.name}")`;
    case "prctl":
      return `prctl(${op.option}, ${op.a})`;
    case "capDrop":
      return `prctl(PR_CAPBSET_DROP), keeping 0x${op.keep.toString(16)}`;
    case "capSet":
      return `capset(effective 0x${op.effective.toString(16)}, permitted 0x${
        op.permitted.toString(16)
      }, inheritable 0x${op.inheritable.toString(16)})`;
    case "capAmbient":
      return `prctl(PR_CAP_AMBIENT, 0x${op.set.toString(16)})`;
    case "setgroups":
      return `setgroups(${op.gids.length / 4})`;
    case "setgid":
      return `setresgid(${op.gid})`;
    case "setuid":
      return `setresuid(${op.uid})`;
    case "umask":
      return `umask(${octal(op.mask)})`;
    case "chdir":
      return `chdir("${op.path}")`;
    case "findExec":
      return `look for ${op.candidates.join(", ")}`;
    case "seccomp":
      return `seccomp(${op.filter.length / 8} instructions)`;
    case "closeFds":
      return `close_range(${3 + Number(op.keep)}, ~0)`;
    case "exec":
      return `execve(${op.argv.map((it) => JSON.stringify(it)).join(" ")})`;
    default:
      return op.do;
  }
}

/** The whole explanation, in the order in which things happen. */
export function explainPlan(
  steps: readonly Step[],
  cgroup: CgroupPlan,
  config: Config,
): Explained[] {
  const lines: Explained[] = [];
  const add = (
    step: Explained["step"],
    action: string,
    why: string,
    from: string | undefined,
  ) => {
    const flag = from === undefined ? undefined : config.flags.get(from);
    lines.push({
      step,
      action,
      why,
      ...(from === undefined ? {} : { from }),
      ...(flag === undefined ? {} : { flag }),
    });
  };
  for (const dir of cgroup.dirs) {
    add("cgroup", `mkdir ${dir.path}`, "account for the container", undefined);
  }
  for (const write of cgroup.devices?.writes ?? []) {
    add(
      "cgroup",
      `write "${write.value}" to ${write.file}`,
      "allow only the listed devices",
      "linux.resources.devices",
    );
  }
  if (cgroup.devices !== undefined && cgroup.devices.program.length > 0) {
    add(
      "cgroup",
      `bpf(BPF_PROG_TYPE_CGROUP_DEVICE) on ${cgroup.devices.dir}`,
      "allow only the listed devices",
      "linux.resources.devices",
    );
  }
  for (const write of cgroup.writes) {
    add(
      "cgroup",
      `write "${write.value}" to ${write.file}`,
      write.why,
      write.from,
    );
  }
  for (const note of cgroup.notes) add("cgroup", "leave out", note, undefined);
  for (const [phase, ops] of steps) {
    for (const op of ops) add(phase, describeOp(op, config), op.why, op.from);
  }
  return lines;
}

/** The explanation as text for a person. */
export function formatExplanation(lines: readonly Explained[]): string {
  let text = "";
  let step: string | undefined;
  let number = 0;
  for (const line of lines) {
    if (line.step !== step) {
      step = line.step;
      text += `${text === "" ? "" : "\n"}${TITLES[line.step]}\n`;
    }
    const origin = line.flag ?? line.from;
    text += `${
      String(++number).padStart(4)
    }  ${line.action}\n      ${line.why}${
      origin === undefined ? "" : `  [${origin}]`
    }\n`;
  }
  return text;
}
