/**
 * libsystemd's sd-bus, opened when it is first needed; sd-bus(3). sd_bus.ts has the
 * connections.
 *
 * @module
 */

import { fromBytes } from "./bytes.ts";
import { errnoText } from "./errno.ts";
import { address, cstring } from "./libc.ts";

// As in libc.ts: it keeps Deno from compiling a trampoline per symbol.
const D = { struct: ["u8"] } as const;
/** What every symbol takes last. */
export const d = new Uint8Array(1);

const SYMBOLS = {
  /** int sd_bus_new(sd_bus **) */
  sd_bus_new: { parameters: ["i64", D], result: "i32" },
  /** int sd_bus_set_address(sd_bus *, const char *) */
  sd_bus_set_address: { parameters: ["i64", "i64", D], result: "i32" },
  /** int sd_bus_set_bus_client(sd_bus *, int) */
  sd_bus_set_bus_client: { parameters: ["i64", "i32", D], result: "i32" },
  /** int sd_bus_start(sd_bus *) */
  sd_bus_start: { parameters: ["i64", D], result: "i32" },
  /** sd_bus *sd_bus_flush_close_unref(sd_bus *) */
  sd_bus_flush_close_unref: { parameters: ["i64", D], result: "i64" },
  /** int sd_bus_message_new_method_call(sd_bus *, sd_bus_message **, const char
   * *destination, *path, *interface, *member) */
  sd_bus_message_new_method_call: {
    parameters: ["i64", "i64", "i64", "i64", "i64", "i64", D],
    result: "i32",
  },
  /** int sd_bus_message_append_basic(sd_bus_message *, char type, const void *) */
  sd_bus_message_append_basic: {
    parameters: ["i64", "i8", "i64", D],
    result: "i32",
  },
  /** int sd_bus_message_open_container(sd_bus_message *, char type, const char
   * *contents) */
  sd_bus_message_open_container: {
    parameters: ["i64", "i8", "i64", D],
    result: "i32",
  },
  /** int sd_bus_message_close_container(sd_bus_message *) */
  sd_bus_message_close_container: { parameters: ["i64", D], result: "i32" },
  /** int sd_bus_message_enter_container(sd_bus_message *, char type, const char
   * *contents) */
  sd_bus_message_enter_container: {
    parameters: ["i64", "i8", "i64", D],
    result: "i32",
  },
  /** int sd_bus_message_read_basic(sd_bus_message *, char type, void *) */
  sd_bus_message_read_basic: {
    parameters: ["i64", "i8", "i64", D],
    result: "i32",
  },
  /** int sd_bus_message_is_signal(sd_bus_message *, const char *interface,
   * *member) */
  sd_bus_message_is_signal: {
    parameters: ["i64", "i64", "i64", D],
    result: "i32",
  },
  /** sd_bus_message *sd_bus_message_unref(sd_bus_message *) */
  sd_bus_message_unref: { parameters: ["i64", D], result: "i64" },
  /** int sd_bus_call(sd_bus *, sd_bus_message *, uint64_t usec, sd_bus_error *,
   * sd_bus_message **reply) */
  sd_bus_call: {
    parameters: ["i64", "i64", "i64", "i64", "i64", D],
    result: "i32",
  },
  /** int sd_bus_process(sd_bus *, sd_bus_message **) */
  sd_bus_process: { parameters: ["i64", "i64", D], result: "i32" },
  /** int sd_bus_wait(sd_bus *, uint64_t usec) */
  sd_bus_wait: { parameters: ["i64", "i64", D], result: "i32" },
  /** void sd_bus_error_free(sd_bus_error *) */
  sd_bus_error_free: { parameters: ["i64", D], result: "void" },
} as const satisfies Deno.ForeignLibraryInterface;

/** Its symbols. */
export type Library = Deno.DynamicLibrary<typeof SYMBOLS>["symbols"];

/** A value of D-Bus: numbers of 64 bits may be bigint; arrays and structs are
 * arrays, a variant is {@linkcode Variant}. */
export type BusValue =
  | string
  | number
  | bigint
  | boolean
  | Variant
  | readonly BusValue[];

/** A value with its signature; D-Bus Specification, "Type System". */
export interface Variant {
  signature: string;
  value: BusValue;
}

/** A refusal. */
export class BusError extends Error {
  override name = "BusError";
  /** "org.freedesktop.systemd1.UnitExists"; of libsystemd itself,
   * "System.Error.ENOENT" and the like, or "" */
  readonly code: string;

  constructor(message: string, code = "") {
    super(message);
    this.code = code;
  }
}

const LIBRARY = "libsystemd.so.0";
let library: Library | undefined;

/** The library, which one thread opens for itself. */
export function sdBus(): Library {
  try {
    return library ??= Deno.dlopen(LIBRARY, SYMBOLS).symbols;
  } catch (error) {
    throw new BusError(
      `${LIBRARY} cannot be loaded: ${
        error instanceof Error ? error.message : error
      }`,
      "library",
    );
  }
}

/** Buffers of one call: they live until it is over. */
export class Buffers {
  readonly #all: Uint8Array[] = [];

  at(bytes: Uint8Array): bigint {
    this.#all.push(bytes);
    return address(bytes);
  }

  text(text: string): bigint {
    return this.at(cstring(text));
  }

  /** Uses them once more, so that the garbage collector has left them alone. */
  end(): void {
    for (const bytes of this.#all) bytes.at(0);
  }
}

/** No pointer. */
export const NULL = 0n;

/** A result that is no error.
 *
 * @throws {BusError} */
export function check(what: string, result: number): number {
  if (result >= 0) return result;
  throw new BusError(`${what}: ${errnoText(-result)}`);
}

/** Reads a C string of the library's. */
export function textAt(pointer: bigint): string {
  const at = Deno.UnsafePointer.create(pointer);
  if (at === null) return "";
  const view = new Deno.UnsafePointerView(at);
  const bytes: number[] = [];
  for (let byte; (byte = view.getUint8(bytes.length)) !== 0;) bytes.push(byte);
  return fromBytes(new Uint8Array(bytes));
}

/** A pointer that a call has written. */
export function pointerIn(bytes: Uint8Array, offset = 0): bigint {
  return new DataView(bytes.buffer).getBigUint64(offset, true);
}

/** Bytes of each kind of number. */
export const SIZES: Record<string, number> = {
  y: 1,
  n: 2,
  q: 2,
  b: 4,
  i: 4,
  u: 4,
  x: 8,
  t: 8,
  d: 8,
};

/** The bytes of a number, as this machine has them. */
export function encodeNumber(type: string, value: BusValue): Uint8Array {
  const bytes = new Uint8Array(SIZES[type]!);
  const view = new DataView(bytes.buffer);
  if (type === "d") view.setFloat64(0, Number(value), true);
  else {
    const number = BigInt(value as number | bigint | boolean);
    // Any width: what is above it was refused where the value was read.
    for (let at = 0; at < bytes.length; at++) {
      bytes[at] = Number((number >> BigInt(8 * at)) & 0xffn);
    }
  }
  return bytes;
}
