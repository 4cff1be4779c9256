/**
 * errno's names, numbers and words, against the C library's own.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import {
  describeErrno,
  errnoName,
  errnoNumber,
  errnoOf,
  errnoText,
  isGone,
  SyscallError,
} from "../../ffi/errno.ts";
import { findPython, probe, testOn } from "../needs.ts";

for (
  const [errno, name, text] of [
    [1, "EPERM", "operation not permitted"],
    [2, "ENOENT", "no such file or directory"],
    [11, "EAGAIN", "resource temporarily unavailable"],
    [13, "EACCES", "permission denied"],
    [22, "EINVAL", "invalid argument"],
    [28, "ENOSPC", "no space left on device"],
    [38, "ENOSYS", "function not implemented"],
    [40, "ELOOP", "too many levels of symbolic links"],
    [80, "ELIBBAD", "accessing a corrupted shared library"],
    [95, "EOPNOTSUPP", "operation not supported"],
    [109, "ETOOMANYREFS", "too many references: cannot splice"],
    [130, "EOWNERDEAD", "EOWNERDEAD"],
    [4711, "errno 4711", "errno 4711"],
    [-1, "errno -1", "errno -1"],
  ] as const
) {
  Deno.test(`errnoName() and errnoText() of ${errno}`, () => {
    assertEquals([errnoName(errno), errnoText(errno)], [name, text]);
    assertEquals(
      describeErrno(errno),
      name === text ? name : `${name} (${text})`,
    );
  });
}

Deno.test("errnoNumber() is the way back", () => {
  for (let errno = 1; errno < 134; errno++) {
    const name = errnoName(errno);
    if (!name.startsWith("errno")) assertEquals(errnoNumber(name), errno);
  }
  assertEquals([errnoNumber("ENOPE"), errnoNumber("OK")], [0, 0]);
});

Deno.test("errnoOf() has one name for a number, whatever Deno calls it", () => {
  const coded = (code: string) => errnoOf(Object.assign(new Error(), { code }));
  assertEquals(coded("ENOTSUP"), "EOPNOTSUPP");
  assertEquals(coded("EBUSY"), "EBUSY");
  assertEquals(errnoOf(new Error("x (os error 95)")), "EOPNOTSUPP");
  assertEquals(errnoOf(undefined), "");
});

Deno.test("SyscallError says the call, the name and the words", () => {
  const error = new SyscallError("mount", 1);
  assertEquals(error.message, "mount: EPERM (operation not permitted)");
  assertEquals([error.name, error.code], ["SyscallError", "EPERM"]);
  assertEquals(new SyscallError("mount", 4711).message, "mount: errno 4711");
});

Deno.test("isGone() knows a process that went before, and after, its file was opened", async () => {
  const child = new Deno.Command("sleep", { args: ["1000"] }).spawn();
  const path = `/proc/${child.pid}/cmdline`;
  using file = Deno.openSync(path);
  child.kill("SIGKILL");
  await child.status;
  const caught = (call: () => unknown) => {
    try {
      call();
    } catch (error) {
      return [errnoOf(error), isGone(error)];
    }
    return [];
  };
  assertEquals(
    [
      caught(() => file.readSync(new Uint8Array(9))),
      caught(() => Deno.readTextFileSync(path)),
      caught(() => Deno.readTextFileSync("/dev/null/x")),
    ],
    [["ESRCH", true], ["ENOENT", true], ["ENOTDIR", false]],
  );
});

testOn(["python3"], "errnoName() and errnoText() are the C library's", () => {
  const { stdout } = probe(
    findPython(),
    "-c",
    "import errno, os, json; print(json.dumps({n: [getattr(errno, n), os.strerror(getattr(errno, n)).lower()] for n in dir(errno) if n[0] == 'E'}))",
  );
  const theirs: Record<string, [number, string]> = JSON.parse(stdout);
  const wrong = Object.entries(theirs).flatMap(([name, [errno, text]]) => {
    const ours = errnoName(errno);
    // Two names may share a number: EAGAIN and EWOULDBLOCK.
    const isNamed = ours === name || ours.startsWith("errno ") ||
      theirs[ours]?.[0] === errno;
    // glibc adds who timed out.
    const words = errnoText(errno);
    const isWorded = words === ours || text.endsWith(words);
    return isNamed && isWorded ? [] : [`${errno} ${ours} ${words}: ${text}`];
  });
  assert(Object.keys(theirs).length > 100);
  assertEquals(wrong, []);
});
