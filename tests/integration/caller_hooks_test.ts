/**
 * Hooks: when, where and with what they run.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { testOn } from "../needs.ts";
import {
  type Caller,
  makeCaller,
  makeSpec,
  QUIET,
  type Spec,
} from "./caller.ts";
import {
  hookSpec,
  type Kind,
  KINDS,
  NEEDS,
  shell,
} from "./caller_hooks_room.ts";

/** A line of what a hook saw. */
interface Seen {
  kind: string;
  state: Spec;
  argv: string;
  env: string;
  hostname: string;
  mounts: string;
  self: string;
  fds: string;
}

/** A script that writes down what it sees to descriptor-free places: below
 * /tmp, which the container has from the host. */
const SCRIPT = `#!/bin/sh
{
  printf '{"kind":"%s","argv":"%s","env":"%s","hostname":"%s","mounts":"%s","self":"%s","fds":"%s","state":' \\
    "$1" "$0 $*" "$A$HOME" "$(cat /proc/sys/kernel/hostname)" "$(readlink /proc/self/ns/mnt)" \\
    "$(readlink /proc/self/ns/pid)" "$(echo $(ls /proc/self/fd))"
  cat
  echo '}'
} >>"$LOG"
`;

/** A hook that runs SCRIPT under the name of its kind. */
function report(caller: Caller, kind: Kind, over: Spec = {}): Spec {
  return {
    path: `${caller.dir}/hook`,
    args: ["name", kind],
    env: [
      `LOG=${caller.dir}/seen`,
      "A=of hook",
      "PATH=/usr/local/bin:/bin:/usr/bin",
    ],
    ...over,
  };
}

function writeScript(caller: Caller): void {
  Deno.writeTextFileSync(`${caller.dir}/hook`, SCRIPT);
  Deno.chmodSync(`${caller.dir}/hook`, 0o755);
}

function readSeen(caller: Caller): Seen[] {
  return Deno.readTextFileSync(`${caller.dir}/seen`).trim().split("\n")
    .map((line) => JSON.parse(line));
}

testOn(NEEDS, "hooks of six kinds run in order, place and status", async () => {
  await using caller = makeCaller();
  const { id, dir, bundle } = caller;
  writeScript(caller);
  caller.write(hookSpec(
    caller,
    Object.fromEntries(KINDS.map((kind) => [kind, [report(caller, kind)]])),
    { annotations: { a: "b" } },
  ));
  const created = await caller.hold([
    "create",
    "--bundle",
    bundle,
    "--pid-file",
    `${dir}/pid`,
    id,
  ]);
  assertEquals(created.code, 0, Deno.readTextFileSync(caller.log));
  const pid = Number(Deno.readTextFileSync(`${dir}/pid`));
  const mounts = Deno.readLinkSync(`/proc/${pid}/ns/mnt`);
  const pids = Deno.readLinkSync(`/proc/${pid}/ns/pid`);
  assertEquals(readSeen(caller).map((it) => it.kind), [
    "prestart",
    "createRuntime",
    "createContainer",
  ]);
  assertEquals(await caller.call(["start", id]), QUIET);
  assertEquals(await caller.call(["kill", id, "9"]), QUIET);
  await caller.waitFor("stopped");
  assertEquals(await caller.call(["delete", id]), QUIET);

  const seen = readSeen(caller);
  assertEquals(seen.map((it) => it.kind), [...KINDS]);
  for (const it of seen) {
    const kind = it.kind as Kind;
    const inside = kind === "createContainer" || kind === "startContainer";
    assertEquals(it.state, {
      ociVersion: "1.0.2",
      id,
      status: kind === "startContainer"
        ? "created"
        : kind === "poststart"
        ? "running"
        : kind === "poststop"
        ? "stopped"
        : "created",
      ...(kind === "poststop" ? {} : { pid: inside ? 1 : pid }),
      bundle,
      annotations: { a: "b" },
    }, kind);
    assertEquals(it.mounts === mounts, inside, kind);
    assertEquals(it.self === pids, inside, kind);
    // Nothing but 0, 1, 2, and what ls itself opens.
    assertEquals(it.fds, "0 1 2 3", kind);
    assertMatch(it.env, /^of hook/);
  }
});

