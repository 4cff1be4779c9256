/**
 * What is judged on the host is what is used: something else is put in its place
 * between the two, at a moment that the test chooses.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { CLONE, MS, O } from "../../ffi/constants.ts";
import { readCaller } from "../../mod/caller.ts";
import { parseArgs } from "../../mod/cli/parse.ts";
import { configFromBundle } from "../../mod/config/from_bundle.ts";
import { configFromFlags } from "../../mod/config/from_flags.ts";
import type { Config } from "../../mod/config/config.ts";
import { prepare } from "../../mod/container/launch/prepare.ts";
import { seeRootfs } from "../../mod/container/properties/rootfs.ts";
import { mountTree, tryOps } from "../../mod/doctor/probe.ts";
import { ContainerError } from "../../mod/errors.ts";
import { gatherFacts } from "../../mod/host.ts";
import { setAttr } from "../../mod/mounts/attributes.ts";
import type { Op } from "../../mod/plan.ts";
import { makeHost } from "../from_flags_host.ts";
import { cliCommand, makeBox, runCli, runToEnd } from "../harness.ts";
import { findProgram, testOn } from "../needs.ts";
import { makeSpec } from "./caller.ts";

/** What happens to a path once it has been looked at. */
const SWAPS: Record<string, (path: string) => void> = {
  "another directory": (path) => {
    Deno.renameSync(path, `${path}.old`);
    Deno.mkdirSync(path);
  },
  'a link to "/"': (path) => {
    Deno.renameSync(path, `${path}.old`);
    Deno.symlinkSync("/", path);
  },
};

interface Place extends Disposable {
  dir: string;
  root: string;
  volume: string;
  changes: string;
  config(...words: string[]): Config;
}

/** A root file system, a volume and a directory for changes. */
function makePlace(): Place {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-swap-" });
  const [root, volume, changes] = ["root", "volume", "changes"].map((it) => {
    Deno.mkdirSync(`${dir}/${it}`);
    return `${dir}/${it}`;
  }) as [string, string, string];
  Deno.mkdirSync(`${root}/bin`);
  return {
    dir,
    root,
    volume,
    changes,
    config: (...words) => {
      const args = ["run", "--rootfs", root, ...words, "--", "true"];
      return configFromFlags(
        parseArgs(args),
        makeHost({ stat: Deno.statSync, cwd: dir }),
      );
    },
    [Symbol.dispose]: () => Deno.removeSync(dir, { recursive: true }),
  };
}

/** What the child stage does with the host's files, all in the host's namespaces. */
function listTakes(config: Config, dir: string): Op[] {
  const { steps } = prepare(config, gatherFacts(readCaller()), {
    place: { root: `${dir}/state`, caller: readCaller() },
    gate: "none",
    token: "00000000",
  });
  const apart = steps.flatMap(([, ops]) => ops).filter((it) =>
    it.do === "openTree" || it.do === "same" ||
    it.do === "open" && /^(uppers|root\.dir)$/.test(it.into)
  ).filter((it) =>
    // Taken from the stage, which is not there; nor are the cgroups.
    it.do !== "openTree" ||
    it.at === "root.dir" ||
    it.path.startsWith("/") && !it.path.startsWith("/sys/fs/cgroup/")
  ).filter((it) => it.do !== "same" || it.slot !== "target");
  return [
    { do: "unshare", flags: 0x20000, why: "leave the host alone" },
    ...apart,
  ];
}

/** What is mounted on a directory. */
function mountOn(path: string): Op[] {
  const why = "what the look has missed";
  return [
    mountTree("missed", "tmpfs", []),
    {
      do: "open",
      into: "place",
      at: "",
      path,
      flags: O.PATH,
      mode: 0,
      resolve: 0,
      why,
    },
    { do: "moveMount", tree: "missed", onto: "place", why },
  ];
}

testOn(
  ["root", "helper", "tmpfs-xattr"],
  "what the look at the host's mounts has missed in a lower layer is not bared",
  () => {
    using place = makePlace();
    Deno.mkdirSync(`${place.root}/in`);
    const config = place.config("--ephemeral", "--userns", "0:100000:65536");
    const { steps } = prepare(config, gatherFacts(readCaller()), {
      place: { root: `${place.dir}/state`, caller: readCaller() },
      gate: "none",
      token: "00000000",
    });
    const of = (step: string) =>
      steps.flatMap(([name, ops]) => name === step ? ops : []);
    const unstaged = of("namespaces").concat(of("root")).filter((it) =>
      it.do === "openTree" && it.into === "lower"
    );
    assertEquals(unstaged.length, 1);
    const why = "be where they would be taken";
    const run = (missed: Op[]) =>
      tryOps([
        { do: "unshare", flags: CLONE.NEWNS, why },
        // As systemd has it, "/" is shared: what was missed would be the host's.
        setAttr("", { path: "/", recursive: true, propagation: MS.SLAVE }, {
          why,
        }),
        ...missed,
        ...of("sources"),
        ...of("stage"),
        { do: "unshare", flags: CLONE.NEWUSER | CLONE.NEWNS, why },
        ...unstaged,
      ], undefined);
    assertEquals(run([]), undefined);
    assertEquals(run(mountOn(`${place.root}/in`)), "openTree: EINVAL");
  },
);

