/**
 * Whose files of the host's a container may change, as their owner.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { findOwned, hasId, isInside } from "../mod/host/owners.ts";
import { makeConfig, makeFacts } from "./manager_fixtures.ts";

const MAP = `         0       1000          1
         1     100000      65536
`;

/** A directory as /proc/PID, with this map. */
function makeProc(): Disposable & { proc: string } {
  const proc = Deno.makeTempDirSync({ prefix: "rustyrun-test-owners-" });
  Deno.writeTextFileSync(`${proc}/uid_map`, MAP);
  return {
    proc,
    [Symbol.dispose]: () => Deno.removeSync(proc, { recursive: true }),
  };
}

Deno.test("hasId() reads a map", () => {
  using made = makeProc();
  assertEquals(
    [0, 1, 65536, 65537].map((it) => hasId(`${made.proc}/uid_map`, it)),
    [true, true, true, false],
  );
});

const JOINED = { namespaces: [{ type: "user" as const, path: "/p" }] };
const NEW = {
  namespaces: [{ type: "user" as const }],
  uidMappings: [{ containerID: 0, hostID: 10, size: 5 }],
};

Deno.test("isInside() is true for everybody without a user namespace", () => {
  const config = makeConfig();
  assertEquals(isInside(7, config, makeFacts()), true);
});

Deno.test("isInside() asks the caller's user namespace, where it stays", () => {
  using made = makeProc();
  const facts = makeFacts({ inUserns: true, proc: made.proc });
  assertEquals(
    [65536, 65537].map((it) => isInside(it, makeConfig(), facts)),
    [true, false],
  );
});

Deno.test("isInside() asks the container's map, and knows none of a joined one", () => {
  const facts = makeFacts();
  const ask = (linux: typeof NEW | typeof JOINED) =>
    [9, 10, 14, 15].map((it) => isInside(it, makeConfig({ linux }), facts));
  assertEquals(ask(NEW), [false, true, true, false]);
  assertEquals(ask(JOINED), [true, true, true, true]);
});

Deno.test("findOwned() counts what cannot be looked at", () => {
  const config = makeConfig({ linux: NEW });
  const paths = ["/", "/nowhere/at/all"];
  assertEquals(
    [...findOwned(paths, config, makeFacts())],
    ["/nowhere/at/all"],
  );
});