testOn(
  NEEDS,
  "a hook without env has nothing of the caller's: startContainer the process's, others none",
  async () => {
    await using caller = makeCaller();
    const { bundle, dir, id } = caller;
    const env = { SECRET: "of the caller" };
    caller.write(hookSpec(
      caller,
      Object.fromEntries(KINDS.map((kind) => [kind, [{
        path: "/bin/sh",
        args: ["sh", "-c", `exec cat /proc/self/environ >${dir}/env-${kind}`],
      }]])),
    ));
    await caller.hold(["create", "--bundle", bundle, id], { env });
    assertEquals(await caller.call(["start", id], { env }), QUIET);
    assertEquals(await caller.call(["kill", id, "KILL"], { env }), QUIET);
    await caller.waitFor("stopped");
    assertEquals(await caller.call(["delete", id], { env }), QUIET);
    for (const kind of KINDS) {
      const given = Deno.readTextFileSync(`${dir}/env-${kind}`).split("\0");
      assertEquals(
        // A shell may add its own.
        given.filter((it) => !/^((OLD)?PWD=|SHLVL=|_=|$)/.test(it)).sort(),
        kind === "startContainer" ? ["HOME=/root", "PATH=/bin"] : [],
        kind,
      );
    }
  },
);

for (
  const [how, namespaces] of [
    ["", ["pid", "mount"]],
    [" without a mount namespace", ["pid"]],
    [" of a user who cannot enter the bundle", ["pid", "mount", "user"]],
  ] as const
) {
  testOn(
    NEEDS,
    `the directory of a createContainer hook is the root file system${how}`,
    async () => {
      await using caller = makeCaller();
      const { bundle, dir, id, rootfs } = caller;
      const maps = [{ containerID: 0, hostID: 100000, size: 65536 }];
      const mapped = namespaces.some((it) => it === "user");
      caller.write(makeSpec(id, {
        root: { path: `${dir}/open/rootfs` },
        process: { args: ["true"] },
        linux: {
          namespaces: namespaces.map((type) => ({ type })),
          ...(mapped ? { uidMappings: maps, gidMappings: maps } : {}),
        },
        // What is mounted in it is there as well.
        hooks: {
          createContainer: [
            shell(`ls -di . >${dir}/open/seen; ls proc/self/fd >/dev/null`),
          ],
        },
      }));
      Deno.mkdirSync(`${dir}/open`);
      Deno.renameSync(rootfs, `${dir}/open/rootfs`);
      Deno.chmodSync(dir, 0o755);
      Deno.chmodSync(`${dir}/open`, 0o777);
      Deno.chmodSync(bundle, 0o700);
      assertEquals(await caller.call(["run", "--bundle", bundle, id]), QUIET);
      assertEquals(
        Deno.readTextFileSync(`${dir}/open/seen`),
        `${Deno.statSync(`${dir}/open/rootfs`).ino} .\n`,
      );
    },
  );
}

testOn(NEEDS, "hooks of a kind run in the order of the list", async () => {
  await using caller = makeCaller();
  const { id, dir } = caller;
  const say = (word: string) => shell(`echo ${word} >>${dir}/order`);
  caller.write(hookSpec(
    caller,
    Object.fromEntries(
      KINDS.map((kind) => [kind, [say(`${kind}1`), say(`${kind}2`)]]),
    ),
  ));
  await caller.hold(["create", "--bundle", caller.bundle, id]);
  assertEquals(await caller.call(["start", id]), QUIET);
  assertEquals(await caller.call(["delete", "--force", id]), QUIET);
  assertEquals(
    Deno.readTextFileSync(`${dir}/order`).trim().split("\n"),
    KINDS.flatMap((kind) => [`${kind}1`, `${kind}2`]),
  );
});

testOn(
  NEEDS,
  "startContainer hooks run before the command, poststart after",
  async () => {
    await using caller = makeCaller();
    const { id, dir } = caller;
    caller.write(hookSpec(caller, {
      startContainer: [shell(`echo startContainer >>${dir}/order`)],
      poststart: [
        shell(
          `i=0; until grep -q command ${dir}/order || [ $i = 1200 ]; do sleep 0.05; i=$((i+1)); done; echo poststart >>${dir}/order`,
        ),
      ],
    }, {
      process: {
        args: ["sh", "-c", `echo command >>${dir}/order; sleep 1000`],
      },
    }));
    await caller.hold(["create", "--bundle", caller.bundle, id]);
    assertEquals(await caller.call(["start", id]), QUIET);
    assertEquals(
      Deno.readTextFileSync(`${dir}/order`),
      "startContainer\ncommand\npoststart\n",
    );
  },
);
