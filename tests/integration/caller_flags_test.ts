/**
 * The flags of a bind mount: those that are named, as under runc.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { cliCommand, runToEnd } from "../harness.ts";
import { testOn } from "../needs.ts";
import { type Caller, makeCaller, makeSpec, type Spec } from "./caller.ts";

const NEEDS = ["root", "helper", "busybox", "python3"] as const;

const MAPS = [{ containerID: 0, hostID: 0, size: 65536 }];

/** The flags that a container sees of a mount whose source has noexec, nosuid,
 * nodev and noatime. */
async function show(
  caller: Caller,
  options: readonly string[],
  over: Spec = {},
) {
  const { bundle, dir, id, root } = caller;
  const spec = makeSpec(id, {
    process: { args: ["grep", " /mnt ", "/proc/mounts"] },
    ...over,
  });
  spec["mounts"].push({
    destination: "/mnt",
    type: "bind",
    source: `${dir}/source`,
    options,
  });
  caller.write(spec);
  const mount =
    `mount -t tmpfs -o noexec,nosuid,nodev,noatime none ${dir}/source`;
  return await runToEnd([
    "unshare",
    "-m",
    "sh",
    "-ec",
    `${mount}; exec "$@"`,
    "sh",
    ...cliCommand(),
    "--root",
    root,
    "run",
    "--bundle",
    bundle,
    id,
  ]);
}

/** Of a line of /proc/mounts. */
const flagsOf = (line: string) =>
  line.split(" ")[3]!.split(",").filter((it) =>
    /^(r[ow]|no(suid|dev|exec|atime)|relatime)$/.test(it)
  ).join(",");

const ALL = "rw,nosuid,nodev,noexec,noatime";

for (
  const [options, want, locked] of [
    [["rbind"], ALL, ALL],
    [["bind", "rprivate"], ALL, ALL],
    [["rbind", "ro"], "ro,noatime", "ro,nosuid,nodev,noexec,noatime"],
    [["rbind", "nosuid"], "rw,nosuid,noatime", ALL],
    [["rbind", "nodev", "relatime"], "rw,nodev,relatime", "relatime"],
    [["rbind", "rro"], `ro,nosuid,nodev,noexec,noatime`, "rro"],
    [["rbind", "exec"], "rw,noatime", "exec"],
  ] as const
) {
  testOn(NEEDS, `a bind mount with ${options} has what is named`, async () => {
    await using caller = makeCaller();
    Deno.mkdirSync(`${caller.dir}/source`);
    const plain = await show(caller, options);
    assertEquals([plain.code, plain.stderr], [0, ""]);
    assertEquals(flagsOf(plain.stdout), want);
    // In a user namespace the kernel locks what the source has.
    const spec = {
      linux: {
        namespaces: ["pid", "mount", "user"].map((type) => ({ type })),
        uidMappings: MAPS,
        gidMappings: MAPS,
      },
    };
    const inside = await show(caller, options, spec);
    if (locked === "exec") {
      assertEquals(inside.code, 1);
      assertMatch(inside.stderr, /mount_setattr: EPERM/);
      return;
    }
    assertEquals([inside.code, inside.stderr], [0, ""]);
    for (const flag of ["nosuid", "nodev", "noexec"]) {
      assertEquals(flagsOf(inside.stdout).includes(flag), true, flag);
    }
    if (locked.includes(",")) assertEquals(flagsOf(inside.stdout), locked);
  });
}
