/**
 * What stands still or cannot be removed is no reason for the next run to wait, and
 * none for the rest to stay.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { existsSync } from "../../ffi/files.ts";
import { findProgram, probe, testOn } from "../needs.ts";
import { waitFor } from "../wait.ts";
import { killKeepers, makeRubbishRoom } from "./rubbish_room.ts";
import { NEEDS, sweep, sweepAll } from "./rubbish_calls.ts";

function must(program: string, ...words: string[]): void {
  const { code, stdout } = probe(program, ...words);
  assertEquals(code, 0, `${program} ${words.join(" ")}: ${stdout}`);
}

/** A disk of its own in a directory. */
function mountDisk(
  dir: string,
  image: string,
  bytes: number,
  ...make: string[]
) {
  Deno.writeFileSync(image, new Uint8Array());
  Deno.truncateSync(image, bytes);
  const [program = "", ...words] = make;
  must(findProgram(program) ?? program, "-q", ...words, image);
  must("mount", "-o", "loop", image, dir);
  return {
    [Symbol.dispose]() {
      must("umount", "-l", dir);
      Deno.removeSync(image);
    },
  };
}

/** One that can stand still. */
function mountFreezing(dir: string, image: string) {
  const disk = mountDisk(dir, image, 64 << 20, "mkfs.ext4", "-F");
  probe("rmdir", `${dir}/lost+found`);
  return {
    freeze: () => must("fsfreeze", "-f", dir),
    thaw: () => must("fsfreeze", "-u", dir),
    [Symbol.dispose]() {
      // It may have been thawed.
      probe("fsfreeze", "-u", dir);
      disk[Symbol.dispose]();
    },
  };
}

testOn(
  [...NEEDS, "loop"],
  "a run does not wait for a disk that stands still, on which another left files",
  async () => {
    await using room = makeRubbishRoom();
    using disk = mountFreezing(room.uppers, `${room.dir}/disk`);
    const running = await room.start("echo > /tmp/file; exec sleep 1000");
    await killKeepers(running);
    disk.freeze();
    const next = await room.run("--", "echo", "next");
    assertEquals([next.code, next.stdout], [0, "next\n"]);
    assertEquals(room.listIds(), [room.id]);
    disk.thaw();
    await sweepAll(room);
    await running.done;
  },
);

testOn(
  [...NEEDS, "xfs"],
  "a directory of another project than its layer's is removed with it",
  async () => {
    await using room = makeRubbishRoom();
    const { uppers, dir } = room;
    using _ = mountDisk(uppers, `${dir}/disk`, 320 << 20, "mkfs.xfs");
    must("chattr", "+P", "-p", "5", uppers);
    const running = await room.start("mkdir -p /x/y/z; exec sleep 1000");
    // Without a user namespace root in there may do so.
    const x = `${room.upper()}/x`;
    await waitFor(() => existsSync(`${x}/y/z`));
    must("chattr", "-p", "77", x, `${x}/y`, `${x}/y/z`);
    await killKeepers(running);
    await sweepAll(room);
    await running.done;
    assertEquals(room.listUppers(), []);
  },
);

testOn(
  [...NEEDS, "loop", "strace", "cold"],
  "without cgroups a run looks a few times at a first process that does not die",
  async () => {
    const wrap: string[] = [];
    await using room = makeRubbishRoom({
      wrap,
      flags: ["--cgroup-manager", "disabled"],
    });
    const dir = `${room.dir}/volume`;
    Deno.mkdirSync(dir);
    using disk = mountFreezing(dir, `${room.dir}/disk`);
    const running = await room.start(
      "while :; do echo >> /v/file; done",
      "-v",
      `${dir}:/v`,
    );
    await killKeepers(running);
    disk.freeze();
    const trace = `${room.dir}/trace`;
    wrap.push("strace", "-f", "-qq", "-o", trace, "-e", "trace=poll,ppoll");
    const next = await room.run("--", "echo", "next");
    wrap.length = 0;
    assertEquals([next.code, next.stdout], [0, "next\n"]);
    assertEquals(next.stderr.includes("does not die"), true, next.stderr);
    const polls = Deno.readTextFileSync(trace).match(/ p?poll\(/g) ?? [];
    assertEquals(polls.length < 150, true, `${polls.length}`);
    disk.thaw();
    await sweep(room);
    await running.done;
  },
);

testOn(
  [...NEEDS, "chattr"],
  "files that cannot be removed do not keep others from their turn",
  async () => {
    await using room = makeRubbishRoom();
    // As creates leave them that were killed before there was a state.
    const names = Array.from({ length: 60 }, (_, i) => `held-${100 + i}`);
    for (const it of [...names, "last"]) {
      Deno.mkdirSync(`${room.root}/${it}`, { mode: 0o700 });
      Deno.writeTextFileSync(`${room.root}/${it}/config.json`, "{}");
    }
    const files = names.map((it) => `${room.root}/${it}/config.json`);
    try {
      must("chattr", "+i", ...files);
      const left = await waitFor(async () => {
        const next = await room.run("--", "echo", "next");
        assertEquals([next.code, next.stdout], [0, "next\n"]);
        return room.listIds();
      }, (ids) => !ids.includes("last"));
      assertEquals(left.sort(), names);
    } finally {
      must("chattr", "-i", ...files);
    }
    await sweepAll(room);
  },
);
