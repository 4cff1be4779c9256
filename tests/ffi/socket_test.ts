/**
 * AF_UNIX sockets by path: short ones, ones that do not fit sun_path, abstract
 * ones, and what is sent over them.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { SyscallError } from "../../ffi/errno.ts";
import { closeFd, libc, openFd, readFd, syscall } from "../../ffi/libc.ts";
import { receivePacket, sendWithFds } from "../../ffi/packets.ts";
import {
  bindDatagram,
  connectDatagram,
  connectUnix,
  sendOverSocket,
} from "../../ffi/socket.ts";

libc();

const bytes = (text: string) => new TextEncoder().encode(text);
const text = (data: Uint8Array) => new TextDecoder().decode(data);
/** The sockets and the files of /etc that are open. Deno opens and closes others
 * as it likes, in threads of its own. */
const listFds = () =>
  [...Deno.readDirSync("/proc/self/fd")].flatMap(({ name }) => {
    try {
      const link = Deno.readLinkSync(`/proc/self/fd/${name}`);
      return /^(socket:|\/etc\/)/.test(link) ? [`${name} ${link}`] : [];
    } catch {
      // It was the directory's own, or has just been closed.
      return [];
    }
  });

/** A directory whose paths have `length` bytes or more. */
function makeDir(length = 0): Disposable & { path: string } {
  const top = Deno.makeTempDirSync({ prefix: "rustyrun-socket-" });
  let path = top;
  while (path.length < length) path += "/" + "d".repeat(40);
  Deno.mkdirSync(path, { recursive: true });
  return {
    path,
    [Symbol.dispose]: () => Deno.removeSync(top, { recursive: true }),
  };
}

for (
  const [what, length] of [
    ["short", 0],
    ["long", 200],
    ["very long", 1000],
  ] as const
) {
  Deno.test(`bindDatagram() and connectDatagram() with a ${what} path`, () => {
    using dir = makeDir(length);
    const path = `${dir.path}/socket`;
    const server = bindDatagram(path);
    const client = connectDatagram(path);
    sendWithFds(client, bytes("READY=1"));
    assertEquals(text(readFd(server, 100)), "READY=1");
    assertEquals(Deno.statSync(path).isSocket, true);
    [server, client].forEach(closeFd);
  });

  Deno.test(`connectUnix() with a ${what} path`, async () => {
    using dir = makeDir(length);
    // Deno cannot listen at a path that is too long: it listens at the same by
    // another name.
    Deno.symlinkSync(dir.path, `${dir.path.slice(0, 40)}.link`);
    using _link = {
      [Symbol.dispose]: () => Deno.removeSync(`${dir.path.slice(0, 40)}.link`),
    };
    const listener = Deno.listen({
      transport: "unix",
      path: `${dir.path.slice(0, 40)}.link/socket`,
    });
    const fd = connectUnix(`${dir.path}/socket`);
    const connection = await listener.accept();
    sendWithFds(fd, bytes("hello"));
    const buffer = new Uint8Array(16);
    assertEquals(await connection.read(buffer), 5);
    connection.close();
    listener.close();
    closeFd(fd);
  });
}

for (const length of [107, 108, 109]) {
  Deno.test(`bindDatagram() with a path of ${length} bytes`, () => {
    using dir = makeDir();
    const path = `${dir.path}/${"s".repeat(length - dir.path.length - 1)}`;
    const server = bindDatagram(path);
    const client = connectDatagram(path);
    sendWithFds(client, bytes("x"));
    assertEquals(text(readFd(server, 100)), "x");
    [server, client].forEach(closeFd);
  });
}

Deno.test("connectDatagram() reaches an abstract name", () => {
  const name = `rustyrun-test-${Deno.pid}`;
  const server = syscall("socket", 1, 2 | 0o2000000, 0);
  const address = new Uint8Array([1, 0, 0, ...bytes(name)]);
  syscall("bind", server, address, address.length);
  const client = connectDatagram(`@${name}`);
  sendWithFds(client, bytes("READY=1"));
  assertEquals(text(readFd(server, 100)), "READY=1");
  [server, client].forEach(closeFd);
});

Deno.test("sendOverSocket() sends a message with a descriptor, and closes", () => {
  using dir = makeDir();
  // A datagram socket takes what a stream socket would, without a thread that
  // accepts: connectUnix needs a listener of its own kind.
  const path = `${dir.path}/socket`;
  const server = syscall("socket", 1, 1 | 0o2000000, 0);
  const address = new Uint8Array([1, 0, ...bytes(path), 0]);
  syscall("bind", server, address, address.length);
  listen(server);
  const before = listFds();
  const file = openFd("/etc/hostname", 0);
  sendOverSocket(path, "payload", [file]);
  closeFd(file);
  assertEquals(listFds().filter((it) => !before.includes(it)), []);
  const connection = accept(server);
  const buffer = new Uint8Array(64);
  const packet = receivePacket(connection, buffer)!;
  assertEquals(text(buffer.subarray(0, packet.length)), "payload");
  assertEquals(
    text(readFd(packet.fds[0]!, 4096)),
    Deno.readTextFileSync("/etc/hostname"),
  );
  [server, connection, ...packet.fds].forEach(closeFd);
});

/** listen(2) and accept(2) are not among the calls of ffi/libc.ts. */
const extra = Deno.dlopen("libc.so.6", {
  listen: { parameters: ["i32", "i32"], result: "i32" },
  accept: { parameters: ["i32", "pointer", "pointer"], result: "i32" },
}).symbols;
const listen = (fd: number) => assertEquals(extra.listen(fd, 1), 0);
const accept = (fd: number) => extra.accept(fd, null, null);

for (
  const [what, call] of [
    ["connectUnix", () => connectUnix("/nowhere/socket")],
    ["connectDatagram", () => connectDatagram("/nowhere/socket")],
    ["bindDatagram", () => bindDatagram("/nowhere/socket")],
    ["connectUnix", () => connectUnix(`/nowhere/${"x".repeat(200)}/socket`)],
    ["connectDatagram", () => connectDatagram("@nobody-listens-here")],
  ] as const
) {
  Deno.test(`${what}() to nobody throws and leaves no descriptor: ${call}`, () => {
    const before = listFds();
    assertThrows(call, SyscallError);
    assertEquals(listFds().filter((it) => !before.includes(it)), []);
  });
}
