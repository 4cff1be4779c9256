/**
 * AppArmor profiles, loaded by apparmor_parser: for the guest (.ci/guest).
 *
 * @module
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { runToEnd } from "../harness.ts";
import { testOn } from "../needs.ts";
import { makeV2Room } from "./v2_room.ts";

const NEEDS = ["root", "helper", "busybox", "cgroup-v2", "apparmor"] as const;

/** Has the kernel take profiles, or forget them. */
async function parse(flag: string, text: string): Promise<void> {
  const { code, stderr } = await runToEnd(
    ["sh", "-c", `printf '%s\\n' "$1" | apparmor_parser ${flag}`, "sh", text],
  );
  assertEquals(code, 0, stderr);
}

const SHOW = "cat /proc/self/attr/current; echo no >/denied; echo yes >/other";

testOn(
  NEEDS,
  "process.apparmorProfile confines the container and exec; one that is not loaded is an error",
  async () => {
    await using room = makeV2Room();
    const names = ["one", "two"].map((it) => `rrtest-${Deno.pid}-${it}`);
    const [one, two] = names as [string, string];
    const process = { apparmorProfile: one };
    const profiles = names.map((name) =>
      `profile ${name} flags=(attach_disconnected,mediate_deleted) { file, capability, network, signal, ptrace, umount, deny /denied w, }`
    ).join("\n");
    const current = (pid: number) =>
      Deno.readTextFileSync(`/proc/${pid}/attr/current`).trim();

    const missing = await room.refuse({ process });
    assertStringIncludes(missing, `the AppArmor profile "${one}"`);
    assertStringIncludes(missing, "apparmor_parser -r");

    await parse("-Kr", profiles);
    try {
      const pid = await room.start({ process });
      assertEquals(current(pid), `${one} (enforce)`);
      const said = await room.exec(SHOW);
      assertStringIncludes(said, `${one} (enforce)`);
      assertStringIncludes(said, "/denied: Permission denied");
      assertEquals(Deno.readTextFileSync(`${room.rootfs}/other`), "yes\n");
      const other = await room.exec(SHOW, "--apparmor", two);
      assertStringIncludes(other, `${two} (enforce)`);
      const words = ["exec", "--detach", "--apparmor", `${one}-no`, room.id];
      const none = await room.call(...words, "true");
      assertEquals(none.code === 0, false);
      assertStringIncludes(none.stderr, `the AppArmor profile "${one}-no"`);
      assertEquals(room.read("cgroup.procs"), `${pid}`);
      await room.end();

      await room.start({ process: { apparmorProfile: "unconfined" } });
      assertStringIncludes(await room.exec(SHOW), "unconfined");
      assertEquals(Deno.readTextFileSync(`${room.rootfs}/denied`), "no\n");
      await room.end();
    } finally {
      await parse("-R", profiles);
    }
  },
);
