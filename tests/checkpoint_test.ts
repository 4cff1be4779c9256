/**
 * What `checkpoint` and `restore` ask of criu, and what they believe of an image.
 * None of it needs criu; integration/checkpoint_test.ts has whole lives.
 *
 * @module
 */

import { assertEquals, assertStringIncludes, assertThrows } from "@std/assert";
import { planCriu } from "../mod/container/checkpoint/criu.ts";
import {
  findIdmapped,
  findSource,
  listExternal,
  matchSources,
  parseMounts,
  type Places,
  placesOf,
} from "../mod/container/checkpoint/external.ts";
import {
  checkParent,
  openImage,
  readNotes,
  readReason,
  writeNotes,
} from "../mod/container/checkpoint/images.ts";
import { checkedJson } from "../mod/container/checkpoint/notes.ts";
import { resolverOf } from "../mod/container/checkpoint/places.ts";
import {
  decodeAnswer,
  encodeMessage,
  OPTION,
  REQUEST,
} from "../mod/container/checkpoint/wire.ts";
import type { Config } from "../mod/config/config.ts";
import { ContainerError } from "../mod/errors.ts";
import { MOUNT_ATTR } from "../ffi/constants.ts";
import { closeFd } from "../ffi/libc.ts";

const UID = Deno.uid() ?? 0;

Deno.test("a request is the bytes of protocol buffers", () => {
  const bytes = encodeMessage([
    [1, REQUEST.dump],
    [2, [
      [OPTION.imagesDirFd, 300],
      [OPTION.leaveRunning, false],
      [OPTION.tcpEstablished, true],
      [OPTION.logFile, "a.log"],
      [OPTION.parentImg, undefined],
      [OPTION.lsmMountContext, "c"],
    ]],
  ]);
  assertEquals([...bytes], [
    ...[0x08, 1],
    ...[0x12, 16],
    // images_dir_fd = 300, tcp_established, log_file, lsm_mount_context
    ...[0x08, 0xac, 0x02],
    ...[0x28, 1],
    ...[0x52, 5, 0x61, 0x2e, 0x6c, 0x6f, 0x67],
    ...[0xfa, 0x03, 1, 0x63],
  ]);
});

Deno.test("an answer is read; one that is cut is refused", () => {
  const answer = encodeMessage([
    [1, REQUEST.notify],
    [2, 1],
    [5, [[1, "post-restore"], [2, 4242]]],
    [7, -3],
    [9, "no"],
  ]);
  assertEquals(decodeAnswer(answer), {
    type: REQUEST.notify,
    success: true,
    errno: -3,
    message: "no",
    notify: { script: "post-restore", pid: 4242 },
  });
  assertThrows(() => decodeAnswer(answer.subarray(0, 8)), RangeError);
  assertThrows(() => decodeAnswer(new Uint8Array([0x80])), RangeError);
  assertThrows(() => decodeAnswer(new Uint8Array([0x09, 1])), RangeError);
});

Deno.test("criu gets no HOME, no PATH of anybody, and only what is passed on", () => {
  const ops = planCriu({
    program: "/usr/sbin/criu",
    streams: true,
    passed: ["ns:net"],
  });
  assertEquals(ops.map((it) => it.do), [
    "dup",
    "dup",
    "closeFds",
    "signals",
    "findExec",
    "exec",
  ]);
  const exec = ops.at(-1)!;
  assertEquals(exec.do === "exec" && [exec.argv, exec.env], [
    ["criu", "swrk", "3"],
    ["PATH=/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/sbin:/usr/local/bin"],
  ]);
  const close = ops[2]!;
  assertEquals(close.do === "closeFds" && close.keep, 2);
});

const OUTSIDE = parseMounts([
  "1 0 254:0 / / rw shared:1 - ext4 /dev/vda rw",
  "2 1 0:5 / /dev rw shared:2 - devtmpfs dev rw",
  "3 1 0:30 / /run rw shared:3 - tmpfs tmpfs rw",
  "4 1 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw",
].join("\n"));

const INSIDE = parseMounts([
  "9 8 254:0 /root/b / rw master:1 - ext4 /dev/vda rw",
  "10 9 0:43 / /proc rw - proc proc rw",
  "11 9 0:44 / /dev rw - tmpfs tmpfs rw",
  "12 9 0:26 /c /sys/fs/cgroup ro - cgroup2 cgroup rw",
  "13 9 254:0 /root/v\\040w /vol ro master:1 - ext4 /dev/vda rw",
  "14 9 0:30 /x /vol/run rw - tmpfs tmpfs rw",
  "15 10 0:5 /null /proc/kcore ro - devtmpfs dev rw",
  "16 10 0:43 /sys /proc/sys ro - proc proc rw",
].join("\n"));

