/**
 * Under vm.memfd_noexec=2 the kernel runs no program from memory. The sysctl is
 * one of the pid namespace: a test sets it in its own.
 *
 * @module
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { cliCommand, makeBox, runToEnd } from "../harness.ts";
import { testOn } from "../needs.ts";

const NEEDS = ["root", "helper", "busybox", "memfd-noexec"] as const;

/** Runs a line of shell where no memfd can be executed; "$@" is rustyrun. */
function harden(line: string) {
  return runToEnd([
    "unshare",
    "--pid",
    "--fork",
    "--mount",
    "--mount-proc",
    "sh",
    "-c",
    `echo 2 >/proc/sys/vm/memfd_noexec || exit 99\n${line}`,
    "sh",
    ...cliCommand(),
  ]);
}

for (const dir of ["/dev/shm", "/var/tmp"]) {
  testOn(
    NEEDS,
    `memfd_noexec: a life of a container, states in ${dir}`,
    async () => {
      await using box = makeBox();
      const root = Deno.makeTempDirSync({
        dir,
        prefix: "rustyrun-test-noexec-",
      });
      try {
        const run = `run --rootfs ${box.rootfs} --name ${box.id}`;
        const { code, stdout, stderr } = await harden(
          `"$@" --root ${root} ${run} -- readlink /proc/self/exe &&
        "$@" --root ${root} ${run} -d -- sleep 1000 &&
        "$@" --root ${root} state ${box.id} | grep status &&
        "$@" --root ${root} exec ${box.id} echo in &&
        "$@" --root ${root} delete --force ${box.id} && ls -A ${root} &&
        "$@" doctor | grep "without a name"`,
        );
        assertEquals([code, stderr], [0, ""]);
        assertEquals(stdout.split("\n").map((it) => it.trim().slice(0, 9)), [
          "/bin/read",
          box.id.slice(0, 9),
          '"status":',
          "in",
          ".cache",
          "ok  helpe",
          "",
        ]);
      } finally {
        Deno.removeSync(root, { recursive: true });
      }
    },
  );
}

testOn(
  NEEDS,
  "memfd_noexec: a container that waits for start is created",
  async () => {
    await using box = makeBox();
    const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-noexec-" });
    try {
      Deno.writeTextFileSync(
        `${dir}/config.json`,
        JSON.stringify({
          ociVersion: "1.0.2",
          root: { path: box.rootfs },
          process: { cwd: "/", args: ["/bin/sleep", "1000"] },
          mounts: [{ destination: "/proc", type: "proc", source: "proc" }],
          linux: { namespaces: [{ type: "pid" }, { type: "mount" }] },
        }),
      );
      const { code, stdout, stderr } = await harden(
        `"$@" --root ${dir}/s create --bundle ${dir} ${box.id} </dev/null >/dev/null &&
      "$@" --root ${dir}/s state ${box.id} | grep -o '"status": .*"' &&
      "$@" --root ${dir}/s start ${box.id} &&
      "$@" --root ${dir}/s state ${box.id} | grep -o '"status": .*"' &&
      "$@" --root ${dir}/s delete --force ${box.id}`,
      );
      assertEquals([code, stderr], [0, ""]);
      assertEquals(stdout, '"status": "created"\n"status": "running"\n');
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  },
);

testOn(
  NEEDS,
  "memfd_noexec: root in the container cannot write to what --init runs",
  async () => {
    await using box = makeBox();
    const root = Deno.makeTempDirSync({ prefix: "rustyrun-test-noexec-" });
    try {
      const { code, stdout, stderr } = await harden(
        `"$@" --root ${root} run --rootfs ${box.rootfs} --name ${box.id} --init \\
        --cap-add ALL --security-opt systempaths=unconfined -- sh -c \\
        'readlink /proc/1/exe; (echo >>/proc/1/exe) 2>&1; :' 2>/dev/null`,
      );
      assertEquals([code, stderr], [0, ""]);
      assertStringIncludes(stdout, `${root}/`);
      assertStringIncludes(stdout, "Text file busy");
    } finally {
      Deno.removeSync(root, { recursive: true });
    }
  },
);

testOn(
  NEEDS,
  "memfd_noexec: where every place is noexec there is one clear error",
  async () => {
    await using box = makeBox();
    const { code, stderr } = await harden(
      `mount -t tmpfs -o noexec none /var/tmp && mkdir /var/tmp/s &&
    mount --bind /tmp /tmp && mount -o remount,bind,ro /tmp &&
    "$@" --root /var/tmp/s run --rootfs ${box.rootfs} --name ${box.id} -- true`,
    );
    assertEquals(code, 125);
    assertStringIncludes(stderr, "vm.memfd_noexec=2");
    assertStringIncludes(stderr, '"/var/tmp/s" is mounted noexec');
    assertEquals(stderr.trimEnd().split("\n").length, 2, stderr);
  },
);
