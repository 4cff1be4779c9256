/**
 * Commands for callers that are made by hand: whatever they ask about who called
 * them comes from that value, and what they print goes to its outlet.
 *
 * @module
 */

import { assert, assertEquals, assertThrows } from "@std/assert";
import type { Caller } from "../mod/caller.ts";
import { findThaw } from "../mod/cgroups/join.ts";
import type { CgroupDir } from "../mod/cgroups/model.ts";
import { main } from "../mod/cli/main.ts";
import {
  applyListenFds,
  checkPreserved,
} from "../mod/container/properties/activation.ts";
import { checkTerminal } from "../mod/container/properties/handover.ts";
import { judgeNamespaces } from "../mod/container/properties/joined.ts";
import { ContainerError } from "../mod/errors.ts";
import { gatherFacts, outerRoot } from "../mod/host.ts";
import { makeCaller, makeConfig, makeOutlet } from "./manager_fixtures.ts";

/** A directory, gone at the end. */
function makeRoom(): Disposable & { dir: string } {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-caller-" });
  return {
    dir,
    [Symbol.dispose]: () => Deno.removeSync(dir, { recursive: true }),
  };
}

/** Calls a command in this process. */
async function call(
  words: string[],
  changes: Partial<Caller> = {},
  input?: string,
) {
  const { outlet, said } = makeOutlet(input);
  const code = await main({
    caller: makeCaller({ words, ...changes }),
    outlet,
  });
  return { code, stdout: said[1], stderr: said[2] };
}

const GONE = (): string => {
  throw new ContainerError("Cannot find it", { code: "current-directory" });
};

Deno.test("a command prints to its outlet", async () => {
  const { code, stdout, stderr } = await call(["--version"]);
  assertEquals([code, stdout.split(" ")[0], stderr], [0, "rustyrun", ""]);
});

Deno.test("an error is printed to the outlet, and as JSON where a word asks for it", async () => {
  const { code, stdout, stderr } = await call(["nonsense", "--json"]);
  assertEquals([code > 0, stdout], [true, ""]);
  assertEquals(JSON.parse(stderr).code, "unknown-command");
});

for (
  const [kind, want] of [
    ["a terminal", "null\n"],
    ["something else", "null"],
  ] as const
) {
  Deno.test(`list --format json ends its line on a terminal alone: ${kind}`, async () => {
    using room = makeRoom();
    const words = ["--root", room.dir, "list", "--format", "json"];
    // The other two say nothing about it.
    const isTerminal = (fd: number) => fd !== 1 || kind === "a terminal";
    assertEquals((await call(words, { isTerminal })).stdout, want);
  });
}

Deno.test("paths begin at the caller's directory", async () => {
  using room = makeRoom();
  Deno.mkdirSync(`${room.dir}/states/box`, { recursive: true });
  const directory = () => room.dir;
  const log = ["--log", "log.txt"];
  const made = await call([...log, "--root", "states", "list"], { directory });
  assertEquals([made.code, made.stderr], [0, ""]);
  assertEquals(Deno.readTextFileSync(`${room.dir}/log.txt`), "");
  assertEquals((await call(["spec"], { directory })).code, 0);
  assert(Deno.statSync(`${room.dir}/config.json`).isFile);
});

Deno.test("a deleted directory hinders who needs it, and nobody else", async () => {
  using room = makeRoom();
  const directory = GONE;
  const fine = await call(["--root", room.dir, "list"], { directory });
  assertEquals([fine.code, fine.stderr], [0, ""]);
  for (
    const words of [["--root", "states", "list"], ["spec"], ["validate"], [
      "--log",
      "log.txt",
      "--root",
      room.dir,
      "list",
    ]]
  ) {
    const { code, stderr } = await call(words, { directory });
    assertEquals([code, /cannot find it$/im.test(stderr)], [
      1,
      true,
    ], words.join(" "));
  }
});

Deno.test("words that are no UTF-8 are told as such", async () => {
  using room = makeRoom();
  const words = ["--root", room.dir, "list", "--format", "a\udcff"];
  const { code, stderr } = await call(words);
  assertEquals(code, 1);
  assert(stderr.includes("a\\xff"), stderr);
});

Deno.test("without an environment, states have their place all the same", async () => {
  const { code, stderr } = await call(["state", "rrtest-no-such"]);
  assertEquals([code, stderr.split("\n")[0]], [
    1,
    'rustyrun: Cannot find "rrtest-no-such": container does not exist',
  ]);
});

Deno.test("a user's states are where its environment says", async () => {
  using room = makeRoom();
  Deno.mkdirSync(`${room.dir}/proc`);
  Deno.writeTextFileSync(`${room.dir}/proc/uid_map`, "0 0 4294967295\n");
  const { code, stderr } = await call(["list"], {
    uid: 1234,
    proc: `${room.dir}/proc`,
    environment: ["XDG_RUNTIME_DIR_=/x", `XDG_RUNTIME_DIR=${room.dir}`],
  });
  // This process is another user, and so is who owns the directory.
  assertEquals([code, stderr.split("\n")[0]], [
    1,
    `rustyrun: Cannot keep the container's state in "${room.dir}/rustyrun": it belongs to user ${Deno.uid()}`,
  ]);
});

Deno.test("spec --rootless maps the caller's ids", async () => {
  using room = makeRoom();
  const { code } = await call(["spec", "--rootless"], {
    uid: 1234,
    gid: 5678,
    directory: () => room.dir,
  });
  assertEquals(code, 0);
  const { linux } = JSON.parse(
    Deno.readTextFileSync(`${room.dir}/config.json`),
  );
  assertEquals(
    [linux.uidMappings[0].hostID, linux.gidMappings[0].hostID],
    [1234, 5678],
  );
});

