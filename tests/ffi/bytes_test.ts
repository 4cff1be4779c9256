/**
 * Text that carries any bytes, and the files and directories that are named by
 * such bytes.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { fromBytes, isNoBytes, toBytes } from "../../ffi/bytes.ts";
import {
  chmodSync,
  lstatSync,
  mkdirSync,
  readDirSync,
  readFileSync,
  readLinkSync,
  readTextFileSync,
  realPathSync,
  removeSync,
  renameSync,
  statSync,
  writeFileSync,
  writeTextFileSync,
} from "../../ffi/files.ts";
import { libc } from "../../ffi/libc.ts";

libc();

/** Bytes and their text. */
const TEXTS: [number[], string][] = [
  [[], ""],
  [[0x61, 0xff, 0xfe, 0x62], "a\udcff\udcfeb"],
  [[0xc3, 0xa9, 0xc3], "é\udcc3"],
  [[0xe2, 0x82], "\udce2\udc82"],
  // Too long a form of "/", a surrogate, one beyond U+10FFFF.
  [[0xc0, 0xaf], "\udcc0\udcaf"],
  [[0xed, 0xa0, 0x80], "\udced\udca0\udc80"],
  [[0xf4, 0x90, 0x80, 0x80], "\udcf4\udc90\udc80\udc80"],
  [[0xf0, 0x9f, 0x98, 0x80, 0x80], "😀\udc80"],
  // What stands for U+FFFD itself, and a byte order mark.
  [[0xef, 0xbf, 0xbd, 0xff], "\ufffd\udcff"],
  [[0xef, 0xbb, 0xbf, 0x61, 0xff], "\ufeffa\udcff"],
];

for (const [bytes, text] of TEXTS) {
  Deno.test(`bytes: ${JSON.stringify(text)} there and back`, () => {
    assertEquals(fromBytes(new Uint8Array(bytes)), text);
    assertEquals([...toBytes(text)], bytes);
    assertEquals(isNoBytes(text), false);
  });
}

Deno.test("bytes: whatever bytes there are come back", () => {
  const parts = [0x61, 0x80, 0xc3, 0xa9, 0xe2, 0xed, 0xa0, 0xf0, 0x9f, 0xbf];
  for (let seed = 0; seed < 2000; seed++) {
    const bytes = Uint8Array.from(
      { length: 12 },
      (_, at) => parts[(seed * 7919 + at * at * (seed % 97)) % parts.length]!,
    );
    assertEquals(toBytes(fromBytes(bytes)), bytes);
  }
});

Deno.test("bytes: half a surrogate pair that is no byte is refused", () => {
  for (const text of ["\ud83d", "a\udc00", "\udd00b"]) {
    assertEquals(isNoBytes(text), true);
    assertThrows(() => toBytes(text), TypeError, "half a surrogate pair");
  }
});

/** Calls with a directory whose name is no UTF-8. */
function inBytes(call: (dir: string) => void): void {
  const above = Deno.makeTempDirSync({ prefix: "rustyrun-test-bytes-" });
  try {
    mkdirSync(`${above}/d\udcff`);
    call(`${above}/d\udcff`);
  } finally {
    Deno.removeSync(above, { recursive: true });
  }
}

/** Makes a link X to the one file "X2" of a directory that Deno cannot name. */
function link(dir: string): void {
  const above = dir.slice(0, dir.lastIndexOf("/"));
  const line = 'cd "$1"/* && for it in *2; do ln -s "$it" "${it%2}"; done';
  const { success } = new Deno.Command("sh", {
    args: ["-c", line, "sh", above],
  })
    .outputSync();
  assertEquals(success, true);
}

for (const name of ["plain", "n\udcfe"]) {
  Deno.test(`files: ${JSON.stringify(name)} below a directory of bytes`, () => {
    inBytes((dir) => {
      const path = `${dir}/${name}`;
      writeTextFileSync(path, "a\udcff", { mode: 0o600 });
      assertEquals([...readFileSync(path)], [0x61, 0xff]);
      writeTextFileSync(path, "b", { append: true });
      assertEquals(readTextFileSync(path), "a\udcffb");
      assertThrows(
        () => writeFileSync(path, new Uint8Array(), { createNew: true }),
        Deno.errors.AlreadyExists,
      );
      chmodSync(path, 0o640);
      assertEquals((statSync(path).mode ?? 0) & 0o777, 0o640);
      assertEquals(readDirSync(dir).map((it) => [it.name, it.isFile]), [
        [name, true],
      ]);
      renameSync(path, `${path}2`);
      assertThrows(() => lstatSync(path), Deno.errors.NotFound);
      link(dir);
      assertEquals(lstatSync(path).isSymlink, true);
      assertEquals(statSync(path).isFile, true);
      assertEquals(readLinkSync(path), `${name}2`);
      assertEquals(realPathSync(path), `${realPathSync(dir)}/${name}2`);
      removeSync(path);
      assertEquals(readDirSync(dir).map((it) => it.name), [`${name}2`]);
    });
  });

  Deno.test(`files: a directory ${JSON.stringify(name)}, made with those above it`, () => {
    inBytes((dir) => {
      const inner = `${dir}/${name}/x\udc80/y`;
      mkdirSync(inner, { recursive: true, mode: 0o700 });
      mkdirSync(inner, { recursive: true });
      assertThrows(() => mkdirSync(inner), Deno.errors.AlreadyExists);
      assertEquals((statSync(inner).mode ?? 0) & 0o777, 0o700);
      writeTextFileSync(`${inner}/f`, "");
      assertThrows(() => removeSync(`${dir}/${name}`));
      removeSync(`${dir}/${name}`, { recursive: true });
      assertEquals(readDirSync(dir), []);
    });
  });
}

Deno.test("files: errors are Deno's, as for any other path", () => {
  inBytes((dir) => {
    for (
      const call of [
        () => readTextFileSync(`${dir}/none\udcff`),
        () => readDirSync(`${dir}/none`),
        () => readLinkSync(`${dir}/none\udcff`),
        () => removeSync(`${dir}/none\udcff`),
        () => mkdirSync(`${dir}/none\udcff/x`),
        () => renameSync(`${dir}/none`, `${dir}/other`),
        () => writeTextFileSync(`${dir}/none/x\udcff`, ""),
      ]
    ) assertThrows(call, Deno.errors.NotFound);
    writeTextFileSync(`${dir}/f`, "");
    assertThrows(
      () => statSync(`${dir}/f/x\udcff`),
      Deno.errors.NotADirectory,
    );
  });
});
