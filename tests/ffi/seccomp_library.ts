/**
 * Builds filters with libseccomp, in the way in which runc does (tests only).
 *
 * @module
 */

import type { SeccompProfile } from "../../mod/seccomp.ts";
import { actionOf } from "../seccomp/oracle.ts";

const SYMBOLS = {
  /** scmp_filter_ctx seccomp_init(uint32_t def_action) */
  seccomp_init: { parameters: ["u32"], result: "pointer" },
  /** void seccomp_release(scmp_filter_ctx ctx) */
  seccomp_release: { parameters: ["pointer"], result: "void" },
  /** int seccomp_arch_add(scmp_filter_ctx ctx, uint32_t arch_token) */
  seccomp_arch_add: { parameters: ["pointer", "u32"], result: "i32" },
  /** int seccomp_arch_remove(scmp_filter_ctx ctx, uint32_t arch_token) */
  seccomp_arch_remove: { parameters: ["pointer", "u32"], result: "i32" },
  /** int seccomp_rule_add_array(ctx, uint32_t action, int syscall,
   * unsigned int arg_cnt, const struct scmp_arg_cmp *arg_array) */
  seccomp_rule_add_array: {
    parameters: ["pointer", "u32", "i32", "u32", "buffer"],
    result: "i32",
  },
  /** int seccomp_syscall_resolve_name(const char *name) */
  seccomp_syscall_resolve_name: { parameters: ["buffer"], result: "i32" },
  /** int seccomp_syscall_resolve_name_arch(uint32_t arch, const char *name) */
  seccomp_syscall_resolve_name_arch: {
    parameters: ["u32", "buffer"],
    result: "i32",
  },
  /** int seccomp_export_bpf(const scmp_filter_ctx ctx, int fd) */
  seccomp_export_bpf: { parameters: ["pointer", "i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

const LIBC = {
  /** int memfd_create(const char *name, unsigned int flags) */
  memfd_create: { parameters: ["buffer", "u32"], result: "i32" },
  /** int close(int fd) */
  close: { parameters: ["i32"], result: "i32" },
} as const satisfies Deno.ForeignLibraryInterface;

/** libseccomp's tokens: seccomp.h, SCMP_ARCH_*. */
export const TOKENS: Readonly<Record<string, number>> = {
  SCMP_ARCH_X86_64: 0xc000003e,
  SCMP_ARCH_X86: 0x40000003,
  SCMP_ARCH_X32: 0x4000003e,
  SCMP_ARCH_AARCH64: 0xc00000b7,
  SCMP_ARCH_ARM: 0x40000028,
};

const OPERATORS = ["", "NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"];

function cstring(text: string): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(text + "\0");
}

function open<const S extends Deno.ForeignLibraryInterface>(
  name: string,
  symbols: S,
): Deno.StaticForeignLibraryInterface<S> | undefined {
  try {
    return Deno.dlopen(name, symbols).symbols;
  } catch {
    return undefined;
  }
}

// At import: a library opened inside a test counts as a leak.
const library = open("libseccomp.so.2", SYMBOLS);
const libc = open("libc.so.6", LIBC);

/** The number of a name for an architecture of libseccomp; negative where it
 * has none, -1 when the name is unknown everywhere. */
export function resolveName(name: string, token?: number): number {
  return token === undefined
    ? library!.seccomp_syscall_resolve_name(cstring(name))
    : library!.seccomp_syscall_resolve_name_arch(token, cstring(name));
}

/** EEXIST: libseccomp takes no two rules with the same conditions and different
 * actions, and runc refuses such a profile. With us the first one wins. */
export class Conflict extends Error {
  override name = "Conflict";
}

/** Compiles a profile for exactly the architectures that it lists. */
export function compileWithLibseccomp(profile: SeccompProfile): Uint8Array {
  const symbols = library!;
  const check = (what: string, result: number) => {
    if (result < 0) throw new Error(`${what}: ${result}`);
  };
  const fallback = actionOf(profile.defaultAction, profile.defaultErrnoRet);
  const context = symbols.seccomp_init(fallback);
  if (!context) throw new Error("seccomp_init");
  try {
    const native = TOKENS.SCMP_ARCH_X86_64!;
    const tokens = profile.architectures!.map((name) => TOKENS[name]!);
    for (const token of tokens) {
      if (token !== native) {
        check("arch_add", symbols.seccomp_arch_add(context, token));
      }
    }
    if (!tokens.includes(native)) {
      check("arch_remove", symbols.seccomp_arch_remove(context, native));
    }
    for (const rule of profile.syscalls ?? []) {
      const action = actionOf(rule.action, rule.errnoRet);
      if (action === fallback) continue;
      const args = rule.args ?? [];
      const structs = args.map((arg) => {
        const struct = new DataView(new ArrayBuffer(24));
        struct.setUint32(0, arg.index, true);
        struct.setUint32(4, OPERATORS.indexOf(arg.op.slice(9)), true);
        struct.setBigUint64(8, BigInt(arg.value), true);
        struct.setBigUint64(16, BigInt(arg.valueTwo ?? 0), true);
        return new Uint8Array(struct.buffer);
      });
      const twice = new Set(args.map(({ index }) => index)).size < args.length;
      for (const name of rule.names) {
        const number = resolveName(name);
        if (number === -1) continue;
        const add = (list: Uint8Array<ArrayBuffer>[]) => {
          const bytes = new Uint8Array(Math.max(24, list.length * 24));
          list.forEach((struct, i) => bytes.set(struct, i * 24));
          const result = symbols.seccomp_rule_add_array(
            context,
            action,
            number,
            list.length,
            bytes,
          );
          if (result === -17) throw new Conflict();
          check(`rule_add ${name}`, result);
        };
        if (twice) { for (const struct of structs) add([struct]); }
        else add(structs);
      }
    }
    const fd = libc!.memfd_create(cstring("bpf"), 1);
    check("memfd_create", fd);
    try {
      check("export", symbols.seccomp_export_bpf(context, fd));
      return Deno.readFileSync(`/proc/self/fd/${fd}`);
    } finally {
      libc!.close(fd);
    }
  } finally {
    symbols.seccomp_release(context);
  }
}
