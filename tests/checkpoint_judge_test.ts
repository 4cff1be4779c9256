/**
 * How what criu has restored is compared with its config.json.
 *
 * @module
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import type { Config } from "../mod/config/config.ts";
import { parseMounts } from "../mod/container/checkpoint/external.ts";
import {
  judgeHeld,
  judgeMounts,
  parseHeld,
} from "../mod/container/checkpoint/judge.ts";

const STATUS = [
  "State:\tS (sleeping)",
  "CapInh:\t0000000000000000",
  "CapPrm:\t0000000000000020",
  "CapEff:\t0000000000000020",
  "CapBnd:\t0000000000000420",
  "CapAmb:\t0000000000000000",
  "NoNewPrivs:\t1",
  "Seccomp:\t2",
].join("\n");

/** A configuration with these capabilities. */
function configWith(
  spec: Record<string, unknown>,
): Pick<Config, "spec" | "bundle"> {
  return { spec: { ociVersion: "1.2.0", ...spec }, bundle: "/b" } as Pick<
    Config,
    "spec" | "bundle"
  >;
}

Deno.test("what is restored may do no more than config.json lets it", () => {
  const config = configWith({
    process: {
      noNewPrivileges: true,
      capabilities: { bounding: ["CAP_KILL", "CAP_NET_BIND_SERVICE"] },
    },
  });
  const judge = (change: [string, string] = ["", ""], filter = true) =>
    judgeHeld([parseHeld(STATUS.replace(...change))], config, filter);
  assertEquals(judge(), undefined);
  for (const set of ["CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"]) {
    const line = STATUS.split("\n").find((it) => it.startsWith(set))!;
    const more = judge([line, `${set}:\t0000000000200000`]);
    assertStringIncludes(more ?? "", "capabilities", set);
  }
  assertEquals(
    judge(["NoNewPrivs:\t1", "NoNewPrivs:\t0"]),
    "lacks no_new_privs",
  );
  assertEquals(
    judge(["Seccomp:\t2", "Seccomp:\t0"]),
    "lacks its seccomp filter",
  );
  assertEquals(judge(["Seccomp:\t2", "Seccomp:\t0"], false), undefined);
  // A zombie has nothing any more.
  assertEquals(
    judgeHeld(
      [parseHeld("State:\tZ (zombie)\nCapPrm:\tffffffffffffffff")],
      config,
      true,
    ),
    undefined,
  );
});

Deno.test("what is restored sees and writes no more than config.json lets it", () => {
  const config = configWith({
    root: { path: "r", readonly: true },
    mounts: [
      { destination: "/proc", type: "proc" },
      { destination: "/vol", source: "/v", options: ["rbind", "ro"] },
      { destination: "/cg", type: "cgroup" },
    ],
    linux: {
      maskedPaths: ["/proc/kcore", "/proc/gone"],
      readonlyPaths: ["/proc/sys"],
    },
  });
  const lines = [
    "9 8 254:0 / / ro - ext4 /dev/vda rw",
    "10 9 0:43 / /proc rw - proc proc rw",
    "11 9 0:44 / /cg rw - cgroup2 cgroup rw",
    "13 9 254:0 /v /vol ro - ext4 /dev/vda rw",
    "15 10 0:5 /null /proc/kcore ro - devtmpfs dev rw",
    "16 10 0:43 /sys /proc/sys ro - proc proc rw",
  ];
  const judge = (texts: readonly string[], may: string[] = []) => {
    const process = { capabilities: { bounding: may } };
    return judgeMounts(
      parseMounts(texts.join("\n")),
      { ...config, spec: { ...config.spec, process } as Config["spec"] },
      {
        exists: (path) => path !== "/proc/gone",
        resolve: (path) => path,
        sources: ["/proc/kcore"],
      },
    );
  };
  assertEquals(judge(lines), undefined);
  const more = (path: string) => `17 9 0:99 / ${path} rw - proc proc rw`;
  for (
    const path of ["/cg/memory", "/vol/below", "/dev/null", "/dev/console"]
  ) {
    assertEquals(judge([...lines, more(path)]), undefined, path);
  }
  for (const path of ["/mnt", "/proc2", "/dev/sda", "/cgroups"]) {
    assertEquals(
      judge([...lines, more(path)]),
      `has a mount at "${path}", and config.json has none`,
    );
  }
  assertEquals(judge([...lines, more("/mnt")], ["CAP_SYS_ADMIN"]), undefined);
  // The file itself, and what the runtime masks a directory by.
  const itself = "17 10 0:43 /gone /proc/gone ro - proc proc rw";
  assertEquals(
    judge([...lines, itself]),
    'shows something at "/proc/gone", which is masked',
  );
  assertEquals(
    judge([...lines, "17 10 0:50 / /proc/gone ro - tmpfs tmpfs ro"]),
    undefined,
  );
  const faults = [0, 3, 4, 5].map((at) => [
    judge(lines.filter((_, i) => i !== at)),
    judge(lines.map((it, i) => i === at ? it.replace(" ro ", " rw ") : it)),
  ]);
  assertEquals(faults, [
    ["may write its root file system", "may write its root file system"],
    ['has no mount at "/vol"', 'has "/vol" mounted without ro'],
    [
      'does not mask "/proc/kcore"',
      'may write what masks "/proc/kcore"',
    ],
    ['may write "/proc/sys"', 'may write "/proc/sys"'],
  ]);
});
