/**
 * Hooks that fail, and hooks in a whole life.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { testOn } from "../needs.ts";
import { makeCaller, makeSpec, QUIET } from "./caller.ts";
import { hookSpec, KINDS, NEEDS, shell } from "./caller_hooks_room.ts";

for (
  const kind of ["prestart", "createRuntime", "createContainer"] as const
) {
  for (
    const [how, hook, want] of [
      ["fails", shell("exit 3"), /exit status 3/],
      ["is too slow", shell("sleep 1000", { timeout: 1 }), /timeout|longer/],
      ["is not there", { path: "/nonesuch" }, /no such file or directory/],
    ] as const
  ) {
    testOn(NEEDS, `a ${kind} hook that ${how} undoes create`, async () => {
      await using caller = makeCaller();
      const { id, dir } = caller;
      caller.write(hookSpec(caller, {
        [kind]: [hook, shell(`echo second >${dir}/second`)],
      }));
      const { code, stderr } = await caller.call(
        ["create", "--bundle", caller.bundle, id],
      );
      assertEquals(code, 1);
      assertMatch(stderr, new RegExp(`${kind} hook`));
      assertMatch(stderr, want);
      // The list ends at the first that fails.
      assertEquals(
        [...Deno.readDirSync(dir)].some((it) => it.name === "second"),
        false,
      );
      assertMatch(
        (await caller.call(["state", id])).stderr,
        /container does not exist/,
      );
    });
  }
}

testOn(
  NEEDS,
  "a startContainer hook that fails stops the container",
  async () => {
    await using caller = makeCaller();
    const { id, dir } = caller;
    caller.write(hookSpec(caller, { startContainer: [shell("exit 3")] }, {
      process: { args: ["sh", "-c", `echo ran >${dir}/ran`] },
    }));
    await caller.hold(["create", "--bundle", caller.bundle, id]);
    const { code, stderr } = await caller.call(["start", id]);
    assertEquals(code, 1);
    assertMatch(stderr, /startContainer hook.*exit status 3/);
    assertEquals(
      [...Deno.readDirSync(dir)].some((it) => it.name === "ran"),
      false,
    );
    await caller.waitFor("stopped");
    assertEquals(await caller.call(["delete", id]), QUIET);
  },
);

testOn(NEEDS, "a poststart hook that fails stops the container", async () => {
  await using caller = makeCaller();
  const { id } = caller;
  caller.write(hookSpec(caller, { poststart: [shell("exit 3")] }));
  await caller.hold(["create", "--bundle", caller.bundle, id]);
  const { code, stderr } = await caller.call(["start", id]);
  assertEquals(code, 1);
  assertMatch(stderr, /poststart hook.*exit status 3/);
  await caller.waitFor("stopped");
  assertEquals(await caller.call(["delete", id]), QUIET);
});

testOn(NEEDS, "a poststop hook that fails is only warned about", async () => {
  await using caller = makeCaller();
  const { id, dir } = caller;
  caller.write(hookSpec(caller, {
    poststop: [shell("exit 3"), shell(`echo second >${dir}/second`)],
  }));
  await caller.hold(["create", "--bundle", caller.bundle, id]);
  assertEquals(await caller.call(["start", id]), QUIET);
  assertEquals(await caller.call(["kill", id, "9"]), QUIET);
  await caller.waitFor("stopped");
  const { code, stdout, stderr } = await caller.call(["delete", id]);
  assertEquals([code, stdout], [0, ""]);
  assertMatch(stderr, /poststop hook.*exit status 3/);
  assertEquals(Deno.readTextFileSync(`${dir}/second`), "second\n");
});

testOn(
  NEEDS,
  "run runs the hooks of a whole life, and keeps its code",
  async () => {
    await using caller = makeCaller();
    const { id, dir } = caller;
    const say = (word: string) => shell(`echo ${word} >>${dir}/order`);
    const wait = `until grep -q poststart ${dir}/order; do sleep 0.05; done`;
    caller.write(hookSpec(
      caller,
      Object.fromEntries(KINDS.map((kind) => [kind, [say(kind)]])),
      { process: { args: ["sh", "-c", `${wait}; exit 6`] } },
    ));
    assertEquals(await caller.call(["run", "--bundle", caller.bundle, id]), {
      ...QUIET,
      code: 6,
    });
    assertEquals(
      Deno.readTextFileSync(`${dir}/order`).trim().split("\n"),
      [...KINDS],
    );
  },
);

testOn(
  NEEDS,
  "run keeps the code of a command that ends before its poststart hook",
  async () => {
    await using caller = makeCaller();
    const { id, dir } = caller;
    const ended =
      `until grep -qs "^State:.*Z" /proc/$pid/status; do sleep 0.05; done`;
    const hook = shell(
      `pid=$(sed -n 's/.*"pid":\\([0-9]*\\).*/\\1/p'); ${ended}; echo seen >${dir}/seen`,
    );
    caller.write(hookSpec(caller, { poststart: [hook] }, {
      process: { args: ["sh", "-c", "exit 6"] },
    }));
    assertEquals(await caller.call(["run", "--bundle", caller.bundle, id]), {
      ...QUIET,
      code: 6,
    });
    assertEquals(Deno.readTextFileSync(`${dir}/seen`), "seen\n");
  },
);

for (
  const [how, hook, want] of [
    ["fails", shell("exit 3"), /startContainer hook .*"\/bin\/sh.*: it failed/],
    [
      "is too slow",
      shell("sleep 1000", { timeout: 1 }),
      /startContainer hook .*"\/bin\/sh.*: it took longer than its timeout/,
    ],
    [
      "is not there",
      { path: "/nonesuch" },
      /startContainer hook .*"\/nonesuch.*: no such file or directory/,
    ],
  ] as const
) {
  testOn(NEEDS, `run names a startContainer hook that ${how}`, async () => {
    await using caller = makeCaller();
    const { id, bundle, dir } = caller;
    caller.write(hookSpec(caller, {
      startContainer: [shell("true"), hook],
    }, { process: { args: ["sh", "-c", `echo ran >${dir}/ran`] } }));
    const { code, stderr } = await caller.call(["run", "--bundle", bundle, id]);
    assertEquals(code, 1);
    assertMatch(stderr, want);
    assertEquals(
      [...Deno.readDirSync(dir)].some((it) => it.name === "ran"),
      false,
    );
  });
}

testOn(NEEDS, "a poststop hook says that the bundle is gone", async () => {
  await using caller = makeCaller();
  const { id, dir, bundle } = caller;
  caller.write({
    ...makeSpec(id),
    hooks: { poststop: [shell("exit 0")] },
  });
  await caller.hold(["create", "--bundle", bundle, id]);
  assertEquals(await caller.call(["kill", id, "9"]), QUIET);
  await caller.waitFor("stopped");
  Deno.renameSync(bundle, `${dir}/moved`);
  const { code, stderr } = await caller.call(["delete", id]);
  Deno.renameSync(`${dir}/moved`, bundle);
  assertEquals([code, stderr], [
    0,
    `rustyrun: warning: Cannot run the poststop hook "/bin/sh": its working directory "${bundle}": no such file or directory\n`,
  ]);
});
