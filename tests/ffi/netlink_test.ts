/**
 * rtnetlink: messages byte by byte, and what this machine's kernel answers.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import { SyscallError } from "../../ffi/errno.ts";
import { libc } from "../../ffi/libc.ts";
import { findLink, makeUpMessage, readAddresses } from "../../ffi/netlink.ts";

libc();

Deno.test("makeUpMessage() is RTM_NEWLINK with IFF_UP and an index of 0", () => {
  assertEquals(
    [...makeUpMessage()],
    [
      ...[32, 0, 0, 0], // length
      ...[16, 0, 5, 0], // RTM_NEWLINK, NLM_F_REQUEST | NLM_F_ACK
      ...[1, 0, 0, 0, 0, 0, 0, 0], // sequence, port
      ...[0, 0, 0, 0, 0, 0, 0, 0], // family, type, index
      ...[1, 0, 0, 0, 1, 0, 0, 0], // IFF_UP, and only that is changed
    ],
  );
});

Deno.test("findLink() knows the index that /sys says", () => {
  const index = Number(
    Deno.readTextFileSync("/sys/class/net/lo/ifindex").trim(),
  );
  assertEquals(findLink("lo"), index);
});

for (const name of ["none-such", "x".repeat(15)]) {
  Deno.test(`findLink() throws ENODEV for "${name}"`, () => {
    assertThrows(
      () => findLink(name),
      SyscallError,
      "rtnetlink: ENODEV (no such device)",
    );
  });
}

Deno.test("readAddresses() leaves out what is not of global scope: all of lo", () => {
  assertEquals(readAddresses(findLink("lo")), []);
});

Deno.test("readAddresses() gives messages that add an address to index 0", () => {
  for (const { name } of Deno.readDirSync("/sys/class/net")) {
    if (name === "bonding_masters") continue;
    let index: number;
    try {
      index = findLink(name);
    } catch (error) {
      // Another test's, and removed just now.
      assert(error instanceof SyscallError && error.code === "ENODEV");
      continue;
    }
    for (const message of readAddresses(index)) {
      const view = new DataView(message.buffer);
      assertEquals(view.getUint32(0, true), message.length);
      assertEquals(view.getUint16(4, true), 20, "RTM_NEWADDR");
      assertEquals(view.getUint16(6, true), 0x605, "REQUEST ACK CREATE EXCL");
      assert([2, 10].includes(message[16]!), "AF_INET or AF_INET6");
      assertEquals(view.getUint32(20, true), 0);
    }
  }
});

Deno.test("readAddresses() of an index that nobody has is empty", () => {
  assertEquals(readAddresses(0x7fffffff), []);
});
