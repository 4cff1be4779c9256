/**
 * Runs classic BPF as the kernel runs a seccomp filter (tests only), with the
 * kernel's checks of a program before that.
 *
 * @module
 */

/** struct seccomp_data without the instruction pointer. */
export interface SeccompData {
  nr: number;
  arch: number;
  /** Up to six; the rest is 0. */
  args: readonly bigint[];
}

/** A program that has passed the checks. */
export type Bpf = Uint32Array;

const LD = 0x20;
const AND = 0x54;
const JA = 0x05;
const JEQ = 0x15;
const JGT = 0x25;
const JGE = 0x35;
const JSET = 0x45;
const RET = 0x06;

/**
 * Checks a program as bpf_check_classic and seccomp_check_filter of Linux do.
 *
 * @throws {Error} when Linux would refuse it
 */
export function checkBpf(filter: Uint8Array): Bpf {
  const bytes = filter.slice();
  const words = new Uint32Array(bytes.buffer);
  const count = words.length / 2;
  if (count < 1 || count > 4096 || filter.length % 8) {
    throw new Error(`${count} instructions`);
  }
  for (let i = 0; i < count; i++) {
    const code = words[i * 2]! & 0xffff;
    const jt = words[i * 2]! >>> 16 & 0xff;
    const jf = words[i * 2]! >>> 24;
    const k = words[i * 2 + 1]!;
    const far = code === JA ? k : Math.max(jt, jf);
    switch (code) {
      case LD:
        if (k % 4 || k >= 64) throw new Error(`${i}: load at ${k}`);
        break;
      case JA:
      case JEQ:
      case JGT:
      case JGE:
      case JSET:
        if (i + far + 1 >= count) throw new Error(`${i}: jump out`);
        break;
      case AND:
      case RET:
        break;
      default:
        throw new Error(`${i}: code ${code}`);
    }
  }
  if ((words[count * 2 - 2]! & 0xffff) !== RET) throw new Error("no return");
  return words;
}

/** Returns SECCOMP_RET_* and its data for one system call. */
export function runBpf(bpf: Bpf, { nr, arch, args }: SeccompData): number {
  let a = 0;
  for (let pc = 0;; pc++) {
    const head = bpf[pc * 2]!;
    const k = bpf[pc * 2 + 1]!;
    let holds: boolean;
    switch (head & 0xffff) {
      case LD:
        if (k === 0) a = nr >>> 0;
        else if (k === 4) a = arch >>> 0;
        else if (k < 16) a = 0;
        else {
          const arg = args[(k - 16) >> 3] ?? 0n;
          a = Number(k & 4 ? arg >> 32n : arg & 0xffffffffn);
        }
        continue;
      case AND:
        a = (a & k) >>> 0;
        continue;
      case JA:
        pc += k;
        continue;
      case RET:
        return k;
      case JEQ:
        holds = a === k;
        break;
      case JGT:
        holds = a > k;
        break;
      case JGE:
        holds = a >= k;
        break;
      default:
        holds = (a & k) !== 0;
    }
    pc += holds ? head >>> 16 & 0xff : head >>> 24;
  }
}