testOn(
  ["root", "helper"],
  "a root file system that becomes a link to what it was is not used: that may lie in another mount",
  () => {
    for (const flags of [[], ["--ephemeral"], ["--userns", "0:100000:65536"]]) {
      using place = makePlace();
      const ops = listTakes(place.config(...flags), place.dir);
      Deno.renameSync(place.root, `${place.root}.old`);
      Deno.symlinkSync(`${place.root}.old`, place.root);
      assertEquals(tryOps(ops, undefined), "open: ELOOP");
    }
  },
);

for (const [what, swap] of Object.entries(SWAPS)) {
  for (const userns of [[], ["--userns", "0:100000:65536"]]) {
    const how = `${what}${userns.length ? ", with a user namespace" : ""}`;

    testOn(
      ["root", "helper"],
      `a root file system that becomes ${how}, is not used`,
      () => {
        using place = makePlace();
        const ops = listTakes(place.config(...userns), place.dir);
        assertEquals(tryOps(ops, undefined), undefined);
        swap(place.root);
        const want = what.includes("link") ? "open: ELOOP" : "same: ESTALE";
        assertEquals(tryOps(ops, undefined), want);
      },
    );

    testOn(
      ["root", "helper"],
      `a volume that becomes ${how}, is not used`,
      () => {
        using place = makePlace();
        const words = ["-v", `${place.volume}:/v`, ...userns];
        const ops = listTakes(place.config(...words), place.dir);
        assertEquals(tryOps(ops, undefined), undefined);
        swap(place.volume);
        assertEquals(tryOps(ops, undefined), "same: ESTALE");
      },
    );

    testOn(
      ["root", "helper"],
      `a directory for changes that becomes ${how}, is not used`,
      () => {
        using place = makePlace();
        const words = [`--ephemeral=${place.changes}`, ...userns];
        const ops = listTakes(place.config(...words), place.dir).filter((it) =>
          it.do === "unshare" || it.do === "open" && it.into === "uppers" ||
          it.do === "same" && it.slot === "uppers"
        );
        assertEquals(ops.length, 3);
        assertEquals(tryOps(ops, undefined), undefined);
        swap(place.changes);
        assertEquals(tryOps(ops, undefined), "same: ESTALE");
      },
    );
  }

  testOn(
    ["root"],
    `a root file system that becomes ${what} after the flags were judged by it, is refused`,
    () => {
      using place = makePlace();
      const config = place.config();
      assertEquals(seeRootfs(config, () => {}).path, place.root);
      swap(place.root);
      let error: unknown;
      try {
        seeRootfs(config, () => {});
      } catch (it) {
        error = it;
      }
      assert(error instanceof ContainerError);
      assertEquals(error.code, "replaced");
    },
  );
}

testOn(
  ["root"],
  "what is read of a root file system is read of the one that was opened",
  () => {
    using place = makePlace();
    const config = place.config();
    Deno.mkdirSync(`${place.root}/etc`);
    Deno.writeTextFileSync(`${place.root}/etc/passwd`, "own");
    const seen = seeRootfs(config, (directory) => {
      SWAPS["another directory"]!(place.root);
      assertEquals(
        Deno.readTextFileSync(`${directory}/etc/passwd`),
        "own",
      );
    });
    assertEquals(seen.path, `${place.root}.old`);
  },
);

/** What a bundle may name as its root file system, by what lies in its own
 * directory: a link to "/", one to the bundle, and the root file system. */
const NAMED: [string, (bundle: string) => string, boolean][] = [
  ["a link to a root file system", () => "link", false],
  ["a link to /", () => "host", false],
  ["a link to /, with a slash", () => "host/", false],
  ["a link to /, with a dot", () => "host/.", false],
  ["a path behind a link", (it) => `host${it}/rootfs`, false],
  ["an absolute link", (it) => `${it}/link`, false],
  ["an absolute link to /", (it) => `${it}/host`, false],
  ["an absolute link to /, with a dot", (it) => `${it}/host/.`, false],
  ["an absolute path behind a link", (it) => `${it}/host${it}/rootfs`, false],
  ["an absolute path of another directory", (it) => `${it}.link/rootfs`, false],
  ["a link of a process", () => "/proc/self/cwd/rootfs", false],
  ["a path through a link's own name", () => "host/../rootfs", true],
  ["a path with dots", (it) => `./..//${it.split("/").at(-1)}/rootfs/.`, true],
  ["an absolute path with dots", (it) => `${it}/./rootfs/..//rootfs/`, true],
];

