/**
 * What the attack tests share: the hostile program (attack_payload.c,
 * attack_devices.c), and a directory of the host that no attack may reach.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import type { Need } from "../needs.ts";

/** What every attack needs: root is who has something to lose. */
export const NEEDS: Need[] = ["root", "helper", "busybox", "cc"];

let built: string | undefined;

/** Compiles the hostile program, once, and puts it into a root file system.
 *
 * @param owner user and group of all of it, for a user namespace */
export function plant(rootfs: string, owner = 0): void {
  if (built === undefined) {
    const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-attack-" });
    addEventListener("unload", () => Deno.removeSync(dir, { recursive: true }));
    const { success, stderr } = new Deno.Command("cc", {
      args: [
        "-static",
        "-O1",
        "-o",
        `${dir}/payload`,
        `${import.meta.dirname}/attack_payload.c`,
        `${import.meta.dirname}/attack_devices.c`,
      ],
    }).outputSync();
    if (!success) throw new Error(new TextDecoder().decode(stderr));
    built = `${dir}/payload`;
  }
  Deno.copyFileSync(built, `${rootfs}/bin/payload`);
  Deno.chmodSync(`${rootfs}/bin/payload`, 0o755);
  Deno.writeTextFileSync(`${rootfs}/this-is-the-container`, "");
  if (owner === 0) return;
  new Deno.Command("chown", { args: ["-R", `${owner}:${owner}`, rootfs] })
    .outputSync();
}

/** The hostile program on the host's side of a shared directory. */
export function payloadPath(rootfs: string): string {
  return `${rootfs}/bin/payload`;
}

/** A directory of the host's with one file; {@linkcode Target.check} fails when
 * anything in it is not as it was. */
export interface Target extends Disposable {
  dir: string;
  /** ".." often enough to get there from anywhere, without the first slash. */
  climb: string;
  check(): void;
}

/** Makes such a directory. */
export function makeTarget(): Target {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-target-" });
  Deno.writeTextFileSync(`${dir}/null`, "the host's");
  const look = () => {
    const { uid, gid, mode } = Deno.statSync(dir);
    return {
      uid,
      gid,
      mode,
      names: [...Deno.readDirSync(dir)].map((it) => it.name).sort(),
      text: Deno.readTextFileSync(`${dir}/null`),
    };
  };
  const before = look();
  return {
    dir,
    climb: `${"../".repeat(12)}${dir.slice(1)}`,
    check: () => assertEquals(look(), before),
    [Symbol.dispose]: () => Deno.removeSync(dir, { recursive: true }),
  };
}
