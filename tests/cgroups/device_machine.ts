/**
 * What the kernel does with device rules, in three ways that tests compare: the
 * meaning of the rules, a small BPF machine, and a v1 devices cgroup.
 *
 * @module
 */

import type { DeviceRule } from "../../mod/cgroups/model.ts";

/** An access to a device: some of "rwm" at once, as open(2) and mknod(2) ask. */
export interface Access {
  type: "b" | "c";
  major: number;
  minor: number;
  access: string;
}

/** By the words: for each access the last rule that matches decides. */
export function decideByRules(
  rules: readonly DeviceRule[],
  asked: Access,
): boolean {
  return [...asked.access].every((bit) =>
    rules.findLast((r) =>
      (r.type === "a" || r.type === asked.type) &&
      (r.major === null || r.major === asked.major) &&
      (r.minor === null || r.minor === asked.minor) &&
      r.access.includes(bit)
    )?.allow ?? false
  );
}

/** Runs a program of BPF_PROG_TYPE_CGROUP_DEVICE; knows the instructions of
 * the compiler and throws for any other, and for a jump backwards or outside. */
export function runProgram(program: Uint8Array, asked: Access): boolean {
  const bits: Record<string, number> = { m: 1, r: 2, w: 4 };
  const access = [...asked.access].reduce((n, c) => n | bits[c]!, 0);
  const context = [
    access << 16 | (asked.type === "b" ? 1 : 2),
    asked.major,
    asked.minor,
  ];
  const view = new DataView(program.buffer, program.byteOffset);
  const reg = new Array<number>(11).fill(NaN);
  for (let pc = 0; pc < program.length / 8; pc++) {
    const op = view.getUint8(pc * 8);
    const dst = view.getUint8(pc * 8 + 1) & 15;
    const src = view.getUint8(pc * 8 + 1) >> 4;
    const off = view.getInt16(pc * 8 + 2, true);
    const imm = view.getInt32(pc * 8 + 4, true);
    const jump = () => {
      if (off < 0) throw new RangeError("jump backwards");
      pc += off;
    };
    switch (op) {
      case 0x61: // ldxw
        if (src !== 1 || off % 4 !== 0 || off > 8) throw new RangeError("load");
        reg[dst] = context[off / 4]! >>> 0;
        break;
      case 0xbc:
        reg[dst] = reg[src]! >>> 0;
        break;
      case 0x54:
        reg[dst] = (reg[dst]! & imm) >>> 0;
        break;
      case 0x74:
        reg[dst] = reg[dst]! >>> imm;
        break;
      case 0xb7:
        reg[dst] = imm;
        break;
      case 0x56: // jne32
        if (reg[dst]! >>> 0 !== imm >>> 0) jump();
        break;
      case 0x46: // jset32
        if ((reg[dst]! & imm) !== 0) jump();
        break;
      case 0x05:
        jump();
        break;
      case 0x95:
        return reg[0] === 1;
      default:
        throw new RangeError(`unknown instruction ${op.toString(16)}`);
    }
  }
  throw new RangeError("no exit");
}

/** A v1 devices cgroup: what security/device_cgroup.c keeps and decides. */
export class DeviceCgroup {
  #allow = true;
  #exceptions = new Map<string, string>();

  /** Writes to devices.allow or devices.deny. */
  write(file: string, value: string): void {
    const allow = file.endsWith("devices.allow");
    if (value === "a") {
      this.#allow = allow;
      this.#exceptions.clear();
      return;
    }
    const [type, numbers, access] = value.split(" ");
    const key = `${type} ${numbers}`;
    const has = this.#exceptions.get(key) ?? "";
    if (allow === this.#allow) {
      const rest = [...has].filter((c) => !access!.includes(c)).join("");
      if (rest === "") this.#exceptions.delete(key);
      else this.#exceptions.set(key, rest);
    } else this.#exceptions.set(key, has + access);
  }

  /** Denying, one exception must hold the whole access; allowing, none may hold
   * a part of it. */
  decide(asked: Access): boolean {
    const found = [...this.#exceptions].some(([key, access]) => {
      const [type, numbers] = key.split(" ");
      const [major, minor] = numbers!.split(":");
      const bits = [...asked.access];
      return type === asked.type &&
        (major === "*" || Number(major) === asked.major) &&
        (minor === "*" || Number(minor) === asked.minor) &&
        (this.#allow
          ? bits.some((b) => access.includes(b))
          : bits.every((b) => access.includes(b)));
    });
    return found !== this.#allow;
  }
}
