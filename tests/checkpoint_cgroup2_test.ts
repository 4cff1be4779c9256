/**
 * The options of the machine's cgroup2, which criu takes.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { readCaller } from "../mod/caller.ts";
import {
  keepingCgroup2,
  readCgroup2,
} from "../mod/container/checkpoint/cgroup2.ts";
import { ownOutlet } from "../mod/outlet.ts";
import { waitFor } from "./wait.ts";

Deno.test("the options of cgroup2 are those of its file system", () => {
  assertEquals(
    readCgroup2(
      "1 0 254:0 / / rw - ext4 /dev/vda rw\n30 24 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n",
    ),
    {
      path: "/sys/fs/cgroup",
      options: ["nsdelegate", "memory_recursiveprot"],
    },
  );
  assertEquals(readCgroup2("1 0 254:0 / / rw - ext4 /dev/vda rw"), undefined);
});

Deno.test("criu is called when nobody else calls it, who would see half", async () => {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-cgroup2-" });
  const line = `30 24 0:26 / ${dir} rw - cgroup2 cgroup2 rw,nsdelegate\n`;
  Deno.writeTextFileSync(`${dir}/mountinfo`, line);
  // "reached" while it has the lock, "left" before it gives it up.
  const other = new Deno.Command("flock", {
    args: [dir, "sh", "-c", "echo >reached; sleep 0.2; echo >left"],
    cwd: dir,
  }).spawn();
  const isFree = () =>
    new Deno.Command("flock", { args: ["-n", dir, "true"] }).outputSync()
      .success;
  try {
    await waitFor(() => Deno.statSync(`${dir}/reached`));
    const caller = { ...readCaller(), proc: dir };
    const place = { root: dir, caller, outlet: ownOutlet };
    keepingCgroup2(place, () => {
      assert(Deno.statSync(`${dir}/left`).isFile);
      assert(!isFree());
    });
    assert(isFree());
  } finally {
    await other.status;
    Deno.removeSync(dir, { recursive: true });
  }
});
