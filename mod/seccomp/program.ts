/**
 * Assembles classic BPF for seccomp.
 *
 * A filter can only jump forwards, so the program is built from its end: what
 * an instruction jumps to always exists already, a label is a plain index, and
 * nothing is patched afterwards.
 *
 * @module
 */

/** BPF opcodes of linux/bpf_common.h. */
export const BPF = {
  /** BPF_LD | BPF_W | BPF_ABS: 4 bytes of struct seccomp_data. */
  load: 0x20,
  and: 0x54,
  ja: 0x05,
  jeq: 0x15,
  jgt: 0x25,
  jge: 0x35,
  ret: 0x06,
} as const;

/** BPF_MAXINSNS of linux/bpf_common.h. */
export const BPF_MAXINSNS = 4096;

/** Furthest conditional jump is 255 instructions; two may be added between. */
const NEAR = 253;

/** A range of 32-bit values: from `start` up to the next one's. */
export interface Range<T> {
  start: number;
  target: T;
}

/** A program under construction: the last instruction comes first. */
export class Program {
  /** code | jt << 16 | jf << 24, and k, of each instruction. */
  #heads: number[] = [];
  #ks: number[] = [];
  #rets = new Map<number, number>();

  /** Number of instructions so far. */
  get length(): number {
    return this.#heads.length;
  }

  #emit(code: number, jt: number, jf: number, k: number): number {
    this.#ks.push(k);
    return this.#heads.push(code | jt << 16 | jf << 24) - 1;
  }

  /** A label that returns `action`; one within reach is shared. */
  ret(action: number): number {
    const known = this.#rets.get(action);
    if (known !== undefined && this.#heads.length - known < NEAR) return known;
    const label = this.#emit(BPF.ret, 0, 0, action);
    this.#rets.set(action, label);
    return label;
  }

  /** A label within reach that goes on at `label`. */
  #near(label: number): number {
    if (this.#heads.length - label < NEAR) return label;
    if (this.#heads[label] === BPF.ret) return this.ret(this.#ks[label]!);
    return this.#emit(BPF.ja, 0, 0, this.#heads.length - label - 1);
  }

  /** A conditional jump on the accumulator; plain `yes` when both are one. */
  jump(code: number, k: number, yes: number, no: number): number {
    if (yes === no) return yes;
    yes = this.#near(yes);
    no = this.#near(no);
    const at = this.#heads.length;
    return this.#emit(code, at - yes - 1, at - no - 1, k);
  }

  /** Loads 4 bytes at `offset` of struct seccomp_data, then goes to `label`. */
  load(offset: number, label: number): number {
    this.#follow(label);
    return this.#emit(BPF.load, 0, 0, offset);
  }

  /** Masks the accumulator, then goes to `label`. */
  and(mask: number, label: number): number {
    this.#follow(label);
    return this.#emit(BPF.and, 0, 0, mask);
  }

  /** Makes `label` what the next instruction falls through to. */
  #follow(label: number): void {
    const distance = this.#heads.length - label - 1;
    if (distance === 0) return;
    if (this.#heads[label] === BPF.ret) {
      this.#emit(BPF.ret, 0, 0, this.#ks[label]!);
    } else this.#emit(BPF.ja, 0, 0, distance);
  }

  /**
   * A binary search over the accumulator.
   *
   * @param ranges sorted by start, the first from 0, neighbours different
   * @param label makes the label of a target
   */
  search<T>(ranges: readonly Range<T>[], label: (target: T) => number): number {
    const half = (from: number, to: number): number => {
      if (to - from === 1) return label(ranges[from]!.target);
      const second = ranges[from + 1]!;
      if (
        to - from === 3 && ranges[from + 2]!.start === second.start + 1 &&
        ranges[from + 2]!.target === ranges[from]!.target
      ) {
        // One value in between: a comparison instead of two.
        const yes = label(second.target);
        return this.jump(BPF.jeq, second.start, yes, half(from, from + 1));
      }
      // Odd lengths end in such a triple on the right more often than not.
      const middle = from + (to - from + 1 >> 1);
      const yes = half(middle, to);
      const no = half(from, middle);
      return this.jump(BPF.jge, ranges[middle]!.start, yes, no);
    };
    return half(0, ranges.length);
  }

  /** The program from `label` on as an array of struct sock_filter. */
  encode(label: number): Uint8Array<ArrayBuffer> {
    this.#follow(label);
    const count = this.#heads.length;
    const words = new Uint32Array(count * 2);
    for (let i = 0; i < count; i++) {
      words[i * 2] = this.#heads[count - 1 - i]!;
      words[i * 2 + 1] = this.#ks[count - 1 - i]!;
    }
    return new Uint8Array(words.buffer);
  }
}
