/**
 * The warm engine: packets of every wrong length, and callers that are not as they
 * say.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { connectPackets } from "../../ffi/listening.ts";
import {
  closeFd,
  libc,
  openFd,
  spawnProgram,
  waitProcess,
} from "../../ffi/libc.ts";
import { pollFds } from "../../ffi/poll.ts";
import { receivePacket, sendWithFds } from "../../ffi/packets.ts";
import {
  ANSWER_SIZE,
  FRONT_MAGIC,
  FRONT_NONCE,
  FRONT_VERSION,
  RECORD_SIZE,
  REQUEST_SIZE,
  TAKE_SIZE,
  VERB,
} from "../../mod/serve/protocol.ts";
import { start } from "../harness.ts";
import { asUser, findPython, testOn } from "../needs.ts";
import { waitFor } from "../wait.ts";
import { PROGRAM, ServedRoom } from "./serve_room.ts";

libc();

/** A front's first packet, of this process. */
function makeRequest(program: readonly string[], word: string): Uint8Array {
  const text = [...program, word].map((it) => `${it}\0`).join("");
  const strings = new TextEncoder().encode(text);
  const bytes = new Uint8Array(REQUEST_SIZE + strings.length);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, FRONT_MAGIC, true);
  view.setUint32(8, FRONT_VERSION, true);
  view.setUint32(12, strings.length, true);
  view.setUint32(16, program.length, true);
  view.setUint32(20, 1, true);
  bytes.set(strings, REQUEST_SIZE);
  return bytes;
}

/** The next record, once there is a worker; empty at the end. */
function hearRecord(fd: number): Uint8Array {
  const buffer = new Uint8Array(RECORD_SIZE + 1024);
  for (;;) {
    assertEquals(pollFds([fd], 60_000).length, 1);
    const packet = receivePacket(fd, buffer);
    if (packet === undefined) return new Uint8Array(0);
    if (buffer[0] !== VERB.queued) return buffer.subarray(0, packet.length);
  }
}

/** Its verb; 0 at the end. */
function hearVerb(fd: number): number {
  return hearRecord(fd)[0] ?? 0;
}

/** The nonce of the next record, which is "take". */
function hearTake(fd: number): Uint8Array {
  const take = hearRecord(fd);
  assertEquals([take[0], take.length], [VERB.take, TAKE_SIZE]);
  return take.subarray(RECORD_SIZE);
}

function encodeGo(nonce: Uint8Array, count = FRONT_NONCE): Uint8Array {
  const bytes = new Uint8Array(ANSWER_SIZE);
  bytes[0] = VERB.go;
  bytes[8] = count;
  bytes.set(nonce, 12);
  return bytes;
}

testOn(
  ["quick", "helper"],
  "serve: packets of every wrong length are answered with cold",
  async () => {
    await using served = await ServedRoom.open();
    const good = makeRequest(PROGRAM, "where");
    const here = openFd("/", 0o10000000);
    for (let length = 0; length <= good.length + 1; length++) {
      const fd = connectPackets(served.room.socket);
      const bytes = new Uint8Array(length);
      bytes.set(good.subarray(0, length));
      sendWithFds(fd, bytes, [here]);
      assertEquals(
        hearVerb(fd),
        length === good.length ? VERB.take : VERB.cold,
        `${length}`,
      );
      closeFd(fd);
    }
    for (const fds of [[], [here, here], [here, here, here]]) {
      const fd = connectPackets(served.room.socket);
      sendWithFds(fd, good, fds);
      assertEquals(hearVerb(fd), VERB.cold);
      closeFd(fd);
    }
    closeFd(here);
    assertEquals(
      await served.call(["where"], [], { cwd: "/" }),
      `warm where / ${Deno.umask()}\n`,
    );
  },
);

testOn(
  ["quick", "helper", "python3"],
  "serve: the process that has connected must say go itself",
  async () => {
    await using served = await ServedRoom.open();
    const here = openFd("/", 0o10000000);
    for (const itself of [true, false]) {
      const fd = connectPackets(served.room.socket);
      sendWithFds(fd, makeRequest(PROGRAM, "where"), [here]);
      const go = encodeGo(hearTake(fd));
      if (itself) sendWithFds(fd, go);
      else {
        const line = `import socket
socket.socket(fileno=${fd}).send(bytes.fromhex("${go.toHex()}"))`;
        const python = findPython();
        waitProcess(spawnProgram(python, ["python3", "-c", line], [], [fd]));
      }
      assertEquals(hearVerb(fd), itself ? VERB.print : 0);
      closeFd(fd);
    }
    closeFd(here);
  },
);