Deno.test("what the host has mounted, too, is left out of an image", () => {
  assertEquals(INSIDE[4]!.root, "/root/v w");
  assertEquals(listExternal(INSIDE, OUTSIDE, new Set()), [
    "/vol",
    "/vol/run",
    "/proc/kcore",
  ]);
  // procfs is the container's own, but where config.json binds it.
  assertEquals(
    listExternal(INSIDE, OUTSIDE, new Set(["/proc"])).includes("/proc"),
    true,
  );
});

const AS_IT_IS = { set: 0, clear: 0 };

const PLACES: Places = {
  binds: new Map([
    ["/vol", {
      source: "/srv/v",
      recursive: true,
      attributes: { set: 3, clear: 4 },
      below: { set: 2, clear: 0 },
    }],
    ["/one", {
      source: "/srv/one",
      recursive: false,
      attributes: AS_IT_IS,
      below: AS_IT_IS,
    }],
  ]),
  masked: ["/proc/kcore"],
  devices: ["/dev/fuse"],
};

Deno.test("an image names no path: it says which mount of config.json is meant", () => {
  assertEquals(findSource("/vol", PLACES), {
    path: "/srv/v",
    attributes: { set: 3, clear: 4 },
  });
  assertEquals(findSource("/vol/a/b", PLACES), {
    path: "/srv/v",
    below: "a/b",
    attributes: { set: 2, clear: 0 },
  });
  assertEquals(findSource("/proc/kcore", PLACES), {
    path: "/dev/null",
    hides: true,
    attributes: AS_IT_IS,
  });
  assertEquals(findSource("/dev/fuse", PLACES), {
    path: "/dev/fuse",
    attributes: AS_IT_IS,
  });
  for (const other of ["/etc", "/one/below", "/volume", "/"]) {
    assertEquals(findSource(other, PLACES), undefined);
  }
  const refused = assertThrows(
    () => matchSources(["/vol", "/one", "/etc/shadow"], PLACES),
    ContainerError,
  );
  assertStringIncludes(refused.message, '"/etc/shadow"');
  const missing = assertThrows(
    () => matchSources(["/vol"], PLACES),
    ContainerError,
  );
  assertStringIncludes(missing.message, '"/one"');
});

Deno.test("places are where destinations lead to inside", () => {
  const rootfs = Deno.makeTempDirSync();
  try {
    Deno.mkdirSync(`${rootfs}/run/deep`, { recursive: true });
    Deno.mkdirSync(`${rootfs}/var`);
    Deno.symlinkSync("/run", `${rootfs}/var/run`);
    Deno.symlinkSync("/../../..", `${rootfs}/up`);
    const resolve = resolverOf(rootfs);
    assertEquals(resolve("/var/run/deep"), "/run/deep");
    assertEquals(resolve("/var/run/new/er/"), "/run/new/er");
    assertEquals(resolve("/up/run"), "/run");
    assertEquals(resolve("//not//there"), "/not/there");
    const { binds } = placesOf(
      {
        bundle: "/b",
        spec: {
          ociVersion: "1.2.0",
          root: { path: "r" },
          mounts: [
            {
              destination: "/var/run/deep",
              source: "rel",
              options: ["rbind", "rro", "rnodev", "rw", "nosuid"],
            },
            { destination: "/t", type: "tmpfs", source: "t" },
          ],
        },
      } as Pick<Config, "spec" | "bundle">,
      resolve,
    );
    assertEquals([...binds], [[
      "/run/deep",
      {
        source: "/b/rel",
        recursive: true,
        attributes: {
          set: MOUNT_ATTR.NODEV | MOUNT_ATTR.NOSUID,
          clear: MOUNT_ATTR.RDONLY,
        },
        below: { set: MOUNT_ATTR.RDONLY | MOUNT_ATTR.NODEV, clear: 0 },
      },
    ]]);
  } finally {
    Deno.removeSync(rootfs, { recursive: true });
  }
});

Deno.test("a mount whose ids are mapped is found", () => {
  const find = (mounts: { destination: string; options?: string[] }[]) =>
    findIdmapped({
      spec: { ociVersion: "1.2.0", root: { path: "r" }, mounts },
    });
  assertEquals(
    find([{ destination: "/a", options: ["bind", "ro"] }]),
    undefined,
  );
  assertEquals(
    find([{ destination: "/a", options: ["bind", "ridmap"] }]),
    "/a",
  );
  const map = [{ containerID: 0, hostID: 1000, size: 1 }];
  const own = { destination: "/b", uidMappings: map, gidMappings: map };
  assertEquals(find([{ destination: "/a" }, own]), "/b");
});

