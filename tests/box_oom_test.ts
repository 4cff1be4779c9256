/**
 * A watch for the OOM killer whose cgroup goes before it has looked: systemd
 * removes one as soon as nobody is in it.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { readCgroup2 } from "../mod/container/checkpoint/cgroup2.ts";
import { runToEnd } from "./harness.ts";
import { testOn } from "./needs.ts";

/** In a program of its own, whose end tells of an error that nobody catches.
 * Another file that the kernel tells of stands for memory.events. */
const PROGRAM = `
import { watchOom } from "${import.meta.resolve("../mod/box/oom.ts")}";
const [dir, cgroup] = Deno.args;
const rings = [];
watchOom([{ version: 2, path: dir, controllers: [], mount: dir }], () => rings.push("oom"));
Deno.writeTextFileSync(cgroup + "/cgroup.freeze", "1");
Deno.removeSync(cgroup);
const isOpen = () => [...Deno.readDirSync("/proc/self/fd")].some(({ name }) => {
  try {
    return Deno.readLinkSync("/proc/self/fd/" + name).includes(cgroup.split("/").at(-1));
  } catch {
    return false; // That of the directory itself.
  }
});
while (isOpen()) await new Promise((done) => setTimeout(done, 10));
console.log("closed", ...rings);
`;

const found = readCgroup2(Deno.readTextFileSync("/proc/self/mountinfo"));

testOn(
  ["root", "cgroup2"],
  "watchOom() ends with its cgroup, and nothing fails",
  async () => {
    const dir = Deno.makeTempDirSync();
    const cgroup = `${found?.path}/rustyrun-test-oom-${Deno.pid}`;
    Deno.mkdirSync(cgroup);
    Deno.symlinkSync(`${cgroup}/cgroup.events`, `${dir}/memory.events`);
    const { code, stdout, stderr } = await runToEnd([
      ...[Deno.execPath(), "eval", "--no-check", PROGRAM, dir, cgroup],
    ]);
    Deno.removeSync(dir, { recursive: true });
    assertEquals([code, stdout, stderr], [0, "closed\n", ""]);
  },
);
