/**
 * Reads `linux.seccomp` of a config.json (config-linux.md#seccomp) into the
 * kernel's numbers, and refuses what cannot be applied.
 *
 * @module
 */

import { ContainerError } from "../errors.ts";
import { type Arch, archName, FAMILY, type NativeArch } from "./arch.ts";

/** One comparison of `linux.seccomp.syscalls[].args`. */
export interface SeccompArg {
  index: number;
  value: number | bigint;
  valueTwo?: number | bigint | undefined;
  op: string;
}

/** One element of `linux.seccomp.syscalls`. */
export interface SeccompSyscall {
  names: readonly string[];
  action: string;
  errnoRet?: number | undefined;
  args?: readonly SeccompArg[] | null | undefined;
}

/** `linux.seccomp`. */
export interface SeccompProfile {
  defaultAction: string;
  defaultErrnoRet?: number | undefined;
  architectures?: readonly string[] | null | undefined;
  flags?: readonly string[] | null | undefined;
  listenerPath?: string | undefined;
  listenerMetadata?: string | undefined;
  syscalls?: readonly SeccompSyscall[] | null | undefined;
}

/** SECCOMP_RET_* of linux/seccomp.h. */
export const RET = {
  killProcess: 0x80000000,
  killThread: 0,
  trap: 0x00030000,
  errno: 0x00050000,
  notify: 0x7fc00000,
  trace: 0x7ff00000,
  log: 0x7ffc0000,
  allow: 0x7fff0000,
} as const;

const ACTIONS: Readonly<Record<string, number>> = {
  __proto__: null as never,
  SCMP_ACT_KILL: RET.killThread,
  SCMP_ACT_KILL_THREAD: RET.killThread,
  SCMP_ACT_KILL_PROCESS: RET.killProcess,
  SCMP_ACT_TRAP: RET.trap,
  SCMP_ACT_ERRNO: RET.errno,
  SCMP_ACT_TRACE: RET.trace,
  SCMP_ACT_ALLOW: RET.allow,
  SCMP_ACT_LOG: RET.log,
  SCMP_ACT_NOTIFY: RET.notify,
};

/** SECCOMP_FILTER_FLAG_* of linux/seccomp.h. */
export const FLAG = {
  tsync: 1,
  log: 2,
  specAllow: 4,
  newListener: 8,
  tsyncEsrch: 16,
  waitKillableRecv: 32,
} as const;

const FLAGS: Readonly<Record<string, number>> = {
  __proto__: null as never,
  SECCOMP_FILTER_FLAG_TSYNC: FLAG.tsync,
  SECCOMP_FILTER_FLAG_LOG: FLAG.log,
  SECCOMP_FILTER_FLAG_SPEC_ALLOW: FLAG.specAllow,
  SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: FLAG.waitKillableRecv,
};

/** Operators of config-linux.md#seccomp, without their SCMP_CMP_. */
const OPERATORS = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"];

/** One comparison: two 32-bit halves, because BPF has 32-bit words. */
export interface Condition {
  index: number;
  op: string;
  hi: number;
  lo: number;
  maskHi: number;
  maskLo: number;
}

/** A rule: it acts when every condition of one alternative holds. No
 * alternatives: always. */
export interface Rule {
  names: readonly string[];
  action: number;
  /** Place in the profile. */
  order: number;
  alternatives: Condition[][];
}

function refuse(path: string, why: string, hint?: string): never {
  throw new ContainerError(`Cannot apply linux.seccomp${path}: ${why}`, {
    code: "seccomp-invalid",
    hint,
  });
}

/** The value of SECCOMP_RET_* with its data. Only ERRNO and TRACE take an
 * errno (config-linux.md: anything else MUST be refused); EPERM unless told.
 *
 * @param rule index of the rule; -1 for the default action
 */
function readAction(
  name: string,
  errno: number | undefined | null,
  rule: number,
): number {
  const path = (rest: string) =>
    rule < 0
      ? `.default${rest[0]!.toUpperCase()}${rest.slice(1)}`
      : `.syscalls[${rule}].${rest}`;
  const action = ACTIONS[name];
  if (action === undefined) {
    refuse(path("action"), `${JSON.stringify(name)} is not a seccomp action`);
  }
  const takes = action === RET.errno || action === RET.trace;
  if (errno === undefined || errno === null) return takes ? action | 1 : action;
  if (!takes) refuse(path("errnoRet"), `"${name}" does not take an errno`);
  // The kernel turns more than MAX_ERRNO into 4095 (kernel/seccomp.c), and a
  // tracer gets 16 bits.
  const most = action === RET.errno ? 4095 : 65535;
  if (!Number.isInteger(errno) || errno < 0 || errno > most) {
    refuse(path("errnoRet"), `${errno} is not between 0 and ${most}`);
  }
  return action | errno;
}

const MAX_U64 = 0xffffffffffffffffn;

/** Says where a value is; called when it is refused. */
type Path = () => string;

function readWords(value: number | bigint, path: Path): [number, number] {
  if (typeof value === "number") {
    if (!Number.isSafeInteger(value) || value < 0) {
      refuse(path(), `${value} is not an exact unsigned 64-bit integer`);
    }
    return [Math.floor(value / 0x100000000), value >>> 0];
  }
  if (value < 0n || value > MAX_U64) {
    refuse(path(), `${value} is not an unsigned 64-bit integer`);
  }
  return [Number(value >> 32n), Number(value & 0xffffffffn)];
}

