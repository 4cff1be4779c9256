/**
 * The few messages of criu's protocol that are needed, as bytes: protocol
 * buffers, criu's images/rpc.proto. The numbers are those of criu 3.17.
 *
 * @module
 */

/** A field of a message: its number, and what is in it. A list is a message
 * inside the message; undefined and false are left out. */
export type Field = readonly [
  number: number,
  value: number | boolean | string | readonly Field[] | undefined,
];

/** What is asked for; enum criu_req_type. */
export const REQUEST = {
  dump: 1,
  restore: 2,
  preDump: 4,
  notify: 6,
  featureCheck: 9,
  version: 10,
} as const;

/** message criu_opts. */
export const OPTION = {
  imagesDirFd: 1,
  pid: 2,
  leaveRunning: 3,
  extUnixSk: 4,
  tcpEstablished: 5,
  evasiveDevices: 6,
  shellJob: 7,
  fileLocks: 8,
  logLevel: 9,
  logFile: 10,
  pageServer: 11,
  notifyScripts: 12,
  root: 13,
  parentImg: 14,
  trackMem: 15,
  autoDedup: 16,
  workDirFd: 17,
  extMnt: 23,
  manageCgroups: 24,
  cgRoot: 25,
  rstSibling: 26,
  inheritFd: 27,
  manageCgroupsMode: 34,
  external: 37,
  emptyNs: 38,
  joinNs: 39,
  freezeCgroup: 44,
  lazyPages: 48,
  orphanPtsMaster: 50,
  lsmProfile: 53,
  lsmMountContext: 63,
} as const;

/** enum criu_cg_mode. */
export const CGROUPS_MODE = {
  ignore: 0,
  soft: 3,
  full: 4,
  strict: 5,
} as const;

function pushVarint(bytes: number[], value: number): void {
  let rest = BigInt.asUintN(64, BigInt(value));
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  bytes.push(Number(rest));
}

/** Returns the bytes of a message. */
export function encodeMessage(fields: readonly Field[]): Uint8Array {
  const bytes: number[] = [];
  for (const [number, value] of fields) {
    if (value === undefined || value === false) continue;
    if (typeof value === "number" || value === true) {
      pushVarint(bytes, number << 3);
      pushVarint(bytes, Number(value));
      continue;
    }
    const inner = typeof value === "string"
      ? new TextEncoder().encode(value)
      : encodeMessage(value);
    pushVarint(bytes, number << 3 | 2);
    pushVarint(bytes, inner.length);
    for (const byte of inner) bytes.push(byte);
  }
  return new Uint8Array(bytes);
}

/** An answer, or something that criu tells on its way to one. */
export interface Answer {
  type: number;
  success: boolean;
  /** What has come to pass, and the first process's pid. */
  notify?: { script: string; pid: number };
  /** criu's own words for why it failed. */
  message?: string;
  errno: number;
  version?: { major: number; minor: number };
  features?: { memTrack: boolean; lazyPages: boolean };
}

/** A message that was read: the last value of each field. */
class Message {
  readonly #fields = new Map<number, bigint | Uint8Array>();

  constructor(bytes: Uint8Array) {
    let at = 0;
    const varint = (): bigint => {
      let value = 0n;
      for (let shift = 0n; shift < 70n; shift += 7n) {
        const byte = bytes[at++];
        if (byte === undefined) break;
        value |= BigInt(byte & 0x7f) << shift;
        if (byte < 0x80) return value;
      }
      throw new RangeError("Cannot read a message of criu: a number is cut");
    };
    while (at < bytes.length) {
      const key = Number(varint());
      switch (key & 7) {
        case 0:
          this.#fields.set(key >>> 3, varint());
          break;
        case 2: {
          const size = Number(varint());
          if (size > bytes.length - at) {
            throw new RangeError("Cannot read a message of criu: it is cut");
          }
          this.#fields.set(key >>> 3, bytes.subarray(at, at + size));
          at += size;
          break;
        }
        default:
          throw new RangeError(
            `Cannot read a message of criu: a field of kind ${key & 7}`,
          );
      }
    }
  }

  number(field: number): number {
    const value = this.#fields.get(field);
    return typeof value === "bigint" ? Number(BigInt.asIntN(32, value)) : 0;
  }

  text(field: number): string | undefined {
    const value = this.#fields.get(field);
    return value instanceof Uint8Array
      ? new TextDecoder().decode(value)
      : undefined;
  }

  message(field: number): Message | undefined {
    const value = this.#fields.get(field);
    return value instanceof Uint8Array ? new Message(value) : undefined;
  }
}

/**
 * Reads an answer of criu: message criu_resp.
 *
 * @throws {RangeError} when the bytes are none
 */
export function decodeAnswer(bytes: Uint8Array): Answer {
  const all = new Message(bytes);
  const notify = all.message(5);
  const version = all.message(10);
  const features = all.message(8);
  const message = all.text(9);
  return {
    type: all.number(1),
    success: all.number(2) !== 0,
    errno: all.number(7),
    ...(message === undefined ? {} : { message }),
    ...(notify === undefined ? {} : {
      notify: { script: notify.text(1) ?? "", pid: notify.number(2) },
    }),
    ...(version === undefined
      ? {}
      : { version: { major: version.number(1), minor: version.number(2) } }),
    ...(features === undefined ? {} : {
      features: {
        memTrack: features.number(1) !== 0,
        lazyPages: features.number(2) !== 0,
      },
    }),
  };
}
