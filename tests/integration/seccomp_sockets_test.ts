/**
 * The families of sockets that the default filter refuses, by every way that a
 * 32-bit program has to make one (CVE-2026-31431 reaches AF_ALG).
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { makeBox } from "../harness.ts";
import { testOn } from "../needs.ts";

const EPERM = 1;

// An arm64 kernel runs no programs of i386.
if (Deno.build.arch === "x86_64") {
  testOn(
    ["root", "helper", "busybox", "cc32"],
    "run: a 32-bit program gets no family of sockets that a 64-bit one does not",
    async () => {
      await using box = makeBox();
      const { success, stderr } = new Deno.Command("cc", {
        args: [
          ...["-m32", "-nostdlib", "-static", "-ffreestanding", "-fno-pie"],
          ...["-no-pie", "-fno-stack-protector", "-O1", "-o"],
          `${box.rootfs}/bin/sockets`,
          `${import.meta.dirname}/../c/socketcall.c`,
        ],
      }).outputSync();
      assertEquals(success, true, new TextDecoder().decode(stderr));
      const run = async (...flags: string[]) => {
        const { stdout } = await box.run([...flags, "--", "sockets"]);
        return Object.fromEntries(
          stdout.trim().split("\n").map((line) => {
            const at = line.lastIndexOf(" ");
            return [line.slice(0, at), Number(line.slice(at + 1))];
          }),
        );
      };
      assertEquals(await run(), {
        "inet": 0,
        "vsock": EPERM,
        "alg": EPERM,
        "inet through socketcall": EPERM,
        "vsock through socketcall": EPERM,
        "alg through socketcall": EPERM,
        "pair through socketcall": 0,
      });
      // It is the filter that refuses, and nothing else.
      const free = await run("--security-opt", "seccomp=unconfined");
      assertEquals(
        [
          free["inet through socketcall"],
          free["alg through socketcall"] === EPERM,
        ],
        [0, false],
      );
    },
  );
}
