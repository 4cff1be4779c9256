/**
 * Deno's directory of caches where it cannot be used, or is not root's alone;
 * and root in somebody's clone.
 *
 * @module
 */

import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import {
  type CliResult,
  makeBox,
  makeRootfs,
  ROOT,
  runToEnd,
} from "../harness.ts";
import { asUser, type Need, testOn, USERS } from "../needs.ts";
import { cliCommand, copyClone, otherUser, run } from "../program.ts";
import { writeBundle } from "../../scripts/bundle.ts";

const NEEDS: Need[] = ["root", "helper", "busybox"];

/** Of the sources, Deno finds packages in its directory: without it they do not
 * run. */
const fromSources = cliCommand().at(-1)!.endsWith("main.ts");

interface Room extends Disposable {
  dir: string;
  rootfs: string;
  /** Runs a container with nothing in the environment but PATH and these. */
  run(env: Record<string, string>, before?: string[]): Promise<CliResult>;
}

function makeRoom(user = false): Room {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-denodir-" });
  const rootfs = makeRootfs();
  const other = otherUser(user);
  Deno.mkdirSync(`${dir}/states`, { mode: 0o700 });
  Deno.mkdirSync(`${dir}/ro`);
  Deno.chmodSync(dir, 0o755);
  if (other) {
    Deno.chownSync(`${dir}/states`, USERS[other], USERS[other]);
    run("chown", "-R", `${USERS[other]}:${USERS[other]}`, rootfs);
  }
  return {
    dir,
    rootfs,
    run(env, before = []) {
      const variables = { PATH: "/usr/bin:/bin", ...env };
      const words = ["--root", `${dir}/states`, "run", "--rootfs", rootfs];
      const line = [
        "env",
        "-i",
        ...Object.entries(variables).map(([name, value]) => `${name}=${value}`),
        ...before,
        ...cliCommand({ user }),
        ...[...words, "--", "echo", "hi"],
      ];
      return runToEnd(other ? asUser(line, other) : line);
    },
    [Symbol.dispose]() {
      Deno.removeSync(dir, { recursive: true });
      Deno.removeSync(rootfs, { recursive: true });
    },
  };
}

/** Mounts an empty read-only file system over DIR/ro first. */
const readOnly = ({ dir }: Room) => [
  "unshare",
  "--mount",
  "sh",
  "-c",
  'mount -t tmpfs -o ro none "$0" && exec "$@"',
  `${dir}/ro`,
];

/** What DENO_DIR or HOME may be, and what is done before. */
const PLACES: [
  string,
  (room: Room) => Record<string, string>,
  ((room: Room) => string[])?,
][] = [
  ["DENO_DIR is below a file", () => ({ DENO_DIR: "/dev/null/x" })],
  ["DENO_DIR is a file", () => ({ DENO_DIR: "/etc/passwd" })],
  ["DENO_DIR is below what is missing", ({ dir }) => ({
    DENO_DIR: `${dir}/a/b/c`,
  })],
  ["DENO_DIR is on a read-only disk", ({ dir }) => ({
    DENO_DIR: `${dir}/ro/deno`,
  }), readOnly],
  ["DENO_DIR is in /proc", () => ({ DENO_DIR: "/proc/deno" })],
  [
    "HOME is on a read-only disk",
    ({ dir }) => ({ HOME: `${dir}/ro` }),
    readOnly,
  ],
  ["HOME is missing", ({ dir }) => ({ HOME: `${dir}/none` })],
  ["there is no HOME", () => ({})],
  ["there is no HOME, and no such runtime directory", ({ dir }) => ({
    XDG_RUNTIME_DIR: `${dir}/none`,
  })],
];

for (const [what, env, before] of fromSources ? [] : PLACES) {
  testOn(NEEDS, `run works where ${what}`, async () => {
    using room = makeRoom();
    assertEquals(await room.run(env(room), before?.(room)), {
      code: 0,
      signal: null,
      stdout: "hi\n",
      stderr: "",
    });
  });
}

for (
  const [what, env] of fromSources ? [] : [
    ["DENO_DIR is root's", ({ dir }) => ({ DENO_DIR: `${dir}/ro` })],
    ["DENO_DIR is closed", ({ dir }) => {
      Deno.chmodSync(`${dir}/ro`, 0o700);
      return { DENO_DIR: `${dir}/ro/x` };
    }],
    ["HOME is root's", () => ({ HOME: "/root" })],
  ] as [string, (room: Room) => Record<string, string>][]
) {
  testOn(
    ["helper", "busybox", "user", "userns"],
    `run of a user works where ${what}`,
    async () => {
      using room = makeRoom(true);
      const { code, stdout, stderr } = await room.run(env(room));
      assertEquals([code, stdout, stderr], [0, "hi\n", ""]);
    },
  );
}

testOn(
  ["helper", "busybox", "user", "userns"],
  "a user who has neither HOME nor an entry in passwd is told to set DENO_DIR",
  async () => {
    using room = makeRoom(true);
    const { code, stdout, stderr } = await room.run({});
    // The executable has no caches.
    if (cliCommand().length === 1) {
      return assertEquals([code, stdout, stderr], [0, "hi\n", ""]);
    }
    assertEquals([code, stdout], [1, ""]);
    assertStringIncludes(stderr, "the DENO_DIR environment variable is set");
  },
);

