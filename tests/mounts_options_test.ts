/**
 * The mounts manager: a row for each mount option.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { parseMountOptions, splitData } from "../mod/mounts/options.ts";
import { absolutePath, joinPath, splitPath } from "../mod/mounts/path.ts";
import { pickSteps, showPlan } from "./manager_fixtures.ts";
import { DIRECTORY, plan, USERNS } from "./mounts_fixtures.ts";

/** One option of a bind mount: what mount_setattr(2) is told. */
const OPTIONS: [string, string[]][] = [
  ["ro", ["0 1 0 0"]],
  ["rw", ["0 0 1 0"]],
  ["nosuid", ["0 2 0 0"]],
  ["suid", ["0 0 2 0"]],
  ["nodev", ["0 4 0 0"]],
  ["dev", ["0 0 4 0"]],
  ["noexec", ["0 8 0 0"]],
  ["exec", ["0 0 8 0"]],
  ["nodiratime", ["0 0x80 0 0"]],
  ["diratime", ["0 0 0x80 0"]],
  ["relatime", ["0 0 0x70 0"]],
  ["norelatime", ["0 0 0x70 0"]],
  ["noatime", ["0 0x10 0x70 0"]],
  ["atime", ["0 0 0x70 0"]],
  ["strictatime", ["0 0x20 0x70 0"]],
  ["nostrictatime", ["0 0 0x70 0"]],
  ["nosymfollow", ["0 0x200000 0 0"]],
  ["symfollow", ["0 0 0x200000 0"]],
  ["rro", ["0x8000 1 0 0x80000"]],
  ["rrw", ["0x8000 0 1 0x80000"]],
  ["rnosuid", ["0x8000 2 0 0x80000"]],
  ["rsuid", ["0x8000 0 2 0x80000"]],
  ["rnodev", ["0x8000 4 0 0x80000"]],
  ["rdev", ["0x8000 0 4 0x80000"]],
  ["rnoexec", ["0x8000 8 0 0x80000"]],
  ["rexec", ["0x8000 0 8 0x80000"]],
  ["rnodiratime", ["0x8000 0x80 0 0x80000"]],
  ["rdiratime", ["0x8000 0 0x80 0x80000"]],
  ["rrelatime", ["0x8000 0 0x70 0x80000"]],
  ["rnorelatime", ["0x8000 0 0x70 0x80000"]],
  ["rnoatime", ["0x8000 0x10 0x70 0x80000"]],
  ["ratime", ["0x8000 0 0x70 0x80000"]],
  ["rstrictatime", ["0x8000 0x20 0x70 0x80000"]],
  ["rnostrictatime", ["0x8000 0 0x70 0x80000"]],
  ["rnosymfollow", ["0x8000 0x200000 0 0x80000"]],
  ["rsymfollow", ["0x8000 0 0x200000 0x80000"]],
  ["private", ["0 0 0 0x40000"]],
  ["rprivate", ["0x8000 0 0 0x40000"]],
  ["slave", ["0 0 0 0x80000"]],
  ["rslave", ["0x8000 0 0 0x80000"]],
  ["shared", ["0 0 0 0x100000"]],
  ["rshared", ["0x8000 0 0 0x80000", "0x8000 0 0 0x100000"]],
  ["unbindable", ["0 0 0 0x20000"]],
  ["runbindable", ["0x8000 0 0 0x20000"]],
  ["defaults", []],
  ["silent", []],
  ["loud", []],
  ["sync", []],
  ["async", []],
  ["dirsync", []],
  ["lazytime", []],
  ["nolazytime", []],
  ["mand", []],
  ["nomand", []],
  ["iversion", []],
  ["noiversion", []],
];

/** Where a flag is named, those that are not are cleared: ro, nosuid, nodev,
 * noexec, nosymfollow. */
