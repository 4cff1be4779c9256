/**
 * Profiles as the engines' files have them (`--security-opt seccomp=FILE`):
 * the OCI form with conditions on capabilities, architecture and kernel.
 *
 * @module
 */

import { ContainerError } from "../errors.ts";
import type { NativeArch } from "./arch.ts";
import type { SeccompHost } from "./default.ts";
import type { SeccompProfile, SeccompSyscall } from "./profile.ts";

/** Conditions of a rule: all must hold. */
interface Conditions {
  caps?: string[] | null;
  arches?: string[] | null;
  minKernel?: string;
}

/** One rule of a file; `name` is the form before Docker 1.13. */
interface FileSyscall extends SeccompSyscall {
  name?: string;
  includes?: Conditions | null;
  excludes?: Conditions | null;
  /** The name of errnoRet, in podman's files. */
  errno?: string;
}

/** A profile as Docker's and podman's files have it. */
export interface SeccompFile extends Omit<SeccompProfile, "syscalls"> {
  archMap?: {
    architecture: string;
    subArchitectures?: string[] | null;
  }[] | null;
  syscalls?: FileSyscall[] | null;
  defaultErrno?: string;
}

/** The engines' names for our architectures. */
const NAMES: Readonly<Record<NativeArch, readonly [string, string]>> = {
  x86_64: ["amd64", "SCMP_ARCH_X86_64"],
  aarch64: ["arm64", "SCMP_ARCH_AARCH64"],
};

function refuse(path: string, why: string): never {
  throw new ContainerError(`Cannot use the seccomp profile: ${path}: ${why}`, {
    code: "seccomp-file-invalid",
    hint: "Use a profile as Docker and podman have it, or linux.seccomp",
  });
}

function isFrom(kernel: SeccompHost["kernel"], least: string, path: string) {
  const match = /^(\d+)\.(\d+)$/.exec(least);
  if (!match) refuse(path, `${JSON.stringify(least)} is not KERNEL.MAJOR`);
  const major = Number(match[1]);
  return kernel.major > major ||
    kernel.major === major && kernel.minor >= Number(match[2]);
}

/** Whether a rule of a file holds on a host: moby and containers-common read
 * `includes` as "all of", `excludes` as "none of". */
function applies(
  { includes, excludes }: FileSyscall,
  host: SeccompHost,
  path: string,
): boolean {
  const arch = NAMES[host.arch][0];
  const has = (cap: string) => host.capabilities.includes(cap);
  if (excludes) {
    if (excludes.caps?.some(has)) return false;
    if (excludes.arches?.includes(arch)) return false;
    const { minKernel } = excludes;
    if (minKernel && isFrom(host.kernel, minKernel, `${path}.excludes`)) {
      return false;
    }
  }
  if (includes) {
    if (!(includes.caps ?? []).every(has)) return false;
    if (includes.arches?.length && !includes.arches.includes(arch)) {
      return false;
    }
    const { minKernel } = includes;
    if (minKernel && !isFrom(host.kernel, minKernel, `${path}.includes`)) {
      return false;
    }
  }
  return true;
}

/**
 * Resolves an engine's profile for a container on a host: one that has the shape
 * (../config/seccomp_file.ts).
 *
 * @throws {ContainerError} `seccomp-file-invalid`: two spellings of one thing,
 * an errno by name alone, a kernel version that is none
 */
export function resolveSeccompFile(
  file: SeccompFile,
  host: SeccompHost,
): SeccompProfile {
  const { archMap, syscalls, defaultErrno, ...profile } = file;
  if (archMap?.length && profile.architectures?.length) {
    refuse("archMap", "architectures is there too");
  }
  if (defaultErrno && profile.defaultErrnoRet === undefined) {
    refuse("defaultErrno", "defaultErrnoRet is not there");
  }
  const native = NAMES[host.arch][1];
  const map = archMap?.find(({ architecture }) => architecture === native);
  const rules: SeccompSyscall[] = [];
  (syscalls ?? []).forEach((rule, i) => {
    const path = `syscalls[${i}]`;
    if (rule.name && rule.names?.length) {
      refuse(`${path}.name`, "names is there too");
    }
    if (rule.errno && (rule.errnoRet ?? undefined) === undefined) {
      refuse(`${path}.errno`, "errnoRet is not there");
    }
    if (!applies(rule, host, path)) return;
    rules.push({
      names: rule.name ? [rule.name] : rule.names,
      action: rule.action,
      ...(typeof rule.errnoRet === "number" ? { errnoRet: rule.errnoRet } : {}),
      ...(rule.args?.length ? { args: rule.args } : {}),
    });
  });
  return {
    ...profile,
    ...(map ? { architectures: [native, ...map.subArchitectures ?? []] } : {}),
    syscalls: rules,
  };
}
