/**
 * What the doctor says of a machine that forbids user namespaces, by the switch
 * that does.
 *
 * @module
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { allowProgram, fixInside, fixUser } from "../mod/doctor/userns.ts";

const USER = { uid: 1000, inUserns: false };
const FREE = { clone: "1", max: "15000", apparmor: "0" };
const PROGRAM = "/usr/local/bin/rustyrun";
const PROFILE =
  'profile rustyrun "/usr/local/bin/rustyrun" flags=(unconfined) { userns, }';

Deno.test("fixUser() names the switch that forbids a user namespace", () => {
  const fix = (over: Record<string, string>, facts = USER) =>
    fixUser({ ...FREE, ...over }, facts, PROGRAM);
  assertEquals(
    fix({ clone: "0" }),
    "sysctl -w kernel.unprivileged_userns_clone=1",
  );
  assertEquals(fix({ max: "0" }), "sysctl -w user.max_user_namespaces=15000");
  assertStringIncludes(fix({ apparmor: "1" }), PROFILE);
  assertStringIncludes(fix({}), "run from a plain login");
  assertStringIncludes(
    fix({}, { uid: 0, inUserns: true }),
    "this is a container",
  );
  // Root is not restricted.
  assertStringIncludes(
    fix({ apparmor: "1" }, { uid: 0, inUserns: false }),
    "run from a plain login",
  );
});

Deno.test("fixInside() has AppArmor's profile where that takes the capabilities in a user namespace", () => {
  assertStringIncludes(
    fixInside({ apparmor: "1" }, USER, PROGRAM, "other"),
    PROFILE,
  );
  assertEquals(fixInside(FREE, USER, PROGRAM, "other"), "other");
  assertEquals(fixInside({}, USER, PROGRAM, "other"), "other");
  assertEquals(
    fixInside({ apparmor: "1" }, { uid: 0 }, PROGRAM, "other"),
    "other",
  );
});

/** Runs the part of a fix that writes, into a file of the test's own. */
function writeProfile(program: string): string {
  const fix = allowProgram(program);
  const command = fix.slice(fix.indexOf("printf"), fix.indexOf(" >/etc"));
  const { stdout } = new Deno.Command("sh", { args: ["-c", command] })
    .outputSync();
  return new TextDecoder().decode(stdout);
}

Deno.test("allowProgram() writes a profile of one file, whatever its name", () => {
  assertEquals(
    writeProfile(PROGRAM),
    `abi <abi/4.0>,\ninclude <tunables/global>\n${PROFILE}\n`,
  );
  assertStringIncludes(
    writeProfile(`/opt/it's 5%/{a,b}*/"rr"`),
    `profile rustyrun "/opt/it's 5%/\\{a,b\\}\\*/\\"rr\\"" flags`,
  );
});
