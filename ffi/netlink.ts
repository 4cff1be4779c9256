/**
 * rtnetlink(7): the few messages that moving a network device takes.
 *
 * @module
 */

import { toBytes } from "./bytes.ts";
import { closeFd, syscall } from "./libc.ts";
import { SyscallError } from "./errno.ts";

const RTM_NEWLINK = 16, RTM_GETLINK = 18, RTM_NEWADDR = 20, RTM_GETADDR = 22;
const NLM_F_REQUEST = 1, NLM_F_ACK = 4, NLM_F_DUMP = 0x300;
const NLM_F_CREATE = 0x400, NLM_F_EXCL = 0x200;
const NLMSG_ERROR = 2, NLMSG_DONE = 3;
const IFLA_IFNAME = 3, IFLA_NET_NS_PID = 19;
const IFA_ADDRESS = 1, IFA_LOCAL = 2, IFA_BROADCAST = 4, IFA_FLAGS = 8;
const IFA_F_PERMANENT = 0x80;
const IFF_UP = 1;

/** One attribute: type and bytes. */
type Attribute = [number, Uint8Array];

/** A netlink message: head, body, attributes. */
function makeMessage(
  type: number,
  flags: number,
  body: Uint8Array,
  attributes: readonly Attribute[] = [],
): Uint8Array<ArrayBuffer> {
  const size = 16 + body.length +
    attributes.reduce((sum, [, it]) => sum + ((4 + it.length + 3) & ~3), 0);
  const bytes = new Uint8Array(size);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, size, true);
  view.setUint16(4, type, true);
  view.setUint16(6, flags, true);
  view.setUint32(8, 1, true);
  bytes.set(body, 16);
  let at = 16 + body.length;
  for (const [kind, value] of attributes) {
    view.setUint16(at, 4 + value.length, true);
    view.setUint16(at + 2, kind, true);
    bytes.set(value, at + 4);
    at += (4 + value.length + 3) & ~3;
  }
  return bytes;
}

/** struct ifinfomsg. */
function linkBody(index: number, flags = 0, change = 0): Uint8Array {
  const body = new Uint8Array(16);
  const view = new DataView(body.buffer);
  view.setInt32(4, index, true);
  view.setUint32(8, flags, true);
  view.setUint32(12, change, true);
  return body;
}

const name = (text: string): Uint8Array => toBytes(text + "\0");

function u32(value: number): Uint8Array {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, value, true);
  return bytes;
}

/** Sends a message and gathers the answers until the last. */
function talk(message: Uint8Array): Uint8Array[] {
  // AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE
  const fd = syscall("socket", 16, 3 | 0o2000000, 0);
  try {
    syscall("write", fd, message, message.length);
    const answers: Uint8Array[] = [];
    const dump = (message[7]! & 3) === 3;
    for (;;) {
      const buffer = new Uint8Array(65536);
      const size = syscall("read", fd, buffer, buffer.length);
      const view = new DataView(buffer.buffer);
      for (let at = 0; at + 16 <= size;) {
        const length = view.getUint32(at, true);
        const type = view.getUint16(at + 4, true);
        if (type === NLMSG_DONE) return answers;
        if (type === NLMSG_ERROR) {
          const errno = -view.getInt32(at + 16, true);
          if (errno === 0) return answers;
          throw new SyscallError("rtnetlink", errno);
        }
        answers.push(buffer.slice(at, at + length));
        at += (length + 3) & ~3;
      }
      if (!dump && !(message[6]! & NLM_F_ACK)) return answers;
    }
  } finally {
    closeFd(fd);
  }
}

/** Attributes of an answer whose body has `size` bytes. */
function readAttributes(answer: Uint8Array, size: number): Attribute[] {
  const view = new DataView(answer.buffer, answer.byteOffset, answer.length);
  const found: Attribute[] = [];
  for (let at = 16 + size; at + 4 <= answer.length;) {
    const length = view.getUint16(at, true);
    if (length < 4) break;
    found.push([
      view.getUint16(at + 2, true) & 0x3fff,
      answer.slice(at + 4, at + length),
    ]);
    at += (length + 3) & ~3;
  }
  return found;
}

/** Index of a network device of this namespace.
 *
 * @throws {SyscallError} ENODEV when there is none */
export function findLink(device: string): number {
  const [answer] = talk(
    makeMessage(RTM_GETLINK, NLM_F_REQUEST, linkBody(0), [
      [IFLA_IFNAME, name(device)],
    ]),
  );
  if (answer === undefined) throw new SyscallError("rtnetlink", 19);
  return new DataView(answer.buffer).getInt32(20, true);
}

/**
 * The permanent addresses of global scope of a device, as messages that add
 * them to a device again. The device's index (at byte 20) is 0 in them.
 *
 * @throws {SyscallError}
 */
export function readAddresses(index: number): Uint8Array<ArrayBuffer>[] {
  const dump = talk(
    makeMessage(RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP, new Uint8Array(8)),
  );
  return dump.flatMap((answer) => {
    const view = new DataView(answer.buffer);
    if (view.getUint16(4, true) !== RTM_NEWADDR) return [];
    if (view.getUint32(20, true) !== index) return [];
    const attributes = readAttributes(answer, 8);
    const wide = attributes.find(([type]) => type === IFA_FLAGS)?.[1];
    const flags = wide === undefined
      ? answer[18]!
      : new DataView(wide.buffer).getUint32(0, true);
    const global = answer[19] === 0;
    if (!global || (flags & IFA_F_PERMANENT) === 0) return [];
    const body = new Uint8Array(8);
    body[0] = answer[16]!;
    body[1] = answer[17]!;
    const kept = attributes.filter(([type]) =>
      type === IFA_ADDRESS || type === IFA_LOCAL || type === IFA_BROADCAST
    );
    return [
      makeMessage(
        RTM_NEWADDR,
        NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL,
        body,
        kept,
      ),
    ];
  });
}

/** A message that sets a device up; its index (at byte 20) is 0. */
export function makeUpMessage(): Uint8Array<ArrayBuffer> {
  return makeMessage(
    RTM_NEWLINK,
    NLM_F_REQUEST | NLM_F_ACK,
    linkBody(0, IFF_UP, IFF_UP),
  );
}

/**
 * Moves a device into the network namespace of a process, under a new name. The
 * kernel takes it down for that, once it is sure that it moves: one that stays
 * (lo does) is as it was.
 *
 * @throws {SyscallError} EEXIST when the name is taken there, EINVAL for a
 * device that belongs to its namespace
 */
export function moveLink(index: number, pid: number, as: string): void {
  talk(
    makeMessage(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK, linkBody(index), [
      [IFLA_NET_NS_PID, u32(pid)],
      [IFLA_IFNAME, name(as)],
    ]),
  );
}
