/**
 * Compiles device rules to a BPF program for cgroup v2: the bytes that
 * bpf(2) BPF_PROG_LOAD takes for BPF_PROG_TYPE_CGROUP_DEVICE (linux/bpf.h,
 * struct bpf_cgroup_dev_ctx; kernel 4.15, 32-bit jumps 5.1).
 *
 * The program keeps the requested accesses that no rule has decided yet in r3
 * and goes through the rules from the last to the first: an allow rule takes
 * its accesses out (none left: allowed), a deny rule that holds one of them
 * denies. So the last rule that matches decides, for each access on its own.
 *
 * @module
 */

import type { DeviceRule } from "./model.ts";

const LDX_W = 0x61;
const ALU32 = { movX: 0xbc, movK: 0xb4, andK: 0x54, rshK: 0x74 };
const MOV64_K = 0xb7;
const JMP32 = { neK: 0x56, setK: 0x46 };
const JA = 0x05;
const EXIT = 0x95;

/** BPF_DEVCG_ACC_*: mknod 1, read 2, write 4. */
const ACCESS: Record<string, number> = { m: 1, r: 2, w: 4 };
/** BPF_DEVCG_DEV_*: block 1, char 2. */
const TYPE: Record<string, number> = { b: 1, c: 2 };

type Insn = [op: number, dst: number, src: number, off: number, imm: number];

/** The program for rules of which the last match decides; a device that none
 * matches is denied. */
export function compileDevices(
  rules: readonly DeviceRule[],
): Uint8Array<ArrayBuffer> {
  const insns: Insn[] = [
    [LDX_W, 2, 1, 0, 0], // r2 = access_type
    [ALU32.movX, 3, 2, 0, 0],
    [ALU32.andK, 2, 0, 0, 0xffff], // r2 = type
    [ALU32.rshK, 3, 0, 0, 16], // r3 = access
    [LDX_W, 4, 1, 4, 0], // r4 = major
    [LDX_W, 5, 1, 8, 0], // r5 = minor
  ];
  // What lies before a rule that decides everything is never reached.
  const start = rules.findLastIndex((r) =>
    r.type === "a" && r.major === null && r.minor === null && r.access === "rwm"
  );
  let last = false;
  for (let i = rules.length - 1; i >= Math.max(start, 0); i--) {
    const rule = rules[i]!;
    if (i === start) {
      insns.push([MOV64_K, 0, 0, 0, rule.allow ? 1 : 0], [EXIT, 0, 0, 0, 0]);
      last = true;
      break;
    }
    insns.push(...compileRule(rule));
  }
  if (!last) insns.push([MOV64_K, 0, 0, 0, 0], [EXIT, 0, 0, 0, 0]);
  return encode(insns);
}

function compileRule(rule: DeviceRule): Insn[] {
  let access = 0;
  for (const c of rule.access) access |= ACCESS[c]!;
  const body: Insn[] = rule.allow
    ? [
      [ALU32.andK, 3, 0, 0, ~access & 7],
      [JMP32.neK, 3, 0, 2, 0],
      [MOV64_K, 0, 0, 0, 1],
      [EXIT, 0, 0, 0, 0],
    ]
    : [
      [JMP32.setK, 3, 0, 1, access],
      [JA, 0, 0, 2, 0],
      [MOV64_K, 0, 0, 0, 0],
      [EXIT, 0, 0, 0, 0],
    ];
  const tests: [register: number, value: number][] = [];
  if (rule.type !== "a") tests.push([2, TYPE[rule.type]!]);
  if (rule.major !== null) tests.push([4, rule.major]);
  if (rule.minor !== null) tests.push([5, rule.minor]);
  return [
    ...tests.map(([register, value], i): Insn => [
      JMP32.neK,
      register,
      0,
      tests.length - i - 1 + body.length,
      value,
    ]),
    ...body,
  ];
}

function encode(insns: readonly Insn[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(insns.length * 8);
  const view = new DataView(bytes.buffer);
  for (const [i, [op, dst, src, off, imm]] of insns.entries()) {
    view.setUint8(i * 8, op);
    view.setUint8(i * 8 + 1, src << 4 | dst);
    view.setInt16(i * 8 + 2, off, true);
    view.setInt32(i * 8 + 4, imm | 0, true);
  }
  return bytes;
}
