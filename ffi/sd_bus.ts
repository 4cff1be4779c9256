/**
 * D-Bus by libsystemd's sd-bus; sd-bus(3). A connection belongs to the thread that
 * has made it, as libsystemd wants it.
 *
 * @module
 */

import { errnoText } from "./errno.ts";
import { cstring } from "./libc.ts";
import {
  Buffers,
  BusError,
  type BusValue,
  check,
  d,
  encodeNumber,
  type Library,
  NULL,
  pointerIn,
  sdBus,
  SIZES,
  textAt,
  type Variant,
} from "./sd_bus_library.ts";

export { BusError, type BusValue };

/** The first complete type of a signature. */
export function firstType(signature: string): string {
  let depth = 0;
  for (let at = 0; at < signature.length; at++) {
    const letter = signature[at]!;
    if ("({".includes(letter)) depth++;
    if (")}".includes(letter)) depth--;
    if (depth === 0 && letter !== "a") return signature.slice(0, at + 1);
  }
  throw new BusError(`"${signature}" is no signature`);
}

const code = (letter: string) => letter.charCodeAt(0);

/** A message that is written. */
class Writer {
  readonly #lib: Library;
  readonly #message: bigint;
  readonly #buffers: Buffers;

  constructor(lib: Library, message: bigint, buffers: Buffers) {
    this.#lib = lib;
    this.#message = message;
    this.#buffers = buffers;
  }

  /** Appends values of a signature. */
  all(signature: string, values: readonly BusValue[]): void {
    for (const value of values) {
      const type = firstType(signature);
      this.#one(type, value);
      signature = signature.slice(type.length);
    }
  }

  #one(type: string, value: BusValue): void {
    const kind = type[0]!;
    switch (kind) {
      case "a": {
        const inner = type.slice(1);
        return this.#inside("a", inner, () => {
          for (const one of value as BusValue[]) this.#one(inner, one);
        });
      }
      case "(":
      case "{": {
        const inner = type.slice(1, -1);
        return this.#inside(
          kind === "(" ? "r" : "e",
          inner,
          () => this.all(inner, value as BusValue[]),
        );
      }
      case "v": {
        const { signature, value: one } = value as Variant;
        return this.#inside("v", signature, () => this.#one(signature, one));
      }
    }
    const bytes = kind in SIZES
      ? encodeNumber(kind, value)
      : cstring(String(value));
    check(
      "Cannot write a message",
      this.#lib.sd_bus_message_append_basic(
        this.#message,
        code(kind),
        this.#buffers.at(bytes),
        d,
      ),
    );
  }

  #inside(kind: string, contents: string, write: () => void): void {
    check(
      "Cannot write a message",
      this.#lib.sd_bus_message_open_container(
        this.#message,
        code(kind),
        this.#buffers.text(contents),
        d,
      ),
    );
    write();
    check(
      "Cannot write a message",
      this.#lib.sd_bus_message_close_container(this.#message, d),
    );
  }
}

/** A method, and whose. */
export interface Method {
  destination: string;
  path: string;
  interface: string;
  member: string;
}

/** A connection, to a bus or to one program. */
export class Bus {
  readonly #lib: Library;
  readonly #bus: bigint;

