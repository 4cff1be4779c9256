/**
 * What the host has mounted somewhere of the kernel's own (a procfs for a
 * chroot, a devpts) is nothing that a container on that root file system sees.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { findKernelOwn } from "../../mod/mounts/kernel_own.ts";
import { MAGIC } from "../../ffi/constants.ts";
import { cliCommand, makeBox, runToEnd } from "../harness.ts";
import { type Need, testOn } from "../needs.ts";
import { apart } from "../program.ts";

const NEEDS: Need[] = ["root", "helper", "busybox"];

/** In a mount namespace of its own, where the mounts are shared as on most
 * machines: what is mounted on directories of $1. */
const HOST = `set -e
mount --make-rshared /
mkdir $1/p $1/pts $1/twice $1/file $1/hidden $1/hidden/p
mount -t proc none $1/p
mount --bind /dev/pts $1/pts
mount -t proc none $1/twice
mount -t tmpfs none $1/twice
mount -t proc none $1/hidden/p
mount -t tmpfs none $1/hidden
: >$1/file/ns
mount --bind /proc/self/ns/net $1/file/ns
mknod $1/node c 1 3
shift
exec "$@"`;

for (
  const [what, flags] of [
    ["--rootfs / --read-only", []],
    ["a user namespace", ["--userns", "0:100000:65536"]],
    ["a user namespace and CAP_SYS_ADMIN", [
      ...["--userns", "0:100000:65536"],
      ...["--cap-add", "SYS_ADMIN"],
    ]],
  ] as [string, string[]][]
) {
  testOn(
    NEEDS,
    `with ${what} no procfs, devpts or namespace of the host's is seen`,
    async () => {
      await using box = makeBox();
      // Not below /tmp, which is empty there.
      const dir = Deno.makeTempDirSync({
        dir: "/opt",
        prefix: "rustyrun-test-own-",
      });
      Deno.chmodSync(dir, 0o755);
      try {
        const script = [
          `cd ${dir}`,
          // Also by whoever may unmount what is the container's own.
          "for i in 1 2 3; do umount p pts file/ns 2>/dev/null; done",
          "ls -A p; ls -A pts; [ -c file/ns ] || [ ! -s file/ns ] || echo ns",
          // What hides another is what is seen.
          "[ -e twice/self ] && echo twice; [ -e hidden/p ] && echo hidden",
          "(: <node) 2>/dev/null && echo node",
          "(: </dev/null) && echo null",
        ].join("\n");
        assertEquals(
          await runToEnd([
            ...["unshare", "-m", "sh", "-c", HOST, "sh", dir],
            ...apart(cliCommand()),
            ...["run", "--rootfs", "/", "--read-only", "--name", box.id],
            ...flags,
            ...["--", "sh", "-c", script],
          ]),
          { code: 0, signal: null, stdout: "null\n", stderr: "" },
        );
      } finally {
        Deno.removeSync(dir, { recursive: true });
      }
    },
  );
}

Deno.test("findKernelOwn() finds by mountinfo what is seen in a root file system", () => {
  const proc = Deno.makeTempDirSync({ prefix: "rustyrun-test-own-" });
  try {
    Deno.writeTextFileSync(
      `${proc}/mountinfo`,
      [
        "20 1 8:1 / / rw shared:1 - ext4 /dev/sda1 rw",
        "21 20 0:5 / /r/proc rw - proc proc rw",
        "22 20 0:6 / /r/a\\040b rw shared:2 master:1 - devpts devpts rw",
        "23 20 0:7 / /r/h/p rw - proc proc rw",
        "24 20 0:8 / /r/h rw - tmpfs tmpfs rw",
        "25 24 0:9 / /r/h/q rw - sysfs sysfs rw",
        "26 20 0:10 / /other rw - proc proc rw",
        "27 20 0:11 / /r/top rw - proc proc rw",
        "28 27 0:12 / /r/top rw - cgroup2 cgroup2 rw",
        "29 21 0:13 / /r/proc/fs rw - tmpfs tmpfs rw",
        "",
      ].join("\n"),
    );
    const all = [
      { path: "/proc", magic: MAGIC.PROC },
      { path: "/a b", magic: MAGIC.DEVPTS },
      { path: "/h/q", magic: MAGIC.SYSFS },
      { path: "/top", magic: MAGIC.CGROUP2 },
    ];
    assertEquals(findKernelOwn({ path: "/r" }, proc), all);
    assertEquals(findKernelOwn({ path: "/r/proc" }, proc), []);
    assertEquals(findKernelOwn({ path: "/" }, proc).length, 5);
  } finally {
    Deno.removeSync(proc, { recursive: true });
  }
});