testOn(
  ["quick", "helper"],
  "serve: go repeats the nonce of take, so nobody has said it before",
  async () => {
    await using served = await ServedRoom.open();
    const here = openFd("/", 0o10000000);
    const call = () => {
      const fd = connectPackets(served.room.socket);
      sendWithFds(fd, makeRequest(PROGRAM, "where"), [here]);
      return fd;
    };
    const early = call();
    sendWithFds(early, encodeGo(new Uint8Array(0), 0));
    const said = [hearVerb(early), hearVerb(early)];
    closeFd(early);
    assertEquals(said, [VERB.take, 0]);
    const nonces = new Set<string>();
    const wrong: ((nonce: Uint8Array) => Uint8Array)[] = [
      () => encodeGo(new Uint8Array(0), 0),
      () => encodeGo(new Uint8Array(16)),
      (nonce) => encodeGo(nonce, FRONT_NONCE - 1),
      (nonce) => encodeGo(nonce, FRONT_NONCE + 1),
      ...Array.from(
        { length: 16 },
        (_, i) => (nonce: Uint8Array) => encodeGo(nonce.with(i, nonce[i]! ^ 1)),
      ),
    ];
    for (const make of wrong) {
      const fd = call();
      const nonce = hearTake(fd);
      nonces.add(nonce.toHex());
      sendWithFds(fd, make(nonce));
      const verb = hearVerb(fd);
      closeFd(fd);
      assertEquals(verb, 0, `${make}`);
    }
    assertEquals(nonces.size, wrong.length);
    closeFd(here);
    assert((await served.call(["where"])).startsWith("warm where"));
  },
);

testOn(
  ["root", "helper", "python3"],
  "serve: another user's process is cold, also where the socket is open to it",
  async () => {
    await using served = await ServedRoom.open();
    const { dir, socket } = served.room;
    // Its worker is there.
    await waitFor(async () =>
      (await served.call(["where"])).startsWith("warm where")
    );
    const asked = makeRequest(PROGRAM, "where").toHex();
    const line = `import array, os, socket
s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
try:
  s.connect("${socket}")
except OSError as error:
  print(os.strerror(error.errno))
  raise SystemExit
here = array.array("i", [os.open("/", os.O_PATH)])
try:
  s.sendmsg([bytes.fromhex("${asked}")], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, here)])
except BrokenPipeError:
  pass # it has answered already
said = ${VERB.queued}
while said == ${VERB.queued}:
  try:
    said = s.recv(99)[0]
  except ConnectionResetError:
    pass # it has not read all of it; what it has said comes next
print(said)`;
    const ask = async (argv: readonly string[]) => {
      const { stdout, stderr } = await start(argv).done;
      return stdout + stderr;
    };
    const client = [findPython(), "-c", line];
    // A slow machine may need more than one try: who waits too long is cold.
    const taken = `${VERB.take}\n`;
    const hear = () => ask(client);
    assertEquals(await waitFor(hear, (it) => it === taken), taken);
    assertEquals(await ask(asUser(client)), "Permission denied\n");
    Deno.chmodSync(dir, 0o711);
    assertEquals(await ask(asUser(client)), "Permission denied\n");
    Deno.chmodSync(socket, 0o666);
    assertEquals(await ask(asUser(client)), `${VERB.cold}\n`);
  },
);

testOn(
  ["quick", "helper"],
  "serve: who connects and says nothing keeps nobody waiting for long",
  async () => {
    await using served = await ServedRoom.open();
    const fds = Array.from(
      { length: 4 },
      () => connectPackets(served.room.socket),
    );
    assertEquals(
      await served.call(["where"], [], { cwd: "/" }),
      `warm where / ${Deno.umask()}\n`,
    );
    fds.forEach(closeFd);
  },
);

testOn(
  ["quick", "helper"],
  "serve: who leaves the queue without a word is no worker's misfortune",
  async () => {
    await using served = await ServedRoom.open({ least: 1, most: 1 });
    const file = `${served.room.dir}/go`;
    const busy = served.room.start(["until", file]);
    await busy.waitFor("warm until");
    const workers = served.workers();
    const here = openFd("/", 0o10000000);
    for (const asks of [true, false]) {
      const fd = connectPackets(served.room.socket);
      if (asks) sendWithFds(fd, makeRequest(PROGRAM, "where"), [here]);
      // "queued" is there, and stays unread.
      assertEquals(pollFds([fd], 60_000).length, 1);
      closeFd(fd);
    }
    closeFd(here);
    Deno.writeTextFileSync(file, "");
    assertEquals((await busy.done).code, 0);
    assert((await served.call(["where"])).startsWith("warm where"));
    assertEquals(served.workers(), workers);
  },
);
