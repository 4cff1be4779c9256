/**
 * The host's own sysfs, which a container with a user namespace and the host's
 * network has: the host's cgroups in it are out of reach.
 *
 * @module
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { makeBox, runCli } from "../harness.ts";
import { testOn } from "../needs.ts";
import { NEEDS, plant } from "./attack.ts";

const SYS_ADMIN = ["--network", "host", "--cap-add", "SYS_ADMIN"];

testOn(
  ["user", "userns", "helper", "busybox"],
  "run --network host --cap-add SYS_ADMIN as a user is refused, in exec as well",
  async () => {
    await using box = makeBox({ user: true });
    const got = await box.run([...SYS_ADMIN, "--", "echo", "here"]);
    assertEquals([got.code, got.stdout], [125, ""]);
    const refused = "CAP_SYS_ADMIN: without a network namespace of its own";
    assertStringIncludes(got.stderr, `Cannot give the container ${refused}`);
    const own = await box.run([...SYS_ADMIN.slice(2), "--", "echo", "here"]);
    assertEquals([own.code, own.stdout], [0, "here\n"]);

    await box.run(["-d", ...SYS_ADMIN.slice(0, 2), "--", "sleep", "1000"]);
    const call = (...words: string[]) => runCli(words, { user: true });
    const exec = await call(
      ...["exec", "--cap", "CAP_SYS_ADMIN", box.id, "echo", "here"],
    );
    await call("delete", "--force", box.id);
    assertEquals([exec.code === 0, exec.stdout], [false, ""]);
    assertStringIncludes(exec.stderr, `Cannot give the process ${refused}`);
  },
);

testOn(
  NEEDS,
  "run --network host with a user namespace shows nothing of the host's cgroups, whatever the container unmounts",
  async () => {
    await using box = makeBox();
    plant(box.rootfs, 100000);
    const got = await box.run([
      ...["--userns", "0:100000:65536", ...SYS_ADMIN],
      ...["--security-opt", "seccomp=unconfined", "--", "sh", "-c"],
      `[ -n "$(ls /sys/fs/cgroup)" ] && echo own
       for i in 1 2 3; do umount -l /sys/fs/cgroup/* /sys/fs/cgroup; done 2>/dev/null
       ls /sys/fs/cgroup; ls -d /sys/class/net/lo`,
    ]);
    assertEquals([got.code, got.stdout], [0, "own\n/sys/class/net/lo\n"]);
  },
);
