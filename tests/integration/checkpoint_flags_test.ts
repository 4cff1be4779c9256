/**
 * What the flags of `checkpoint` and `restore` keep: connections, locks, cgroups;
 * and a restore in the foreground. With a real criu, for the guest (.ci/guest);
 * calls in this process, for each start of Deno's is slow there.
 *
 * @module
 */

import { assertEquals, assertGreater, assertStringIncludes } from "@std/assert";
import { testOn } from "../needs.ts";
import { waitFor } from "../wait.ts";
import { makeSpec, type Spec } from "./caller.ts";
import { isThere, makeV2Room, statusOf, type V2Room } from "./v2_room.ts";

const NEEDS = [
  "root",
  "helper",
  "busybox",
  "python3",
  "cgroup-v2",
  "criu",
] as const;

/** Talks to itself over lo, and holds a lock of each kind. */
const TALK = `
import fcntl, os, socket, time
s = socket.socket(); s.bind(("127.0.0.1", 2099)); s.listen()
if os.fork() == 0:
    c = socket.create_connection(("127.0.0.1", 2099))
    while True: c.send(b"x"); time.sleep(0.1)
a, _ = s.accept()
f = open("/tmp/f", "w"); fcntl.flock(f, fcntl.LOCK_EX)
p = open("/tmp/p", "w"); fcntl.lockf(p, fcntl.LOCK_EX)
n = 0
while True:
    d = a.recv(100)
    if not d: os._exit(3)
    n += len(d); open("/tmp/m", "w").write(str(n)); os.rename("/tmp/m", "/tmp/n")
`;

/** Counts, and ends with a code of its own. */
const COUNT =
  "trap 'exit 9' TERM; i=0; while :; do i=$((i+1)); echo $i >/tmp/m; mv /tmp/m /tmp/n; sleep 0.1; done";

/** What is not of a file of the host: criu would want it. */
const silent = (args: readonly string[]) => [
  "sh",
  "-c",
  'exec "$@" </dev/null >/dev/null 2>&1',
  "sh",
  ...args,
];

function specOf(args: readonly string[], over: Spec = {}): Spec {
  const binds = ["/usr", "/lib", "/lib64"].filter(isThere).map((it) => ({
    destination: it,
    source: Deno.realPathSync(it),
    options: ["rbind", "ro"],
  }));
  return {
    process: { args: silent(args), env: ["PATH=/bin:/usr/bin"] },
    mounts: [
      ...makeSpec("").mounts,
      { destination: "/tmp", type: "tmpfs", source: "tmpfs" },
      ...args[0] === "sh" ? [] : binds,
    ],
    ...over,
  };
}

/** What it has come to. */
const count = (pid: number) =>
  Number(Deno.readTextFileSync(`/proc/${pid}/root/tmp/n`));

async function goesOn(pid: number, from?: number): Promise<number> {
  const least = from ?? await waitFor(() => count(pid));
  const now = await waitFor(() => count(pid), (it) => it > least + 2);
  assertGreater(now, least);
  return now;
}

const imageOf = (room: V2Room, name: string) => [
  "--image-path",
  `${room.bundle}/${name}`,
];

const restoring = (room: V2Room, ...flags: string[]) => [
  ...["restore", "--detach", "-b", room.bundle, ...flags],
  ...["--pid-file", `${room.bundle}/pid`, room.id],
];

async function restore(room: V2Room, ...flags: string[]): Promise<number> {
  await room.quiet(...restoring(room, ...flags));
  return Number(Deno.readTextFileSync(`${room.bundle}/pid`));
}

/** The locks that the process holds, by the kernel. */
const locksOf = (pid: number) =>
  Deno.readTextFileSync("/proc/locks").split("\n")
    .map((it) => it.trim().split(/\s+/))
    .filter((it) => it[4] === `${pid}`).map((it) => `${it[1]} ${it[3]}`)
    .sort();

const LOCKS = ["FLOCK WRITE", "POSIX WRITE"];

testOn(
  NEEDS,
  "a connection over lo goes on and locks are held after a restore, with the flags; without them it runs on",
  async () => {
    await using room = makeV2Room();
    const first = await room.start(
      specOf(["/usr/bin/python3", "-IS", "-c", TALK]),
    );
    const tcp = "--tcp-established", locks = "--file-locks";
    const at = await goesOn(first);
    assertEquals(locksOf(first), LOCKS);
    for (
      const [flag, name, words] of [
        [locks, "no-tcp", "consider using --tcp-established"],
        [tcp, "no-locks", "try --file-locks"],
      ] as const
    ) {
      const image = imageOf(room, name);
      const said = await room.call("checkpoint", flag, ...image, room.id);
      assertEquals(said.code, 1);
      assertStringIncludes(said.stderr, words);
      await goesOn(first);
    }
    const image = imageOf(room, "image");
    await room.quiet("checkpoint", tcp, locks, ...image, room.id);
    assertEquals(await statusOf(room), undefined);
    const refused = await room.call(...restoring(room, locks, ...image));
    assertEquals(refused.code, 1);
    assertStringIncludes(refused.stderr, "Connected TCP socket in image");
    assertEquals([await statusOf(room), isThere(room.dir)], [undefined, false]);
    const pid = await restore(room, tcp, locks, ...image);
    await goesOn(pid, at);
    assertEquals(locksOf(pid), LOCKS);
    await room.end();
  },
);

const OWN = ["pid", "mount", "ipc", "uts", "network", "cgroup"]
  .map((type) => ({ type }));

testOn(
  NEEDS,
  "--manage-cgroups-mode: all but ignore are restored with limits; ignore is refused before anything ends",
  async () => {
    await using room = makeV2Room();
    const linux = {
      namespaces: OWN,
      resources: { pids: { limit: 33 }, memory: { limit: 64 << 20 } },
    };
    let pid = await room.start(specOf(["sh", "-c", COUNT], { linux }));
    let at = await goesOn(pid);
    const ignore = ["--manage-cgroups-mode", "ignore"];
    const trap = ["checkpoint", ...ignore, ...imageOf(room, "ignore")];
    const said = await room.call(...trap, room.id);
    assertEquals(said.code, 1);
    assertStringIncludes(
      said.stderr,
      "its cgroup namespace is not in the image",
    );
    assertStringIncludes(said.stderr, "hint: Leave --manage-cgroups-mode out");
    assertEquals(isThere(`${room.bundle}/ignore`), false);
    await room.quiet(...trap, "--leave-running", room.id);
    at = await goesOn(pid, at);
    for (const mode of ["full", "strict"]) {
      const how = ["--manage-cgroups-mode", mode, ...imageOf(room, mode)];
      await room.quiet("checkpoint", ...how, room.id);
      assertEquals(isThere(room.dir), false);
      pid = await restore(room, ...how);
      at = await goesOn(pid, at);
      assertEquals(
        [room.read("pids.max"), room.read("memory.max")],
        ["33", `${64 << 20}`],
      );
      assertEquals(await room.exec("cat /proc/1/cgroup"), "0::/");
    }
    await room.end();
  },
);
