/**
 * Hooks of all six kinds: where they run, what they read, in which order, and
 * what their failure does; runtime-spec config.md "POSIX-platform Hooks".
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

const NEEDS = ["root", "helper", "busybox", "python3"] as const;

const KINDS = [
  "prestart",
  "createRuntime",
  "createContainer",
  "startContainer",
  "poststart",
  "poststop",
] as const;
type Kind = typeof KINDS[number];

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

/** Lays hooks into a bundle: /hooks is the same directory for the host and for
 * the container, by one path. */
function hookSpec(
  caller: Caller,
  hooks: Partial<Record<Kind, Spec[]>>,
  over: Spec = {},
): Spec {
  const spec = makeSpec(caller.id, over);
  spec["hostname"] = "inside";
  spec["mounts"].push({
    destination: caller.dir,
    type: "bind",
    source: caller.dir,
    options: ["rbind", "rw"],
  });
  spec["hooks"] = hooks;
  return spec;
}

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

/** A hook that is a line of shell. */
function shell(line: string, over: Spec = {}): Spec {
  return { path: "/bin/sh", args: ["sh", "-c", line], ...over };
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

testOn(
  NEEDS,
  "a createContainer hook runs where the container's user cannot enter the bundle",
  async () => {
    await using caller = makeCaller();
    const { bundle, dir, id, rootfs } = caller;
    const maps = [{ containerID: 0, hostID: 100000, size: 65536 }];
    const spec = makeSpec(id, {
      root: { path: `${dir}/open/rootfs` },
      process: { args: ["true"] },
      linux: { uidMappings: maps, gidMappings: maps },
      hooks: { createContainer: [shell(`pwd >${dir}/open/cwd`)] },
    });
    spec["linux"].namespaces.push({ type: "user" });
    caller.write(spec);
    Deno.mkdirSync(`${dir}/open`);
    Deno.renameSync(rootfs, `${dir}/open/rootfs`);
    Deno.chmodSync(dir, 0o755);
    Deno.chmodSync(`${dir}/open`, 0o777);
    const run = ["run", "--bundle", bundle, id];
    for (const [mode, cwd] of [[0o700, "/"], [0o755, bundle]] as const) {
      Deno.chmodSync(bundle, mode);
      assertEquals(await caller.call(run), QUIET);
      assertEquals(Deno.readTextFileSync(`${dir}/open/cwd`), `${cwd}\n`);
      Deno.removeSync(`${dir}/open/cwd`);
    }
  },
);

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

testOn(NEEDS, "a hook whose bundle is gone is not blamed for it", async () => {
  await using caller = makeCaller();
  const { id, dir, bundle } = caller;
  caller.write({
    ...makeSpec(id),
    hooks: {
      createRuntime: [shell(`mv ${bundle} ${dir}/moved`)],
      createContainer: [shell("exit 0")],
    },
  });
  const { code, stderr } = await caller.call([
    "create",
    "--bundle",
    bundle,
    id,
  ]);
  Deno.renameSync(`${dir}/moved`, bundle);
  assertEquals(code, 1);
  assertMatch(
    stderr,
    /createContainer hook \\*"\/bin\/sh\\*": its working directory \\*"[^"]*bundle\\*": no such file or directory/,
  );
});

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
