/**
 * What the mounts of a bundle are inside: that each has what was asked for.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { type Need, testOn } from "../needs.ts";
import type { Spec } from "./caller.ts";
import { type CrashBox, makeCrashBox } from "./crash_box.ts";

const NEEDS: Need[] = ["root", "helper", "busybox"];

const USERNS = {
  uidMappings: [{ containerID: 0, hostID: 100000, size: 65536 }],
  gidMappings: [{ containerID: 0, hostID: 100000, size: 65536 }],
};

let bundles = 0;

/** Runs a script in a container with these mounts beside the usual ones. */
async function runWith(
  box: CrashBox,
  script: string,
  mounts: Spec[],
  more: Spec = {},
): Promise<string> {
  const id = `${box.name}-${++bundles}`;
  const plain = JSON.parse(Deno.readTextFileSync(`${box.bundle}/config.json`));
  const { linux = {}, ...rest } = more;
  const bundle = box.addBundle(id, {
    process: { args: ["sh", "-ec", script] },
    ...rest,
    mounts: [...plain.mounts, ...mounts],
    linux: { ...plain.linux, cgroupsPath: `/${id}`, ...linux },
  });
  const result = await box.call("run", "--bundle", bundle, id);
  assertEquals([result.code, result.stderr], [0, ""]);
  return result.stdout;
}

const tmpfs = (destination: string, ...options: string[]) => ({
  destination,
  type: "tmpfs",
  source: "tmpfs",
  options,
});

const WAYS: [string, Spec][] = [
  ["as root", {}],
  ["in a user namespace", {
    linux: {
      ...USERNS,
      namespaces: ["pid", "mount", "ipc", "uts", "network", "user"]
        .map((type) => ({ type })),
    },
  }],
];
for (const [way, more] of WAYS) {
  testOn(
    NEEDS,
    `run() gives a tmpfs the mode that it covers, that of a new one, or the one it is given, ${way}`,
    async () => {
      await using box = makeCrashBox();
      const { rootfs, host } = {
        rootfs: `${box.dir}/rootfs`,
        host: `${box.dir}/host`,
      };
      const base = more.linux === undefined ? 0 : 100000;
      const make = (path: string, mode: number, uid = 0, gid = 0) => {
        Deno.mkdirSync(path, { recursive: true });
        Deno.chownSync(path, base + uid, base + gid);
        Deno.chmodSync(path, mode);
      };
      make(rootfs, 0o755);
      make(`${rootfs}/there`, 0o2750, 7, 8);
      make(`${rootfs}/full`, 0o751, 7, 8);
      Deno.writeTextFileSync(`${rootfs}/full/file`, "");
      Deno.symlinkSync("/there", `${rootfs}/link`);
      Deno.symlinkSync("/nowhere", `${rootfs}/dangling`);
      make(host, 0o755);
      make(`${host}/sub`, 0o1770);
      const out = await runWith(
        box,
        "stat -c '%n %a %u:%g' /fresh /deep/er/fresh /given /there /h/sub /r/new /link/. /dangling/. /full /full2; ls -d /full/file /full2/file",
        [
          tmpfs("/fresh"),
          tmpfs("/deep/er/fresh", "nosuid"),
          tmpfs("/given", "mode=0444"),
          tmpfs("/there"),
          {
            destination: "/h",
            type: "bind",
            source: host,
            options: ["rbind"],
          },
          tmpfs("/h/sub"),
          tmpfs("/r", "ro"),
          tmpfs("/r/new"),
          tmpfs("/link", "size=1m"),
          tmpfs("/dangling"),
          tmpfs("/full", "tmpcopyup"),
          {
            destination: "/full2",
            type: "bind",
            source: `${rootfs}/full`,
            options: ["bind"],
          },
          tmpfs("/full2", "tmpcopyup", "mode=0705", "uid=3"),
        ],
        more,
      );
      assertEquals(out.split("\n"), [
        "/fresh 1777 0:0",
        "/deep/er/fresh 1777 0:0",
        "/given 444 0:0",
        "/there 2750 0:0",
        "/h/sub 1770 0:0",
        "/r/new 1777 0:0",
        "/link/. 2750 0:0",
        "/dangling/. 1777 0:0",
        "/full 751 7:8",
        "/full2 705 3:8",
        "/full/file",
        "/full2/file",
        "",
      ]);
    },
  );
}
