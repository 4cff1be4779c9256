/**
 * Propagation of volumes: for every word of a mount under every word of
 * linux.rootfsPropagation, in a room whose mounts are shared as systemd makes
 * those of a host. runc, where it is there, is asked the same.
 *
 * @module
 */

import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { findProgram, type Need, testOn } from "../needs.ts";
import { type CrashBox, makeCrashBox } from "./crash_box.ts";
import { makeRoom, type Room } from "./mount_room.ts";

const NEEDS: Need[] = ["root", "helper", "busybox"];

const WORDS = [
  "none",
  ...["shared", "slave", "private"].flatMap((it) => [it, `r${it}`]),
];
const ROOTS = ["", ...WORDS.slice(1)];
const SOURCES = ["own", "alone", "plain"] as const;
type Source = typeof SOURCES[number];

/** Makes the sources: a shared mount, a private one, and a directory of the
 * host's root, which is shared; returns how to undo it. */
async function makeSources(room: Room, box: CrashBox) {
  const sh = async (script: string) => {
    const { code, stderr } = await box.runApart(
      room.enter(["sh", "-ec", script, "sh", box.dir]),
    );
    assertEquals([code, stderr], [0, ""], script);
  };
  await sh(
    `cd "$1"; mkdir own alone plain
     for it in own alone; do
       mount -t tmpfs "$it" "$it"; mkdir $it/in $it/out
       mount -t tmpfs below $it/in
     done
     mount --make-private alone; mount --make-private alone/in`,
  );
  return {
    sh,
    [Symbol.asyncDispose]: () =>
      sh(`cd "$1"; umount own/in own alone/in alone`),
  };
}

/** "peer" of the source's group, "own" group, "slave" of the source's; what it
 * is not is left out. */
function classify(tags: readonly string[], group: string | undefined): string {
  const names = tags.map((tag) => {
    const [kind, id] = tag.split(":");
    if (kind === "shared") return id === group ? "peer" : "own";
    if (kind === "master") return id === group ? "slave" : "slave of another";
    return tag;
  });
  return names.join("+") || "private";
}

interface Line {
  path: string;
  tags: string[];
}

function parse(mountinfo: string): Line[] {
  return mountinfo.trim().split("\n").map((line) => {
    const fields = line.slice(0, line.indexOf(" - ")).split(" ");
    return { path: fields[4]!, tags: fields.slice(6) };
  });
}

/** Peer group of a mount. */
const groupOf = (lines: readonly Line[], path: string) =>
  lines.findLast((it) => it.path === path)?.tags
    .find((it) => it.startsWith("shared:"))?.slice("shared:".length);

/** Groups of the room's mounts by the name of a source; "own/in" is the mount
 * below the source "own". */
function readGroups(room: Room, box: CrashBox) {
  const lines = parse(Deno.readTextFileSync(`/proc/${room.pid}/mountinfo`));
  const root = groupOf(lines, "/");
  return (name: string) =>
    name === "plain" ? root : groupOf(lines, `${box.dir}/${name}`);
}

function volumes(box: CrashBox) {
  return SOURCES.flatMap((source) =>
    WORDS.map((word) => ({
      destination: `/v/${source}-${word}`,
      type: "bind",
      source: `${box.dir}/${source}`,
      options: ["rbind", ...(word === "none" ? [] : [word])],
    }))
  );
}

/** What each volume is, by "SOURCE-WORD", and "own-WORD/in" for what is mounted
 * below the source. */
function describeVolumes(
  stdout: string,
  groups: (name: string) => string | undefined,
): Record<string, string> {
  const found: Record<string, string> = {};
  for (const { path, tags } of parse(stdout)) {
    const [, name, source, below] = /^\/v\/((\w+)-\w+(\/in)?)$/.exec(path) ??
      [];
    if (name === undefined) continue;
    found[name] = classify(tags, groups(`${source}${below ?? ""}`));
  }
  return found;
}

function bundleOf(box: CrashBox, id: string, rootfsPropagation: string) {
  const plain = JSON.parse(Deno.readTextFileSync(`${box.bundle}/config.json`));
  return box.addBundle(id, {
    process: { args: ["cat", "/proc/self/mountinfo"] },
    mounts: [...plain.mounts, ...volumes(box)],
    linux: {
      ...plain.linux,
      cgroupsPath: `/${id}`,
      ...(rootfsPropagation === "" ? {} : { rootfsPropagation }),
    },
  });
}

/** What a volume must be. */
function expectedOf(root: string, source: Source, word: string): string {
  const peers = ["shared", "rshared", "slave", "private"].includes(root);
  // "rshared" is said to everything in the container in the end.
  const own = root === "rshared" || word.endsWith("shared") ? ["own"] : [];
  const apart = root === "rprivate" || source === "alone";
  if (word.endsWith("shared") && peers && source !== "alone") return "peer";
  const slave = word.endsWith("private") || apart ||
      (word === "none" && root === "private")
    ? []
    : ["slave"];
  return [...own, ...slave].join("+") || "private";
}

