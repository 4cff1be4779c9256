/**
 * What stands still or cannot be removed is no reason for the next run to wait, and
 * none for the rest to stay.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { findProgram, probe, testOn } from "../needs.ts";
import { waitFor } from "../wait.ts";
import { killKeepers, makeRubbishRoom } from "./rubbish_room.ts";
import { NEEDS, sweep, sweepAll } from "./rubbish_calls.ts";

function must(program: string, ...words: string[]): void {
  const { code, stdout } = probe(program, ...words);
  assertEquals(code, 0, `${program} ${words.join(" ")}: ${stdout}`);
}

/** A disk of its own in a directory, which can stand still. */
function mountDisk(dir: string, image: string) {
  Deno.writeFileSync(image, new Uint8Array());
  Deno.truncateSync(image, 64 << 20);
  must(findProgram("mkfs.ext4") ?? "mkfs.ext4", "-q", "-F", image);
  must("mount", "-o", "loop", image, dir);
  return {
    freeze: () => must("fsfreeze", "-f", dir),
    thaw: () => must("fsfreeze", "-u", dir),
    [Symbol.dispose]() {
      // It may have been thawed.
      probe("fsfreeze", "-u", dir);
      must("umount", "-l", dir);
      Deno.removeSync(image);
    },
  };
}

testOn(
  [...NEEDS, "loop"],
  "a run does not wait for a disk that stands still, on which another left files",
  async () => {
    await using room = makeRubbishRoom();
    using disk = mountDisk(room.uppers, `${room.dir}/disk`);
    probe("rmdir", `${room.uppers}/lost+found`);
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
    using disk = mountDisk(dir, `${room.dir}/disk`);
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