Deno.test("notes are believed as far as they can be right", () => {
  const good = {
    version: 1,
    external: ["/a", "/b c"],
    pipes: [{ fd: 1, key: "pipe:[12]" }],
  };
  assertEquals(checkedJson(JSON.stringify(good)) as unknown, good);
  for (
    const wrong of [
      { version: 2 },
      { external: ["a"] },
      { external: ["/a/../b"] },
      { external: ["/a", "/a"] },
      { external: [1] },
      { pipes: [{ fd: 3, key: "pipe:[12]" }] },
      { pipes: [{ fd: 1, key: "/etc/shadow" }] },
      { pipes: [null] },
      { pipes: "x" },
    ]
  ) {
    const text = JSON.stringify({ ...good, ...wrong });
    assertEquals(checkedJson(text), undefined, text);
  }
  assertEquals(checkedJson("null"), undefined);
  assertEquals(checkedJson("{"), undefined);
});

/** A directory for images, which its owner alone may write. */
function makeRoom(): Disposable & { path: string } {
  const path = Deno.makeTempDirSync();
  return {
    path,
    [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }),
  };
}

Deno.test("no name of an image leads out of it", () => {
  using room = makeRoom();
  const path = `${room.path}/image`;
  const open = (make = false) => openImage(path, { uid: UID, make });
  assertThrows(() => open(), ContainerError, "ENOENT");
  const image = open(true);
  assertEquals((Deno.statSync(path).mode ?? 0) & 0o777, 0o700);
  assertThrows(() => readNotes(image), ContainerError, "rustyrun.json");
  const notes = { version: 1 as const, external: ["/v"], pipes: [] };
  writeNotes(image, notes);
  writeNotes(image, notes);
  assertEquals(readNotes(image), notes);
  Deno.writeTextFileSync(
    `${path}/dump.log`,
    "(0.1) fine\n(0.2)      1: Error (criu/a.c:1): mnt: \x1bno\n(0.3) Error (b.c:2): x\n",
  );
  assertEquals(readReason(image, "dump.log"), "mnt: ?no");
  const large = new Uint8Array((1 << 20) + 1).fill(0x20);
  Deno.writeFileSync(`${path}/rustyrun.json`, large);
  assertThrows(
    () => readNotes(image),
    ContainerError,
    "its rustyrun.json has more than 1048576 bytes",
  );
  closeFd(image.fd);

  Deno.symlinkSync("/etc/passwd", `${path}/core-1.img`);
  assertThrows(() => open(), ContainerError, '"core-1.img"');
  Deno.removeSync(`${path}/core-1.img`);
  Deno.mkdirSync(`${path}/sub`);
  assertThrows(() => open(), ContainerError, '"sub"');
  Deno.removeSync(`${path}/sub`);
  Deno.chmodSync(path, 0o770);
  assertThrows(() => open(), ContainerError, "others may write");
  Deno.chmodSync(path, 0o700);

  for (const wrong of ["/etc", "..", "../..", "../a/b", "sub"]) {
    Deno.symlinkSync(wrong, `${path}/parent`);
    assertThrows(() => open(), ContainerError, "parent");
    Deno.removeSync(`${path}/parent`);
  }
  Deno.symlinkSync("../before", `${path}/parent`);
  assertThrows(() => open(), ContainerError, "ENOENT");
  Deno.mkdirSync(`${room.path}/before`, { mode: 0o700 });
  const whole = open();
  checkParent(whole, "../before", UID);
  assertThrows(
    () => checkParent(whole, "/etc", UID),
    ContainerError,
    'its parent is "/etc"',
  );
  closeFd(whole.fd);
  // What it goes on from is judged as well, and must come to an end.
  Deno.symlinkSync("/etc/passwd", `${room.path}/before/pages-1.img`);
  assertThrows(() => open(), ContainerError, '"pages-1.img"');
  Deno.removeSync(`${room.path}/before/pages-1.img`);
  Deno.symlinkSync("../image", `${room.path}/before/parent`);
  assertThrows(() => open(), ContainerError, "64 images");
});

Deno.test("criu lazy-pages may listen in an image, where it is to be asked", () => {
  using room = makeRoom();
  const path = `${room.path}/image`;
  const open = (lazyPages: boolean) =>
    openImage(path, { uid: UID, make: false, lazyPages });
  Deno.mkdirSync(path, { mode: 0o700 });
  const socket = `${path}/lazy-pages.socket`;
  {
    using _server = Deno.listen({ transport: "unix", path: socket });
    closeFd(open(true).fd);
    assertThrows(() => open(false), ContainerError, '"lazy-pages.socket"');
    // Nothing else may, and no other image than this one.
    Deno.renameSync(socket, `${path}/other.socket`);
    assertThrows(() => open(true), ContainerError, '"other.socket"');
    Deno.mkdirSync(`${room.path}/before`, { mode: 0o700 });
    Deno.renameSync(
      `${path}/other.socket`,
      `${room.path}/before/lazy-pages.socket`,
    );
    Deno.symlinkSync("../before", `${path}/parent`);
    assertThrows(() => open(true), ContainerError, '"lazy-pages.socket"');
    Deno.removeSync(`${room.path}/before/lazy-pages.socket`);
  }
  Deno.symlinkSync("/run/other.socket", socket);
  assertThrows(() => open(true), ContainerError, '"lazy-pages.socket"');
});