function clearUnnamed(call: string): string {
  const [flags, set, clear, propagation] = call.split(" ").map(Number);
  if (flags !== 0 || propagation !== 0) return call;
  const all = clear! | 0x20000f & ~set!;
  return `0 ${set! > 9 ? `0x${set!.toString(16)}` : set} 0x${
    all.toString(16)
  } 0`;
}

for (const [word, expected] of OPTIONS) {
  Deno.test(`planMounts() gives "${word}" of a bind mount its meaning`, () => {
    const phased = plan(
      {
        mounts: [{
          destination: "/b",
          source: "/src",
          options: ["bind", word],
        }],
      },
      {},
      DIRECTORY,
    );
    const calls = pickSteps(phased, "mounts")
      .filter((it) => it.startsWith("mountSetattr"))
      .map((it) => it.slice("mountSetattr mount.0 - ".length, -2));
    const whole = expected.some((it) => it.startsWith("0x8000"));
    assertEquals(
      calls,
      whole ? expected : ["0x8000 0 0 0x80000", ...expected.map(clearUnnamed)],
    );
  });
}

/** Words of propagation, under a word of the root's: where the volume is taken,
 * and what mount_setattr(2) is told. */
const SHARING: [string, string, string[]][] = [
  ["rshared", "rshared", ["root", "0x8000 0 0 0x100000"]],
  ["shared", "shared", ["root", "0 0 0 0x100000"]],
  ["private", "rshared", ["root", "0x8000 0 0 0x100000"]],
  ["rshared", "rslave", ["mounts", "0x8000 0 0 0x80000"]],
  ["rslave", "rshared", [
    "mounts",
    "0x8000 0 0 0x80000",
    "0x8000 0 0 0x100000",
  ]],
  ["rprivate", "shared", ["mounts", "0x8000 0 0 0x40000", "0 0 0 0x100000"]],
  ["private", "slave", ["mounts", "0x8000 0 0 0x80000", "0 0 0 0x80000"]],
  ["private", "", ["mounts", "0x8000 0 0 0x40000"]],
  ["rshared", "shared rslave", [
    "root",
    "0 0 0 0x100000",
    "0x8000 0 0 0x80000",
  ]],
  ["rslave", "rslave rshared", [
    "mounts",
    "0x8000 0 0 0x80000",
    "0x8000 0 0 0x100000",
  ]],
];