  /**
   * Connects.
   *
   * @param to an address of the D-Bus Specification, "unix:path=..."
   * @param direct it is a program that is at the other end, and no bus
   * @throws {BusError} when nobody is there
   */
  constructor(to: string, direct: boolean) {
    this.#lib = sdBus();
    const buffers = new Buffers();
    const out = new Uint8Array(8);
    check("Cannot connect", this.#lib.sd_bus_new(buffers.at(out), d));
    this.#bus = pointerIn(out);
    try {
      const what = `Cannot connect to ${to}`;
      check(
        what,
        this.#lib.sd_bus_set_address(this.#bus, buffers.text(to), d),
      );
      check(
        what,
        this.#lib.sd_bus_set_bus_client(this.#bus, direct ? 0 : 1, d),
      );
      check(what, this.#lib.sd_bus_start(this.#bus, d));
    } catch (error) {
      this.close();
      throw error;
    } finally {
      buffers.end();
    }
  }

  /**
   * Calls a method and waits for its answer, at most 25 s.
   *
   * @param read the types that are read of the answer, each "s", "o", "u", ...,
   * or "v" for a variant that holds a text
   * @returns what they are: texts, and numbers of up to 32 bits
   * @throws {BusError} with the name of the error that came back
   */
  call(
    { destination, path, interface: face, member }: Method,
    signature: string,
    values: readonly BusValue[],
    read = "",
  ): (string | number)[] {
    const lib = this.#lib;
    const buffers = new Buffers();
    const out = new Uint8Array(8);
    let message = NULL, reply = NULL;
    // sd_bus_error: const char *name, *message; int _need_free.
    const error = new Uint8Array(24);
    try {
      check(
        "Cannot write a message",
        lib.sd_bus_message_new_method_call(
          this.#bus,
          buffers.at(out),
          buffers.text(destination),
          buffers.text(path),
          buffers.text(face),
          buffers.text(member),
          d,
        ),
      );
      message = pointerIn(out);
      new Writer(lib, message, buffers).all(signature, values);
      const answer = new Uint8Array(8);
      const result = lib.sd_bus_call(
        this.#bus,
        message,
        NULL,
        buffers.at(error),
        buffers.at(answer),
        d,
      );
      if (result < 0) {
        const text = textAt(pointerIn(error, 8));
        throw new BusError(
          text === "" ? errnoText(-result) : text,
          textAt(pointerIn(error)),
        );
      }
      reply = pointerIn(answer);
      return this.#read(reply, read);
    } finally {
      lib.sd_bus_error_free(buffers.at(error), d);
      if (message !== NULL) lib.sd_bus_message_unref(message, d);
      if (reply !== NULL) lib.sd_bus_message_unref(reply, d);
      buffers.end();
    }
  }

  #read(message: bigint, types: string): (string | number)[] {
    const lib = this.#lib;
    const buffers = new Buffers();
    const values = [...types].map((type) => {
      if (type === "v") {
        check(
          "Cannot read a message",
          lib.sd_bus_message_enter_container(
            message,
            code("v"),
            buffers.text("s"),
            d,
          ),
        );
        type = "s";
      }
      const out = new Uint8Array(8);
      check(
        "Cannot read a message",
        lib.sd_bus_message_read_basic(message, code(type), buffers.at(out), d),
      );
      return type in SIZES
        ? new DataView(out.buffer).getUint32(0, true)
        : textAt(pointerIn(out));
    });
    buffers.end();
    return values;
  }

  /**
   * Waits for a signal.
   *
   * @param types what is read of it, as in {@linkcode Bus.call}
   * @param wanted whether it is the one
   * @param seconds for how many seconds without any message it is waited
   * @returns false when it did not come
   * @throws {BusError} when the connection ends
   */
  await(
    face: string,
    member: string,
    types: string,
    wanted: (values: (string | number)[]) => boolean,
    seconds: number,
  ): boolean {
    const lib = this.#lib;
    const buffers = new Buffers();
    const [faceAt, memberAt] = [buffers.text(face), buffers.text(member)];
    const out = new Uint8Array(8);
    const outAt = buffers.at(out);
    try {
      for (let idle = 0; idle < seconds;) {
        const more = check(
          "Cannot read",
          lib.sd_bus_process(this.#bus, outAt, d),
        );
        const message = pointerIn(out);
        if (more === 0) {
          // It comes back for any message, and after a second for none.
          const news = check(
            "Cannot wait",
            lib.sd_bus_wait(this.#bus, 1_000_000n, d),
          );
          if (news === 0) idle++;
          continue;
        }
        if (message === NULL) continue;
        try {
          if (
            lib.sd_bus_message_is_signal(message, faceAt, memberAt, d) > 0 &&
            wanted(this.#read(message, types))
          ) return true;
        } finally {
          lib.sd_bus_message_unref(message, d);
        }
      }
      return false;
    } finally {
      buffers.end();
    }
  }

  /** Sends what is still to be sent, and ends the connection. */
  close(): void {
    this.#lib.sd_bus_flush_close_unref(this.#bus, d);
  }
}
