/**
 * The caller is root of a user namespace itself (`unshare -Ur`, bwrap, a build
 * sandbox): with one id and setgroups(2) denied, with and without a mount
 * namespace that belongs to it.
 *
 * @module
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { cliCommand, type CliOptions, makeBox, runToEnd } from "../harness.ts";
import { type Need, testOn } from "../needs.ts";
import { apart } from "../program.ts";

const WAYS = [
  ["-Ur"],
  ["-Urm"],
  ["-Ur", "-m", "-p", "-f", "--mount-proc"],
];

const CALLERS: { who: string; options: CliOptions; needs: Need[] }[] = [
  { who: "root", options: {}, needs: ["root", "helper", "busybox", "userns"] },
  {
    who: "a user",
    options: { user: true },
    needs: ["user", "userns", "helper", "busybox"],
  },
];

for (const { who, options, needs } of CALLERS) {
  for (const way of WAYS) {
    const where = `unshare ${way.join(" ")}, as ${who}`;
    const inside = (words: string[]) =>
      runToEnd(
        ["unshare", ...way, ...apart(cliCommand(options)), ...words],
        options,
      );

    const cases: [string[], string[], string][] = [
      [[], ["id", "-u"], "0\n"],
      [["--userns", "0:0:1"], ["id", "-u"], "0\n"],
      [["--ephemeral"], ["sh", "-c", "echo x >/new; cat /new"], "x\n"],
      [["-v", "/proc/sys:/mnt:ro"], ["cat", "/mnt/kernel/ostype"], "Linux\n"],
      [["--read-only", "--init"], ["echo", "hi"], "hi\n"],
    ];
    for (const [flags, command, want] of cases) {
      const more: Need[] = flags[0] === "--ephemeral" ? ["tmpfs-xattr"] : [];
      const all = [...needs, ...more];
      testOn(all, `run ${flags.join(" ")} under ${where}`, async () => {
        await using box = makeBox(options);
        const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-nested-" });
        Deno.chmodSync(dir, 0o777);
        try {
          const { stdout, stderr } = await inside([
            ...["--root", `${dir}/state`, "run"],
            ...["--rootfs", box.rootfs, "--name", box.id],
            ...flags,
            "--",
            ...command,
          ]);
          assertEquals([stdout, stderr], [want, ""]);
        } finally {
          Deno.removeSync(dir, { recursive: true });
        }
      });
    }

    testOn(needs, `run and exec of a bundle under ${where}`, async () => {
      await using box = makeBox(options);
      const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-nested-" });
      Deno.chmodSync(dir, 0o777);
      const write = (more: object, linux: object) =>
        Deno.writeTextFileSync(
          `${dir}/config.json`,
          JSON.stringify({
            ociVersion: "1.0.2",
            root: { path: box.rootfs },
            process: { cwd: "/", args: ["sleep", "1000"], ...more },
            mounts: [{ destination: "/proc", type: "proc", source: "proc" }],
            linux,
          }),
        );
      try {
        const one = [{ containerID: 0, hostID: 0, size: 1 }];
        const types = [{ type: "pid" }, { type: "mount" }];
        const own = {
          namespaces: [...types, { type: "user" }],
          uidMappings: one,
          gidMappings: one,
        };
        for (const linux of [own, { namespaces: types }]) {
          write({}, linux);
          const r = `--root ${dir}/state`;
          const { code, stdout, stderr } = await runToEnd([
            "unshare",
            ...way,
            ...["sh", "-c", '"$@" >/dev/null </dev/null', "sh"],
            ...["sh", "-euc"],
            `"$@" ${r} create --bundle ${dir} box; "$@" ${r} start box; "$@" ${r} exec box id -u >${dir}/out; "$@" ${r} delete --force box`,
            "sh",
            ...apart(cliCommand(options)),
          ], options);
          assertEquals([code, stdout, stderr], [0, "", ""]);
          assertEquals(Deno.readTextFileSync(`${dir}/out`), "0\n");
        }
        write({ user: { uid: 0, gid: 0, additionalGids: [0] } }, own);
        const { stderr } = await inside(
          ["--root", `${dir}/state`, "run", "--bundle", dir, "box"],
        );
        assertStringIncludes(stderr, "must deny setgroups");
        write({}, { namespaces: [{ type: "pid" }] });
        if (way[0] === "-Ur" && way.length === 1) {
          const { stderr } = await inside(
            ["--root", `${dir}/state`, "run", "--bundle", dir, "box"],
          );
          assertStringIncludes(stderr, "belongs to another user namespace");
          assertStringIncludes(stderr, "hint: Give the caller one of its own");
        }
      } finally {
        Deno.removeSync(dir, { recursive: true });
      }
    });
  }

  testOn(
    needs,
    `what such a caller (${who}) has made read-only stays so, and no volume shows the stage`,
    async () => {
      await using box = makeBox(options);
      const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-nested-" });
      Deno.chmodSync(dir, 0o777);
      try {
        const [cli = "", ...words] = apart(cliCommand(options));
        const run = `--root ${dir}/state --cgroup-manager disabled run`;
        const flags = "--read-only --userns 0:0:1";
        const free = "--cap-add SYS_ADMIN --security-opt seccomp=unconfined";
        const { stdout, stderr } = await runToEnd([
          ...["unshare", "-Urm", "sh", "-euc"],
          `rootfs=$1 cli=$2; shift 2
        mkdir -p $rootfs/etc; cd $rootfs/etc; touch hosts hostname resolv.conf
        mount --bind $rootfs $rootfs; mount -o remount,bind,ro $rootfs
        $cli "$@" ${run} --rootfs $rootfs ${flags} ${
            who === "root" ? free : ""
          } -- sh -c 'mount -o remount,bind,rw / 2>/dev/null; touch /new 2>&1; true'
        $cli "$@" ${run} --rootfs / ${flags} -v ${dir}:/srv -- sh -c 'ls -d /srv/state/*/[0-9]* 2>/dev/null; grep -c " /srv" /proc/self/mountinfo'`,
          "sh",
          box.rootfs,
          cli,
          ...words,
        ], options);
        assertEquals([stdout, stderr], [
          "touch: /new: Read-only file system\n2\n",
          "",
        ]);
      } finally {
        Deno.removeSync(dir, { recursive: true });
      }
    },
  );
}