for (const [what, path, runs] of NAMED) {
  testOn(
    ["root", "helper", "busybox"],
    `a bundle whose root file system is ${what} ${
      runs ? "runs" : "is refused"
    }, as by runc`,
    async () => {
      await using box = makeBox();
      const bundle = Deno.makeTempDirSync({ prefix: "rustyrun-test-link-" });
      try {
        Deno.renameSync(box.rootfs, `${bundle}/rootfs`);
        Deno.mkdirSync(box.rootfs);
        Deno.symlinkSync("rootfs", `${bundle}/link`);
        Deno.symlinkSync("/", `${bundle}/host`);
        Deno.symlinkSync(bundle, `${bundle}.link`);
        const spec = makeSpec(box.id, { process: { args: ["true"] } });
        spec["root"] = { path: path(bundle) };
        Deno.writeTextFileSync(`${bundle}/config.json`, JSON.stringify(spec));
        // A link on the way to the bundle is the caller's own.
        const words = ["run", "--bundle", `${bundle}.link`, box.id];
        const { code, stdout, stderr } = await runCli(words);
        assertEquals([code, stdout], [runs ? 0 : 1, ""]);
        if (runs) assertEquals(stderr, "");
        else {
          assertStringIncludes(
            stderr,
            "it is a symbolic link, or lies behind one\n",
          );
        }
        const runc = findProgram("runc");
        if (runc === undefined) return;
        const theirs = await runToEnd([runc, ...words]);
        assertEquals(theirs.code, runs ? 0 : 1);
        if (!runs) assertStringIncludes(theirs.stderr, "symlink");
      } finally {
        Deno.removeSync(`${bundle}.link`);
        Deno.removeSync(bundle, { recursive: true });
      }
    },
  );
}

for (
  const [what, swap, error] of [
    ["another directory", SWAPS["another directory"]!, "is another directory"],
    ['a link to "/"', SWAPS['a link to "/"']!, "is another directory"],
    [
      "nothing",
      (it: string) => Deno.renameSync(it, `${it}.old`),
      "no such file or directory",
    ],
  ] as [string, (path: string) => void, string][]
) {
  testOn(
    ["root"],
    `a bundle that becomes ${what} after its config.json was read, is refused`,
    () => {
      using place = makePlace();
      const bundle = `${place.dir}/bundle`;
      Deno.mkdirSync(`${bundle}/rootfs`, { recursive: true });
      // What a link leads to is of one moment as well.
      Deno.symlinkSync("bundle", `${place.dir}/link`);
      Deno.writeTextFileSync(
        `${bundle}/config.json`,
        JSON.stringify(makeSpec("swapped")),
      );
      const config = configFromBundle(
        parseArgs(["run", "--bundle", "link", "swapped"]),
        { directory: () => place.dir, uid: 0 },
      );
      assertEquals(config.bundle, bundle);
      seeRootfs(config, () => {});
      swap(bundle);
      const { message } = assertThrows(
        () => seeRootfs(config, () => {}),
        ContainerError,
      );
      assertStringIncludes(message, error);
    },
  );
}

testOn(
  ["root", "helper"],
  "a root file system has one name, whatever the caller's was",
  () => {
    using place = makePlace();
    Deno.symlinkSync("root", `${place.dir}/link`);
    for (
      const [words, path] of [
        [["--rootfs", `${place.dir}/link/.`], place.root],
        [["--rootfs", "/.", "--read-only"], "/"],
        [["--rootfs", "/proc/..", "--read-only"], "/"],
      ] as [string[], string][]
    ) {
      const config = place.config(...words);
      const { root } = prepare(config, gatherFacts(readCaller()), {
        place: { root: `${place.dir}/state`, caller: readCaller() },
        gate: "none",
        token: "00000000",
      });
      assertEquals([config.rootfs, root.path], [path, path]);
    }
  },
);

testOn(
  ["root", "helper", "busybox"],
  "run --rootfs LINK uses what the caller's own link leads to",
  async () => {
    await using box = makeBox();
    const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-link-" });
    try {
      Deno.symlinkSync(box.rootfs, `${dir}/link`);
      assertEquals(
        await runToEnd([
          ...cliCommand(),
          ...["run", "--rootfs", `${dir}/link`, "--name", box.id],
          ...["--", "echo", "here"],
        ]),
        { code: 0, signal: null, stdout: "here\n", stderr: "" },
      );
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  },
);