for (const own of fromSources ? [] : [true, false]) {
  testOn(
    ["root", "helper", "user"],
    `without HOME and an entry in passwd the bundle has its caches in a runtime directory, if it is the user's, or none: ${own}`,
    async () => {
      const words = cliCommand({ user: true });
      // The executable has none.
      if (words.length === 1) return;
      using room = makeRoom(true);
      const runtime = `${room.dir}/ro`;
      // Whose it is says more than whether it can be written.
      Deno.chmodSync(runtime, 0o777);
      if (own) Deno.chownSync(runtime, USERS.single, USERS.single);
      const path = `${words[0]!.slice(0, words[0]!.lastIndexOf("/"))}:/usr/bin`;
      const { code, stdout, stderr } = await runToEnd(asUser([
        ...["env", "-i", `PATH=${path}:/bin`, `XDG_RUNTIME_DIR=${runtime}`],
        ...[words.at(-1)!, "--version"],
      ]));
      const made = [...Deno.readDirSync(runtime)].map((it) => it.name);
      assertEquals(made, own ? ["rustyrun.deno"] : []);
      assertEquals([code, stderr], [0, ""]);
      assertMatch(stdout, /^rustyrun version /);
    },
  );
}

for (
  const [what, home, before] of fromSources ? [] : [
    ["a file", "/etc/passwd", ""],
    ["below a file", "/dev/null/x/y", ""],
    ["a link in a circle", "DIR/loop", "ln -s loop loop"],
    ["a relative path to nothing", "none", ""],
    ["a link to nothing", "DIR/none", "ln -s /rr-none none"],
    ["below what is missing", "DIR/x/y", ""],
    ["a directory", "DIR", ""],
  ] as const
) {
  testOn(["helper"], `the bundle starts where HOME is ${what}`, async () => {
    const words = cliCommand();
    const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-home-" });
    try {
      const bin = Deno.execPath().replace(/\/[^/]*$/, "");
      const { code, stdout, stderr } = await runToEnd([
        ...["env", "-i", `PATH=${bin}:/usr/bin:/bin`],
        ...[`HOME=${home.replace("DIR", dir)}`, `DENO_DIR=${dir}/deno`],
        ...["sh", "-ec", `cd "$1"; shift; ${before}\n"$@"`, "sh", dir],
        ...[words.at(-1)!, "--version"],
      ]);
      assertEquals([code, stderr], [0, ""]);
      assertMatch(stdout, /^rustyrun version /);
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  });
}

testOn(NEEDS, "root stops at a DENO_DIR that others may write", async () => {
  using room = makeRoom();
  const cache = Deno.env.get("DENO_DIR") ??
    `${Deno.env.get("HOME")}/.cache/deno`;
  const own = `${room.dir}/deno`;
  // With the packages, for main.ts.
  Deno.mkdirSync(own);
  if (fromSources) run("cp", "-r", `${cache}/npm`, own);
  Deno.chmodSync(own, 0o777);
  await using box = makeBox();
  const { code, stderr } = await box.run(["--", "true"], {
    env: { DENO_DIR: own },
  });
  if (cliCommand().length === 1) return assertEquals([code, stderr], [0, ""]);
  assertEquals(code, 125);
  assertStringIncludes(
    stderr,
    `rustyrun: Cannot use "${own}" as root: everybody may write it\n  hint: Deno runs what lies there`,
  );
});

const HELPER = `dist/rustyrun-helper-${Deno.build.arch}`;

/** What is started in a clone, how it gets there, and what root refuses of it.
 * Whoever may write dist/ may put another bundle there, as well as a helper. */
const CLONES: [
  string,
  (clone: string) => void,
  [string, (path: string) => void][],
][] = [
  [
    "main.ts",
    copyClone,
    [
      ["dist", (it) => Deno.chmodSync(it, 0o777)],
      [HELPER, (it) => Deno.chownSync(it, 61235, null)],
    ],
  ],
  [
    "dist/rustyrun.js",
    (clone) => writeBundle(`${clone}/dist`),
    [[HELPER, (it) => Deno.chownSync(it, 61235, null)]],
  ],
];

for (const [program, make, refused] of CLONES) {
  testOn(
    NEEDS,
    `root runs ${program} of a user who built it, and no other's helper`,
    async () => {
      using room = makeRoom();
      const clone = `${room.dir}/clone`;
      Deno.mkdirSync(`${clone}/dist`, { recursive: true });
      run("cp", `${ROOT}/${HELPER}`, `${clone}/dist`);
      make(clone);
      run("chown", "-R", "61234:61234", clone);
      const call = async () => {
        const line = [Deno.execPath(), "run", "-A", program, "--root"];
        line.push(`${room.dir}/states`, "run", "--rootfs", room.rootfs, "--");
        return await runToEnd([...line, "echo", "hi"], { cwd: clone });
      };
      // As the umask of Debian's users leaves it, and Ubuntu's.
      for (const mode of ["go-w", "g+w"]) {
        run("chmod", "-R", mode, clone);
        const { code, stdout, stderr } = await call();
        assertEquals([code, stdout, stderr], [0, "hi\n", ""], mode);
      }
      for (const [path, change] of refused) {
        const before = Deno.statSync(`${clone}/${path}`);
        change(`${clone}/${path}`);
        const { code, stdout, stderr } = await call();
        assertEquals([code, stdout], [125, ""]);
        assertMatch(
          stderr,
          /^rustyrun: Cannot use ".*" as root: .* may write it\n/,
        );
        assertStringIncludes(stderr, `"${clone}/${path}"`);
        Deno.chmodSync(`${clone}/${path}`, before.mode! & 0o777);
        Deno.chownSync(`${clone}/${path}`, before.uid, null);
      }
    },
  );
}
