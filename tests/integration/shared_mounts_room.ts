/**
 * What tests of mounts among the caller's share.
 *
 * @module
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import type { Need } from "../needs.ts";
import { waitFor } from "../wait.ts";
import type { Spec } from "./caller.ts";
import type { CrashBox } from "./crash_box.ts";
import type { Room } from "./mount_room.ts";

export const NEEDS: Need[] = ["root", "helper", "busybox"];

/** A config.json's changes: the caller's namespaces, but for those named. */
export function over(script: string, more: Spec = {}): Spec {
  const { linux, process, namespaces = [], ...rest } = more;
  return {
    process: { args: ["sh", "-c", script], ...process },
    ...rest,
    linux: {
      namespaces: namespaces.map((type: string) => ({ type })),
      ...linux,
    },
  };
}

/** A box, and how to call rustyrun for it in a room. */
export function callIn(room: Room, box: CrashBox) {
  const line = (...words: string[]) => room.enter(box.argv(...words));
  const call = (...words: string[]) => box.runApart(line(...words));
  return {
    line,
    call,
    async quiet(...words: string[]) {
      const { code, stdout, stderr } = await call(...words);
      assertEquals([words[0], code, stdout, stderr], [words[0], 0, "", ""]);
    },
    sh: (script: string) => box.runApart(room.enter(["sh", "-c", script])),
    create: (id = box.name) =>
      call("create", "--bundle", id === box.name ? box.bundle : id, id),
  };
}

export async function waitStopped(
  call: ReturnType<typeof callIn>["call"],
  id: string,
): Promise<void> {
  const { stdout } = await waitFor(
    () => call("state", id),
    (it) => it.stdout.includes('"stopped"'),
  );
  assertStringIncludes(stdout, '"stopped"');
}

export const atRootfs = (box: CrashBox) => (line: string) =>
  line.includes(` ${box.dir}/rootfs`);

export const hook = (script: string) => [{
  path: "/bin/sh",
  args: ["sh", "-c", script],
}];
