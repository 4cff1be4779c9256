/**
 * Where a symbolic link is the cause, the hint says so.
 *
 * @module
 */

import { assertEquals, assertMatch } from "@std/assert";
import { testOn } from "../needs.ts";
import { makeCaller, makeSpec, type Spec } from "./caller.ts";

const NEEDS = ["root", "helper", "busybox", "python3"] as const;

const bind = (source: string, destination = "/mnt"): Spec => ({
  destination,
  type: "bind",
  source,
  options: ["bind"],
});

for (
  const [what, over, mounts] of [
    ["command", { process: { args: ["/nowhere"] } }, () => []],
    ["working directory", { process: { cwd: "/nowhere" } }, () => []],
    [
      "working directory in a circle",
      { process: { cwd: "/circle" } },
      () => [],
    ],
    ["source", {}, (rootfs: string) => [bind(`${rootfs}/nowhere`)]],
    ["source in a circle", {}, (rootfs: string) => [bind(`${rootfs}/circle`)]],
    ["mount point", {}, () => [bind("/proc", "/circle/a")]],
    ["masked path", { linux: { maskedPaths: ["/circle"] } }, () => []],
    ["device", {
      linux: {
        devices: [{ path: "/nowhere", type: "c", major: 1, minor: 3 }],
      },
    }, () => []],
    ["startContainer hook", {
      hooks: { startContainer: [{ path: "/nowhere" }] },
    }, () => []],
    ["startContainer hook in a circle", {
      hooks: { startContainer: [{ path: "/circle" }] },
    }, () => []],
  ] as const
) {
  testOn(NEEDS, `a hint says that a ${what} is a symbolic link`, async () => {
    await using caller = makeCaller();
    const { bundle, id, rootfs } = caller;
    Deno.symlinkSync("/no/such/place", `${rootfs}/nowhere`);
    Deno.symlinkSync("circle", `${rootfs}/circle`);
    const spec = makeSpec(id, over);
    spec["mounts"].push(...mounts(rootfs));
    caller.write(spec);
    const { code, stderr } = await caller.call(["run", "--bundle", bundle, id]);
    assertEquals(code, 1);
    assertMatch(stderr, /hint: .*symbolic link/);
  });
}

/** What a caller names of the host, with DIR for a directory that has the links
 * "nowhere" and "circle". */
const NAMED: [string, (link: string) => { over?: Spec; words?: string[] }][] = [
  ...["prestart", "createRuntime", "createContainer"].map((
    kind,
  ): typeof NAMED[number] => [
    `the program of a ${kind} hook`,
    (path) => ({ over: { hooks: { [kind]: [{ path }] } } }),
  ]),
  ["--bundle", (link) => ({ words: ["run", "--bundle", link, "x"] })],
  ["--rootfs", (link) => ({ words: ["run", "--rootfs", link, "--", "true"] })],
  [
    "--ephemeral",
    (link) => ({
      words: ["run", "--rootfs", "/usr", `--ephemeral=${link}`, "--", "true"],
    }),
  ],
  [
    "the source of --volume",
    (link) => ({
      words: ["run", "--rootfs", "/usr", "--read-only", "-v", `${link}:/mnt`],
    }),
  ],
  ["--root of list", (link) => ({ words: ["--root", link, "list"] })],
];

for (const [what, make] of NAMED) {
  testOn(NEEDS, `a hint says that ${what} is a symbolic link`, async () => {
    await using caller = makeCaller();
    const { bundle, dir, id } = caller;
    for (const [name, to] of [["nowhere", "/no/such"], ["circle", "circle"]]) {
      const link = `${dir}/${name}`;
      Deno.symlinkSync(to!, link);
      const { over, words } = make(link);
      caller.write(makeSpec(id, over ?? {}));
      const { code, stderr } = await caller.call(
        words ?? ["run", "--bundle", bundle, id],
      );
      assertEquals([1, 125].includes(code), true, stderr);
      assertMatch(
        stderr,
        /hint: ".*" is a symbolic link that leads nowhere, or in a circle/,
      );
      assertEquals(stderr.includes(link), true, stderr);
    }
  });
}