for (const [at, root] of ROOTS.entries()) {
  testOn(
    NEEDS,
    `run() gives volumes their propagation under rootfsPropagation "${root}", nothing narrower than runc`,
    async () => {
      await using room = await makeRoom();
      await using box = makeCrashBox();
      await using _sources = await makeSources(room, box);
      const groups = readGroups(room, box);
      const id = `${box.name}-${at}`;
      const words = ["run", "--bundle", bundleOf(box, id, root), id];
      const before = room.mounts();
      const ask = async (line: readonly string[]) => {
        const { code, stdout, stderr } = await box.runApart(room.enter(line));
        assertEquals([code, stderr], [0, ""]);
        return describeVolumes(stdout, groups);
      };
      const found = await ask(box.argv(...words));
      const tops = SOURCES.flatMap((source) =>
        WORDS.map((word): [string, string] => [
          `${source}-${word}`,
          expectedOf(root, source, word),
        ])
      );
      for (const [name, expected] of tops) {
        assertEquals([name, found[name]], [name, expected]);
        const below = found[`${name}/in`];
        if (name.startsWith("plain")) continue;
        if (name.includes("-r")) {
          assertEquals([name, below], [name, expected]);
        } else if (!name.endsWith("-shared")) {
          assertEquals([name, below === "peer"], [name, false]);
        }
      }
      const runc = findProgram("runc");
      if (runc !== undefined) {
        const theirs = await ask([runc, "--root", box.root, ...words]);
        for (const [name] of tops.filter(([it]) => !it.endsWith("-none"))) {
          const kinds = found[name]!.split("+");
          for (const kind of ["peer", "slave"]) {
            assert(
              !theirs[name]!.split("+").includes(kind) ||
                kinds.includes(kind) || kinds.includes("peer"),
              `${name}: ${found[name]}, under runc ${theirs[name]}`,
            );
          }
        }
      }
      assertEquals(await room.findChanges(before), []);
    },
  );
}

testOn(
  NEEDS,
  "run() sends the mounts of an rshared volume both ways, and nothing else",
  async () => {
    await using room = await makeRoom();
    await using box = makeCrashBox();
    await using sources = await makeSources(room, box);
    const plain = JSON.parse(
      Deno.readTextFileSync(`${box.bundle}/config.json`),
    );
    const id = `${box.name}-both`;
    const caps = ["CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"];
    const bundle = box.addBundle(id, {
      process: {
        args: ["sleep", "1000"],
        capabilities: { bounding: caps, effective: caps, permitted: caps },
      },
      mounts: [...plain.mounts, {
        destination: "/v",
        source: `${box.dir}/own`,
        options: ["rbind", "rshared"],
      }, { destination: "/fresh", type: "tmpfs", options: ["shared"] }],
      linux: {
        ...plain.linux,
        cgroupsPath: `/${id}`,
        rootfsPropagation: "rshared",
        maskedPaths: ["/proc/keys", "/etc"],
        readonlyPaths: ["/proc/sys"],
      },
    });
    const before = room.mounts();
    const call = async (...words: string[]) => {
      const result = await box.runApart(room.enter(box.argv(...words)));
      assertEquals([words[0], result.code, result.stderr], [words[0], 0, ""]);
      return result.stdout;
    };
    await call("create", "--bundle", bundle, id);
    await call("start", id);
    assertEquals(room.mounts(), before);
    await call(
      "exec",
      id,
      "sh",
      "-ec",
      "mount -t tmpfs inner /v/out; mount -t tmpfs inner /fresh; mkdir /v/out/x",
    );
    const added = room.mounts().filter((it) => !before.includes(it));
    // In the room and in its peer.
    assertEquals(
      added.map((it) => it.split(" ")[5]),
      [`${box.dir}/own/out`, `${box.dir}/own/out`],
    );
    await sources.sh(
      `mount -t tmpfs outer "$1/own/out/x"; mkdir "$1/own/out/x/y"`,
    );
    assertEquals(await call("exec", id, "ls", "/v/out/x"), "y\n");
    await sources.sh(`umount "$1/own/out/x" "$1/own/out"`);
    await call("delete", "--force", id);
    assertEquals(await room.findChanges(before), []);
  },
);

/** What `-v` is asked for, and how it is answered. */
const FLAGS: [string, Source, string, string[], string][] = [
  ["shared by a peer", "own", "rshared", [], "peer"],
  ["shared on the host's root", "plain", "shared", [], "peer"],
  ["a slave", "own", "rslave", [], "slave"],
  ["a slave in a user namespace", "own", "rslave", [
    "--userns=0:100000:65536",
  ], "slave"],
  [
    "shared without a peer",
    "alone",
    "rshared",
    [],
    "its source lies on a mount that is not shared",
  ],
  [
    "a slave without a master",
    "alone",
    "slave",
    [],
    "its source lies on a mount that is not shared or a slave",
  ],
  [
    "shared in a user namespace",
    "own",
    "rshared",
    ["--userns=0:100000:65536"],
    "nothing propagates from a user namespace to the host, as shared wants it",
  ],
];
for (const [name, source, word, flags, expected] of FLAGS) {
  testOn(NEEDS, `run() answers -v SRC:DST:${word}: ${name}`, async () => {
    await using room = await makeRoom();
    await using box = makeCrashBox();
    await using sources = await makeSources(room, box);
    const groups = readGroups(room, box);
    if (flags.length > 0) {
      await sources.sh(`chown -R 100000:100000 "$1/rootfs"`);
    }
    const { code, stdout, stderr } = await box.runApart(room.enter(box.argv(
      "run",
      "--rootfs",
      `${box.dir}/rootfs`,
      "-v",
      `${box.dir}/${source}:/v/${source}-${word}:${word}`,
      ...flags,
      "--",
      "cat",
      "/proc/self/mountinfo",
    )));
    if (code === 0) {
      const found = describeVolumes(stdout, groups)[`${source}-${word}`];
      assertEquals([found, stderr], [expected, ""]);
    } else {
      assertEquals(code, 125, stderr);
      assertStringIncludes(
        stderr,
        `Cannot mount "${box.dir}/${source}" on "/v/${source}-${word}": ${expected} (`,
      );
    }
  });
}