function readCondition(arg: SeccompArg, path: Path): Condition {
  const op = `${arg.op}`.startsWith("SCMP_CMP_") ? arg.op.slice(9) : "";
  if (!OPERATORS.includes(op)) {
    refuse(
      `${path()}.op`,
      `${JSON.stringify(arg.op)} is not a comparison operator`,
    );
  }
  const { index } = arg;
  if (!Number.isInteger(index) || index < 0 || index > 5) {
    refuse(`${path()}.index`, `${index} is not between 0 and 5`);
  }
  const [hi, lo] = readWords(arg.value, () => `${path()}.value`);
  if (op !== "MASKED_EQ") return { index, op, hi, lo, maskHi: 0, maskLo: 0 };
  const [twoHi, twoLo] = readWords(
    arg.valueTwo ?? 0,
    () => `${path()}.valueTwo`,
  );
  // The value is masked too, as libseccomp does.
  return {
    index,
    op,
    hi: (twoHi & hi) >>> 0,
    lo: (twoLo & lo) >>> 0,
    maskHi: hi,
    maskLo: lo,
  };
}

/** Conditions of a rule. Where one argument is compared twice every condition
 * is a rule of its own, as engines have always had it from runc. */
function readAlternatives(
  args: readonly SeccompArg[],
  rule: number,
): Condition[][] {
  const conditions: Condition[] = [];
  for (let i = 0; i < args.length; i++) {
    const path = () => `.syscalls[${rule}].args[${i}]`;
    conditions.push(readCondition(args[i]!, path));
  }
  let seen = 0;
  for (const { index } of conditions) {
    if (seen & 1 << index) return conditions.map((condition) => [condition]);
    seen |= 1 << index;
  }
  return conditions.length ? [conditions] : [];
}

/** A profile in the kernel's numbers. */
export interface ReadProfile {
  /** SECCOMP_RET_* for what no rule matches. */
  action: number;
  rules: Rule[];
}

/**
 * Reads the actions and rules of a profile.
 *
 * @throws {ContainerError} `seccomp-invalid`, with the JSON path of what is
 * unknown or cannot be applied
 */
export function readProfile(profile: SeccompProfile): ReadProfile {
  const action = readAction(profile.defaultAction, profile.defaultErrnoRet, -1);
  const rules = (profile.syscalls ?? []).map((syscall, i): Rule => {
    const { names, args } = syscall;
    if (!names?.length) {
      refuse(`.syscalls[${i}].names`, "it names no system call");
    }
    return {
      names,
      action: readAction(syscall.action, syscall.errnoRet, i),
      order: i,
      alternatives: args?.length ? readAlternatives(args, i) : [],
    };
  });
  return { action, rules };
}

/**
 * Architectures that the filter decides for: the native one, listed or not (as
 * with libseccomp, which every engine's profile was written for), and the
 * listed ones that its kernel can run.
 *
 * @throws {ContainerError} `seccomp-invalid` for an unknown name
 */
export function readArchitectures(
  profile: SeccompProfile,
  native: NativeArch,
): Arch[] {
  const listed = (profile.architectures ?? []).map((name, i) => {
    const arch = archName(name);
    if (arch === undefined) {
      refuse(
        `.architectures[${i}]`,
        `${JSON.stringify(name)} is not an architecture`,
      );
    }
    return arch;
  });
  return FAMILY[native].filter((arch, i) => i === 0 || listed.includes(arch));
}

/** How a filter is installed. */
export interface SeccompUse {
  /** SECCOMP_FILTER_FLAG_* for seccomp(2). */
  flags: number;
  /** Some call is reported to a listener: seccomp(2) returns its descriptor. */
  notify: boolean;
}

/**
 * Reads what goes beside the filter. Cheap: callers that have the filter from
 * a cache use it alone.
 *
 * Without `flags` it is SPEC_ALLOW alone, as runc has it (an empty list is
 * none). WAIT_KILLABLE_RECV (Linux 6.0) means nothing without a listener, where
 * the kernel refuses it: it is left out then. With a listener TSYNC needs
 * TSYNC_ESRCH (Linux 5.7), because the two share the return value.
 *
 * @throws {ContainerError} `seccomp-invalid`: an unknown flag, a listener that
 * the profile needs and does not name, metadata without a listener
 */
export function readSeccompUse(profile: SeccompProfile): SeccompUse {
  let flags = profile.flags ? 0 : FLAG.specAllow;
  profile.flags?.forEach((name, i) => {
    const flag = FLAGS[name];
    if (flag === undefined) {
      refuse(`.flags[${i}]`, `${JSON.stringify(name)} is not a seccomp flag`);
    }
    flags |= flag;
  });
  const listens = "SCMP_ACT_NOTIFY";
  const notify = profile.defaultAction === listens ||
    !!profile.syscalls?.some(({ action }) => action === listens);
  if (profile.listenerMetadata && !profile.listenerPath) {
    refuse(".listenerMetadata", "linux.seccomp.listenerPath is not set");
  }
  if (notify && !profile.listenerPath) {
    refuse(
      ".listenerPath",
      `"${listens}" needs the path of a listener's socket`,
      "Set linux.seccomp.listenerPath to the socket of a seccomp agent",
    );
  }
  if (!notify) return { flags: flags & ~FLAG.waitKillableRecv, notify };
  flags |= FLAG.newListener;
  if (flags & FLAG.tsync) flags |= FLAG.tsyncEsrch;
  return { flags, notify };
}
