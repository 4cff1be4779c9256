/**
 * What is said of a program that the kernel does not take, from its first bytes.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { libc } from "../ffi/libc.ts";
import { readHead } from "../ffi/rootfs.ts";
import type { Config } from "../mod/config/config.ts";
import { findFormat, judgeFormat } from "../mod/failure/format.ts";
import { makeConfig } from "./manager_fixtures.ts";

libc();

const OWN = Deno.build.arch;
const OTHER = OWN === "x86_64" ? 183 : 62;
const OTHER_NAME = OWN === "x86_64" ? "aarch64" : "x86_64";
const OWN_NUMBER = OWN === "x86_64" ? 62 : 183;

/** The head of an ELF file. */
function makeElf(machine: number, little = true): Uint8Array {
  const head = new Uint8Array(64);
  head.set([0x7f, 0x45, 0x4c, 0x46, 2, little ? 1 : 2]);
  new DataView(head.buffer).setUint16(18, machine, little);
  return head;
}

const bytes = (text: string) => new TextEncoder().encode(text);
const program = (name: string) =>
  `it is a program for ${name}, and this machine is ${OWN}`;

const HEADS: [string, Uint8Array, string | undefined][] = [
  ["nothing", new Uint8Array(), "it is empty"],
  ["a program of this machine", makeElf(OWN_NUMBER), undefined],
  ["a program of another machine", makeElf(OTHER), program(OTHER_NAME)],
  ["the other byte order", makeElf(22, false), program("s390x")],
  [
    "a machine without a name here",
    makeElf(9999),
    program("the ELF machine 9999"),
  ],
  ["half of a head", makeElf(OTHER).subarray(0, 19), undefined],
  ["text", bytes("echo hi\n"), "it is text without a #! line"],
  ["text in UTF-8", bytes("# été\necho\n"), "it is text without a #! line"],
  ["a script", bytes("#!/bin/sh\n"), undefined],
  ["bytes that are neither", new Uint8Array([1, 2, 3, 0]), undefined],
];

for (const [name, head, what] of HEADS) {
  Deno.test(`judgeFormat() of ${name}`, () => {
    assertEquals(judgeFormat(head, "/bin/app")?.what, what);
  });
}

Deno.test("judgeFormat() says what to do about each", () => {
  assertEquals(
    judgeFormat(makeElf(OTHER), "/bin/app")?.hint,
    `Use an image for ${OWN}, or register an emulator with the kernel: qemu-user-static and binfmt_misc`,
  );
  assertEquals(
    judgeFormat(bytes("echo\n"), "/bin/app")?.hint,
    "Let it begin with a line such as #!/bin/sh, or run it by a shell: sh /bin/app",
  );
});

/** A root file system with a text /bin/app, links to it, and more. */
function makeRoot() {
  const path = Deno.makeTempDirSync({ prefix: "rustyrun-format-" });
  for (const dir of ["bin", "sbin", "work", "bin/dir"]) {
    Deno.mkdirSync(`${path}/${dir}`);
  }
  Deno.writeTextFileSync(`${path}/bin/app`, "echo\n");
  Deno.writeTextFileSync(`${path}/work/app`, "");
  Deno.symlinkSync("/bin/app", `${path}/sbin/link`);
  Deno.symlinkSync("../../../../../../bin/sh", `${path}/sbin/out`);
  return {
    path,
    [Symbol.dispose]: () => Deno.removeSync(path, { recursive: true }),
  };
}

const TEXT = "it is text without a #! line";
const FOUND: [string, string[], Partial<Config["spec"]>, string | undefined][] =
  [
    ["where PATH has it first", ["/sbin/app", "/bin/app"], {}, TEXT],
    ["by a link inside the root", ["/sbin/link"], {}, TEXT],
    ["nowhere", ["/sbin/app"], {}, undefined],
    ["not by a link that leads out", ["/sbin/out", "/bin/app"], {}, TEXT],
    ["not where it is a directory", ["/bin/dir"], {}, undefined],
    ["from the working directory", ["./app"], {
      process: { cwd: "/work", args: ["./app"] },
    }, "it is empty"],
    ["not under a mount", ["/bin/app"], {
      mounts: [{ destination: "/bin", type: "bind", source: "/x" }],
    }, undefined],
    ["not where it is a mount itself", ["/bin/app"], {
      mounts: [{ destination: "/bin/app", type: "bind", source: "/x" }],
    }, undefined],
    ["beside a mount", ["/bin/app"], {
      mounts: [{ destination: "/bi", type: "bind", source: "/x" }],
    }, TEXT],
  ];

for (const [name, candidates, spec, what] of FOUND) {
  Deno.test(`findFormat() finds the program ${name}`, () => {
    using root = makeRoot();
    const config = makeConfig(spec, { rootfs: root.path });
    assertEquals(findFormat(config, candidates)?.what, what);
  });
}

Deno.test("findFormat() of a root file system that is gone says nothing", () => {
  assertEquals(
    findFormat(makeConfig({}, { rootfs: "/none/such" }), ["/bin/app"]),
    undefined,
  );
});

Deno.test("readHead() opens no fifo and leaves no descriptor open", () => {
  using root = makeRoot();
  new Deno.Command("mkfifo", { args: [`${root.path}/bin/pipe`] }).outputSync();
  const count = () => [...Deno.readDirSync("/proc/self/fd")].length;
  const before = count();
  assertEquals(readHead(root.path, "/bin/pipe", 8), "other");
  assertEquals(readHead(root.path, "/bin/none", 8), undefined);
  assertEquals(readHead(root.path, "/bin/app", 2), bytes("ec"));
  assertEquals(count(), before);
});
