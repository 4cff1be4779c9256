/**
 * The default directory of the containers' states, where it lies below /tmp.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { claimSharedRoot, defaultRoot } from "../mod/state/place.ts";
import { ContainerError } from "../mod/errors.ts";

function withTempDir(test: (dir: string) => void): void {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-state-" });
  try {
    test(dir);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

const ROWS: [number, string | undefined, string][] = [
  [0, undefined, "/run/rustyrun"],
  [0, "/run/user/0", "/run/rustyrun"],
  [1000, "/run/user/1000", "/run/user/1000/rustyrun"],
  [1000, undefined, "/tmp/rustyrun-1000"],
];

for (const [uid, runtimeDir, want] of ROWS) {
  Deno.test(`defaultRoot() of uid ${uid} with ${runtimeDir} is ${want}`, () => {
    assertEquals(defaultRoot(uid, runtimeDir), want);
  });
}

const uid = Deno.uid() ?? 0;

Deno.test("claimSharedRoot() makes a directory for this user alone", () => {
  withTempDir((dir) => {
    const path = `${dir}/root`;
    claimSharedRoot(path, uid);
    claimSharedRoot(path, uid);
    assertEquals((Deno.statSync(path).mode ?? 0) & 0o777, 0o700);
  });
});

/** Ways in which somebody else can have made it, or may still write it. */
const UNSAFE: [string, (path: string) => void, number, string][] = [
  [
    "a directory that all may write",
    (path) => {
      Deno.mkdirSync(path);
      Deno.chmodSync(path, 0o777);
    },
    uid,
    "others may write it",
  ],
  [
    "a directory that a group may write",
    (path) => {
      Deno.mkdirSync(path);
      Deno.chmodSync(path, 0o770);
    },
    uid,
    "others may write it",
  ],
  [
    "another user's directory",
    (path) => Deno.mkdirSync(path),
    uid + 1,
    `it belongs to user ${uid}`,
  ],
  [
    "a link to a directory",
    (path) => Deno.symlinkSync("/", path),
    uid,
    "it is no directory",
  ],
  [
    "a file",
    (path) => Deno.writeTextFileSync(path, ""),
    uid,
    "it is no directory",
  ],
];

for (const [name, make, owner, why] of UNSAFE) {
  Deno.test(`claimSharedRoot() refuses ${name}`, () => {
    withTempDir((dir) => {
      const path = `${dir}/root`;
      make(path);
      const error = assertThrows(
        () => claimSharedRoot(path, owner),
        ContainerError,
        `Cannot keep the container's state in "${path}": ${why}`,
      );
      assertEquals(error.code, "state-directory");
    });
  });
}