Deno.test("update reads its changes from the outlet", async () => {
  using room = makeRoom();
  const words = ["--root", room.dir, "update", "--resources", "-", "box"];
  const { code, stderr } = await call(words, {}, '{"memory":{"limit":"\xfc"}}');
  assertEquals(code, 1);
  assert(stderr.includes("memory.limit"), stderr);
});

/** A caller on a machine of cgroup v1, in a user namespace. */
const PROC = {
  mountinfo:
    `30 25 0:27 / /sys/fs/cgroup/freezer rw shared:14 - cgroup cgroup rw,freezer
31 25 0:28 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
`,
  cgroup: "6:freezer:/mine/a\n0::/there\n",
  uid_map: "         0       1000          1\n",
};

function makeProc(room: { dir: string }): string {
  for (const [name, text] of Object.entries(PROC)) {
    Deno.writeTextFileSync(`${room.dir}/${name}`, text);
  }
  return room.dir;
}

Deno.test("facts are of the caller: its cgroups, its user namespace", () => {
  using room = makeRoom();
  const proc = makeProc(room);
  const facts = gatherFacts(
    makeCaller({ proc, uid: 1000, gid: 1001, caps: 5n }),
  );
  assertEquals(
    [facts.uid, facts.gid, facts.caps, facts.inUserns],
    [1000, 1001, 5n, true],
  );
  assertEquals(facts.cgroups.map((it) => [it.path, it.own]), [
    ["/sys/fs/cgroup/freezer", "/mine/a"],
    ["/sys/fs/cgroup/unified", "/there"],
  ]);
  assertEquals(outerRoot(proc), 1000);
});

Deno.test("facts are read when they are asked for, and a caller as well", () => {
  const asked: string[] = [];
  const caller = new Proxy(makeCaller({ proc: "/nowhere" }), {
    get(target, name, receiver) {
      asked.push(String(name));
      return Reflect.get(target, name, receiver);
    },
  });
  const facts = gatherFacts(caller);
  assertEquals(asked, ["proc"]);
  assertEquals([facts.uid, asked], [0, ["proc", "uid"]]);
  assertThrows(() => facts.inUserns, Deno.errors.NotFound);
});

Deno.test("findThaw() takes the cgroup of the caller, who becomes the keeper", () => {
  using room = makeRoom();
  const dir: CgroupDir = {
    version: 1,
    controllers: ["freezer"],
    mount: "/sys/fs/cgroup/freezer",
    path: "/sys/fs/cgroup/freezer/box",
  };
  const facts = gatherFacts(makeCaller({ proc: makeProc(room) }));
  assertEquals(findThaw([dir], facts), {
    freezer: "/sys/fs/cgroup/freezer/box/freezer.state",
    thaw: "/sys/fs/cgroup/freezer/mine/a/cgroup.procs",
  });
});

Deno.test("judgeNamespaces() knows the caller's own", () => {
  using room = makeRoom();
  Deno.mkdirSync(`${room.dir}/ns`);
  for (const name of ["net", "pid_for_children", "uts"]) {
    Deno.writeTextFileSync(`${room.dir}/ns/${name}`, "");
  }
  Deno.writeTextFileSync(`${room.dir}/another`, "");
  const config = makeConfig({
    linux: {
      namespaces: [
        { type: "network", path: `${room.dir}/ns/net` },
        { type: "pid", path: `${room.dir}/ns/pid_for_children` },
        { type: "uts", path: `${room.dir}/another` },
      ],
    },
  });
  judgeNamespaces(config, room.dir);
  assertEquals(config.ownNamespaces, ["network", "pid"]);
});

Deno.test("descriptors are the caller's, whatever this process has open", () => {
  using room = makeRoom();
  Deno.mkdirSync(`${room.dir}/fdinfo`);
  for (const fd of [700, 701]) {
    Deno.writeTextFileSync(`${room.dir}/fdinfo/${fd}`, "flags:\t0100000\n");
  }
  Deno.writeTextFileSync(`${room.dir}/fdinfo/3`, "flags:\t0100000\n");
  Deno.writeTextFileSync(`${room.dir}/fdinfo/4`, "flags:\t0100002\n");
  Deno.writeTextFileSync(`${room.dir}/fdinfo/5`, "flags:\t02100002\n");
  checkPreserved(2, room.dir);
  assertThrows(() => checkPreserved(3, room.dir), ContainerError);
  const config = makeConfig({ process: { cwd: "/", env: [] } });
  const environment = ["LISTEN_FDS=2", "LISTEN_PID=4711"];
  applyListenFds(config, { environment, proc: room.dir }, 4711);
  assertEquals(
    [config.preserveFds, config.spec.process?.env],
    [2, ["LISTEN_FDS=2", "LISTEN_PID=1"]],
  );
});

for (
  const [streams, ok] of [
    [["terminal", "other", "other"], true],
    [["other", "terminal", "terminal"], false],
    [["null", "terminal", "terminal"], false],
    [["closed", "closed", "closed"], false],
  ] as const
) {
  Deno.test(`a terminal to type into with ${streams.join(", ")}: ${ok}`, () => {
    const config = makeConfig({ process: { cwd: "/", terminal: true } });
    const check = () =>
      checkTerminal(config, {
        caller: { streams },
        detached: false,
        interactive: true,
      });
    if (ok) return check();
    const error = assertThrows(check, ContainerError);
    assertEquals(error.code, "no-terminal");
  });
}