for (const [root, words, [place, ...expected]] of SHARING) {
  Deno.test(`planMounts() makes a volume "${words}" under rootfsPropagation ${root}`, () => {
    const options = ["rbind", ...words.split(" ").filter((it) => it !== "")];
    const phased = plan(
      {
        mounts: [{ destination: "/b", source: "/src", options }],
        linux: { namespaces: [{ type: "mount" }], rootfsPropagation: root },
      },
      {},
      DIRECTORY,
    );
    const calls = pickSteps(phased, "mounts")
      .filter((it) => it.startsWith("mountSetattr"))
      .map((it) => it.slice("mountSetattr mount.0 - ".length, -2));
    const taken = pickSteps(phased, "root", "mounts")
      .filter((it) => /^#|openTree mount.0|mountSetattr - /.test(it));
    const at = taken.findIndex((it) => it.startsWith("openTree"));
    assertEquals(calls, expected);
    // In the step "root" it is taken before anything leaves a peer group.
    assertEquals(at, place === "root" ? 1 : 3, taken.join("\n"));
  });
}

/** One option of a new file system: its data and its attributes. */
const NEW: [string, string][] = [
  ["sync", "[sync] 0"],
  ["async", "[async] 0"],
  ["dirsync", "[dirsync] 0"],
  ["lazytime", "[lazytime] 0"],
  ["nolazytime", "[nolazytime] 0"],
  ["mand", "[mand] 0"],
  ["nomand", "[nomand] 0"],
  ["iversion", "[iversion] 0"],
  ["noiversion", "[] 0"],
  ["defaults", "[] 0"],
  ["silent", "[] 0"],
  ["loud", "[] 0"],
  ["rw", "[] 0"],
  ["ro", "[ro] 1"],
  ["rro", "[] 0"],
  ["noatime", "[] 0x10"],
  ["errors=continue", "[errors=continue] 0"],
  ["a=1,b", "[a=1 b] 0"],
];

for (const [word, expected] of NEW) {
  Deno.test(`planMounts() gives "${word}" of a file system its meaning`, () => {
    const phased = plan({
      mounts: [{ destination: "/n", type: "ext4", options: [word] }],
    });
    assertEquals(
      pickSteps(phased, "mounts")[1],
      `fsmount mount.0 ext4 ${expected} 0`,
    );
  });
}

Deno.test("planMounts() ignores data for a bind mount, as mount(2) does", () => {
  const withOptions = (...options: string[]) =>
    showPlan(plan(
      { mounts: [{ destination: "/b", source: "/src", options }] },
      {},
      DIRECTORY,
    ));
  const plain = withOptions("bind", "nodev");
  assertEquals(withOptions("bind", "size=1", "nodev", "mode=0700"), plain);
  assertEquals(plain.filter((it) => it.includes("size=1")), []);
  assert(plain.some((it) => it.startsWith("mountSetattr mount.0 ")));
});

Deno.test("parseMountOptions() lets the later of two words count", () => {
  const { set, clear } = parseMountOptions([
    "ro",
    "rw",
    "suid",
    "nosuid",
    "noatime",
    "atime",
  ]);
  assertEquals([set, clear], [2, 1 | 0x70]);
});

Deno.test("parseMountOptions() keeps noatime when relatime's no follows", () => {
  assertEquals(parseMountOptions(["noatime", "norelatime"]).set, 0x10);
});

Deno.test("splitData() splits at commas outside of quotes", () => {
  assertEquals(splitData(['a=1,context="u:r:c1,c2",b', "lowerdir=/a\\,b"]), [
    "a=1",
    "context=u:r:c1,c2",
    "b",
    "lowerdir=/a\\,b",
  ]);
});

Deno.test("joinPath(), absolutePath() and splitPath() work on text alone", () => {
  assertEquals(joinPath("/", "a/../b//./c/"), "/b/c");
  assertEquals(joinPath("/x", "../../.."), "/");
  assertEquals(absolutePath("/b", "../c"), "/b/../c");
  assertEquals(absolutePath("/", "c"), "/c");
  assertEquals(splitPath("/dev"), { parent: "/", name: "dev" });
});

Deno.test("planMounts() uses the flags of the architecture", () => {
  const phased = plan({}, { arch: "aarch64" });
  assertEquals(
    pickSteps(phased, "root")[3],
    "open target - /bundle/rootfs 0x204000 0 0",
  );
});

Deno.test("planMounts() holds a procfs where something is written into it, and else none", () => {
  const wants = [
    { linux: { ...USERNS.linux, sysctl: { "net.ipv4.ip_forward": "1" } } },
    { process: { cwd: "/", selinuxLabel: "a:b:c" } },
    { process: { cwd: "/", apparmorProfile: "box" } },
  ];
  for (const [at, spec] of wants.entries()) {
    const ops = showPlan(plan(spec));
    assertEquals(
      ops.filter((it) => / proc( |$)/.test(it)),
      at === 0
        ? ["open proc - /proc 0x210000 0 0", "verify proc 0x4000 0 0x9fa0"]
        : ["fsmount proc proc [] 0xe 0"],
    );
  }
  for (const spec of [{}, USERNS]) {
    assertEquals(
      showPlan(plan(spec)).filter((it) => / proc( |$)/.test(it)),
      [],
    );
  }
});

Deno.test("planMounts() opens host trees in the new mount namespace when the caller's is not its user namespace's", () => {
  const phased = plan({}, { inUserns: true, foreignMounts: true });
  assertEquals(phased.sources, []);
  assertEquals(
    pickSteps(phased, "root").filter((it) => it.startsWith("openTree root")),
    ["openTree root root.dir - 0x9001"],
  );
});
