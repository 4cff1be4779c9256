/**
 * Loads device programs and attaches them to v2 cgroups: bpf(2). The system
 * calls are handed in, so that nothing is opened before it is needed.
 *
 * @module
 */

import { errnoName } from "../../ffi/errno.ts";
import { address, cstring, trySyscall } from "../../ffi/libc.ts";
import { ContainerError } from "../errors.ts";
import type { DevicePlan } from "./model.ts";

/** The system calls that are needed. */
export interface Kernel {
  /** Makes a system call, a buffer as a pointer to its bytes: the result, or
   * minus the errno. */
  trySyscall(
    call: "bpf" | "openat" | "close",
    ...args: (number | bigint | Uint8Array)[]
  ): number;
  /** The address of a buffer that the caller keeps alive. */
  address(bytes: Uint8Array): bigint;
}

/** The machine's. */
export const LIBC: Kernel = { trySyscall, address };

const AT_FDCWD = -100;
const BPF_PROG_LOAD = 5;
const BPF_PROG_ATTACH = 8;
const BPF_PROG_DETACH = 9;
const BPF_PROG_GET_FD_BY_ID = 13;
const BPF_OBJ_GET_INFO_BY_FD = 15;
const BPF_PROG_QUERY = 16;
const BPF_PROG_TYPE_CGROUP_DEVICE = 15;
const BPF_CGROUP_DEVICE = 6;
/** Programs of the cgroups above hold too, and so does a second one here. */
const BPF_F_ALLOW_MULTI = 2;
/** The kernel allows 64 programs on a cgroup. */
const MAX_PROGRAMS = 64;

const O_CLOEXEC = 0o2000000;

/** At most 15 bytes. */
const NAME = "rustyrun_dev";

const encoder = new TextEncoder();

/** bpf(2) with a block of attributes: offset -> value, a bigint in 8 bytes. */
function callBpf(
  kernel: Kernel,
  command: number,
  attr: Uint8Array,
  values: Record<number, number | bigint>,
): number {
  const view = new DataView(attr.buffer);
  for (const [offset, value] of Object.entries(values)) {
    if (typeof value === "bigint") view.setBigUint64(+offset, value, true);
    else view.setUint32(+offset, value, true);
  }
  return kernel.trySyscall("bpf", command, attr, attr.length);
}

function check(wanted: string, result: number): number {
  if (result >= 0) return result;
  const errno = errnoName(-result);
  throw new ContainerError(`Cannot ${wanted}: ${errno}`, {
    code: "device-program-refused",
    hint: errno === "EPERM" || errno === "EACCES"
      ? "It needs CAP_BPF and CAP_NET_ADMIN, or CAP_SYS_ADMIN (in a container: --privileged)"
      : errno === "ENOSYS" || errno === "EINVAL"
      ? "The kernel needs CONFIG_BPF_SYSCALL and CONFIG_CGROUP_BPF"
      : undefined,
  });
}

/**
 * Loads a program of BPF_PROG_TYPE_CGROUP_DEVICE.
 *
 * @returns its descriptor
 * @throws {ContainerError} when the kernel refuses it
 */
function loadProgram(kernel: Kernel, program: Uint8Array): number {
  // Only a program that calls GPL helpers must be GPL; this one calls none.
  const license = encoder.encode("Apache-2.0\0");
  const attr = new Uint8Array(72);
  attr.set(encoder.encode(NAME), 48);
  const result = callBpf(kernel, BPF_PROG_LOAD, attr, {
    0: BPF_PROG_TYPE_CGROUP_DEVICE,
    4: program.length / 8,
    8: kernel.address(program),
    16: kernel.address(license),
    68: BPF_CGROUP_DEVICE,
  });
  keep(program, license);
  return check("load the device program", result);
}

/** Uses buffers after a call that only knew their addresses: until here the
 * garbage collector leaves them alone. */
function keep(...buffers: Uint8Array[]): void {
  for (const buffer of buffers) buffer.at(0);
}

function listPrograms(kernel: Kernel, cgroup: number): Uint32Array {
  const ids = new Uint8Array(4 * MAX_PROGRAMS);
  const attr = new Uint8Array(64);
  const result = callBpf(kernel, BPF_PROG_QUERY, attr, {
    0: cgroup,
    4: BPF_CGROUP_DEVICE,
    16: kernel.address(ids),
    24: MAX_PROGRAMS,
  });
  keep(ids);
  check("list the device programs of the cgroup", result);
  return new Uint32Array(
    ids.buffer,
    0,
    new DataView(attr.buffer).getUint32(24, true),
  );
}

/** Which programs of a cgroup are replaced: those of an earlier container too, or
 * rustyrun's alone. */
export type Replaced = "none" | "all" | "own";

/** Whether a program is one of ours; struct bpf_prog_info. */
function isOwn(kernel: Kernel, program: number): boolean {
  const info = new Uint8Array(80);
  check(
    "look at a device program",
    callBpf(kernel, BPF_OBJ_GET_INFO_BY_FD, new Uint8Array(16), {
      0: program,
      4: info.length,
      8: kernel.address(info),
    }),
  );
  keep(info);
  const name = encoder.encode(NAME);
  return name.every((byte, at) => info[64 + at] === byte);
}

/**
 * Loads a device program and attaches it to the cgroup. Programs that are replaced
 * are detached after the new one holds: all that are attached must agree, so there
 * is no moment without rules.
 *
 * @throws {ContainerError} when the kernel refuses it
 */
export function attachDevices(
  { dir, program }: Pick<DevicePlan, "dir" | "program">,
  kernel: Kernel,
  replace: Replaced = "none",
): void {
  const fds: number[] = [];
  const hold = (fd: number) => {
    fds.push(fd);
    return fd;
  };
  try {
    const path = cstring(dir);
    const cgroup = hold(check(
      `open the cgroup "${dir}"`,
      kernel.trySyscall("openat", AT_FDCWD, path, O_CLOEXEC, 0),
    ));
    const loaded = hold(loadProgram(kernel, program));
    const there = replace === "none"
      ? []
      : [...listPrograms(kernel, cgroup)].map((id) =>
        hold(check(
          "open an earlier device program",
          callBpf(kernel, BPF_PROG_GET_FD_BY_ID, new Uint8Array(12), { 0: id }),
        ))
      );
    const old = replace === "own"
      ? there.filter((it) => isOwn(kernel, it))
      : there;
    const wanted = `attach the device program to "${dir}"`;
    check(
      wanted,
      callBpf(kernel, BPF_PROG_ATTACH, new Uint8Array(20), {
        0: cgroup,
        4: loaded,
        8: BPF_CGROUP_DEVICE,
        12: BPF_F_ALLOW_MULTI,
      }),
    );
    for (const fd of old) {
      check(
        `detach an earlier device program from "${dir}"`,
        callBpf(kernel, BPF_PROG_DETACH, new Uint8Array(20), {
          0: cgroup,
          4: fd,
          8: BPF_CGROUP_DEVICE,
        }),
      );
    }
  } finally {
    for (const fd of fds) kernel.trySyscall("close", fd);
  }
}
