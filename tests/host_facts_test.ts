/**
 * The harness sees what a container has changed of the host.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { findChanged, readHost } from "./host_facts.ts";

Deno.test("readHost() reads nodes, sysctls and mounts", () => {
  const facts = readHost();
  assertEquals(facts.get("/dev/null")?.split(" ").slice(0, 2), [
    "0:0",
    "20666",
  ]);
  assertEquals(
    facts.get("sysctl kernel/hostname"),
    Deno.readTextFileSync("/proc/sys/kernel/hostname").trim(),
  );
  const names = [...facts.keys()];
  assertEquals(names.some((it) => / on \/proc$/.test(it)), true);
});

Deno.test("findChanged() names another owner, and the propagation of a mount", () => {
  const before = new Map([
    ["/dev/null", "0:0 20666 259"],
    ["mount 5 of 0:1 / on /proc", "rw shared:2 proc proc rw"],
    ["mount 6 of 0:2 / on /mnt", "rw  tmpfs none rw"],
  ]);
  const now = new Map([
    ["/dev/null", "1000:0 20666 259"],
    ["mount 5 of 0:1 / on /proc", "rw  proc proc rw"],
    ["mount 7 of 0:2 / on /else", "rw  tmpfs none rw"],
  ]);
  assertEquals(findChanged(before, before), []);
  assertEquals(findChanged(before, now), [
    '/dev/null was "0:0 20666 259" and is "1000:0 20666 259"',
    'mount 5 of 0:1 / on /proc was "rw shared:2 proc proc rw" and is "rw  proc proc rw"',
  ]);
});
