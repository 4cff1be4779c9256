/**
 * What `deno task build`, `bundle` and `compile` make, each in a copy of the
 * repository, so that dist/ stays what it is.
 *
 * @module
 */

import {
  assert,
  assertEquals,
  assertMatch,
  assertStringIncludes,
} from "@std/assert";
import { describeInstall } from "../scripts/build.ts";
import { makeProgram } from "../scripts/bundle.ts";
import {
  findLeaks,
  makeRootfs,
  ROOT,
  runToEnd,
  takeSnapshot,
} from "./harness.ts";
import { testOn } from "./needs.ts";
import { copyClone } from "./program.ts";

/** Copies what a build reads to a new directory, which the caller removes. */
function copyRepository(): string {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-build-" });
  Deno.chmodSync(dir, 0o755);
  copyClone(dir, { build: true });
  return dir;
}

/** The paths of the files below a directory, each with a slash before it. */
function listFiles(dir: string): string[] {
  return [...Deno.readDirSync(dir)].flatMap(({ name, isDirectory }) =>
    isDirectory
      ? listFiles(`${dir}/${name}`).map((it) => `/${name}${it}`)
      : [`/${name}`]
  );
}

/** Runs a script of a copy; NO_COLOR, and `env` in place of the environment. */
async function runScript(
  dir: string,
  args: string[],
  env: Record<string, string> = {},
) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", ...args],
    cwd: dir,
    env: { NO_COLOR: "1", ...env },
  }).output();
  return {
    code,
    stdout: new TextDecoder().decode(stdout),
    stderr: new TextDecoder().decode(stderr),
  };
}

/** Where a compiled program without --no-code-cache keeps its bytecode. */
function listCodeCaches(): string[] {
  return [...Deno.readDirSync("/tmp")].map((entry) => entry.name)
    .filter((name) => name.startsWith("deno-compile-")).sort();
}

const ARCH = Deno.build.arch as "x86_64" | "aarch64";

const OTHER = ARCH === "x86_64" ? "aarch64" : "x86_64";

for (
  const [release, arch, want] of [
    ["ID=debian\n", ARCH, "apt-get install gcc musl-tools"],
    [
      'ID=linuxmint\nID_LIKE="ubuntu debian"\n',
      ARCH,
      "apt-get install gcc musl-tools",
    ],
    ["ID=alpine\n", ARCH, "apk add gcc musl-dev"],
    [
      'ID="rocky"\nID_LIKE="rhel centos fedora"\n',
      ARCH,
      "dnf install gcc glibc-static",
    ],
    ["ID=arch\n", ARCH, "pacman -S gcc musl"],
    [
      'ID="opensuse-leap"\nID_LIKE="suse opensuse"\n',
      ARCH,
      "zypper install gcc glibc-devel-static",
    ],
    [
      "",
      ARCH,
      'install a C compiler with a static libc ("musl-tools" on Debian)',
    ],
    [
      "ID=ubuntu\n",
      OTHER,
      `apt-get install gcc-${OTHER.replace("_", "-")}-linux-gnu`,
    ],
  ] as const
) {
  Deno.test(`describeInstall() names the package on ${JSON.stringify(release)} for ${arch}`, () => {
    assertEquals(describeInstall(release, arch), want);
  });
}

Deno.test("build.ts says once which package to install when there is no compiler", async () => {
  const empty = Deno.makeTempDirSync({ prefix: "rustyrun-test-path-" });
  try {
    const { code, stdout, stderr } = await runScript(
      ROOT,
      ["scripts/build.ts", "--force"],
      { PATH: empty, CC: "" },
    );
    assertEquals(code, 1);
    assertEquals(stdout, "");
    const hint = describeInstall(
      Deno.readTextFileSync("/etc/os-release"),
      ARCH,
    );
    assertEquals(
      stderr,
      "Cannot build the helper: no C compiler is installed " +
        `(looked for musl-gcc, cc, gcc, clang)\n  hint: ${hint}\n`,
    );
  } finally {
    Deno.removeSync(empty);
  }
});

testOn(
  ["cc"],
  "build.ts makes the same static programs in every directory, and keeps fresh ones",
  async () => {
    const copies = [copyRepository(), copyRepository()];
    try {
      const names = [`rustyrun-front-${ARCH}`, `rustyrun-helper-${ARCH}`];
      const made = [];
      for (const dir of copies) {
        const { code, stderr } = await runScript(dir, ["scripts/build.ts"]);
        assertEquals([code, stderr], [0, ""]);
        made.push(
          names.map((it) => Deno.readFileSync(`${dir}/dist/${it}`).toHex()),
        );
      }
      for (const i of names.keys()) assert(made[0]![i] === made[1]![i]);
      const again = await runScript(copies[0]!, ["scripts/build.ts"]);
      assertEquals(
        again.stdout,
        `dist/rustyrun-*-${ARCH} are newer than their sources\n`,
      );
      assertEquals(
        [...Deno.readDirSync(`${copies[0]}/dist`)].map((it) => it.name).sort(),
        names,
      );
      for (const name of names) {
        const headers = new Deno.Command("readelf", {
          args: ["-lW", `${copies[0]}/dist/${name}`],
        }).outputSync();
        const text = new TextDecoder().decode(headers.stdout);
        assertEquals(/INTERP|DYNAMIC/.test(text), false, text);
        assertMatch(text, /GNU_STACK .* RW /);
      }
    } finally {
      for (const dir of copies) Deno.removeSync(dir, { recursive: true });
    }
  },
);

testOn(
  ["aarch64"],
  "build.ts --arch makes the programs of the other architecture",
  async () => {
    const dir = copyRepository();
    try {
      const { code, stderr } = await runScript(dir, [
        "scripts/build.ts",
        "--arch",
        "aarch64",
      ]);
      assertEquals([code, stderr], [0, ""]);
      for (const name of ["front", "helper"]) {
        const bytes = Deno.readFileSync(`${dir}/dist/rustyrun-${name}-aarch64`);
        assertEquals(new DataView(bytes.buffer).getUint16(18, true), 183);
      }
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  },
);

Deno.test("the minifier of the bundle keeps every `using`", () => {
  const count = (minify: boolean) => {
    const dir = Deno.makeTempDirSync();
    try {
      makeProgram(dir, minify);
      return listFiles(dir).map((it) => Deno.readTextFileSync(dir + it))
        .join("\n").match(/\busing [\w$]+ ?=/g)!.length;
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  };
  assertEquals(count(true), count(false));
});

testOn(
  ["cc"],
  "bundle.ts writes a program that runs without the rest of the clone, without zod",
  async () => {
    const dir = copyRepository();
    const alone = Deno.makeTempDirSync({ prefix: "rustyrun-test-alone-" });
    try {
      // Of a bundle before this one.
      Deno.mkdirSync(`${dir}/dist/mod/cli`, { recursive: true });
      for (const name of ["chunk-OLD.js", "mod/cli/old.js"]) {
        Deno.writeTextFileSync(`${dir}/dist/${name}`, "");
      }
      const made = await runToEnd(
        [
          "sh",
          "-c",
          'umask 0 && exec "$@"',
          "sh",
          Deno.execPath(),
          "run",
          "-A",
          "scripts/bundle.ts",
        ],
        { cwd: dir, env: { NO_COLOR: "1" } },
      );
      assertEquals([made.code, made.stderr], [0, ""]);
      Deno.renameSync(`${dir}/dist`, alone);
      Deno.chmodSync(alone, 0o700);
      const files = listFiles(alone);
      assertEquals(files.filter((it) => /old/i.test(it)), []);
      assertEquals(files.filter((it) => !it.endsWith(".js")).sort(), [
        `/rustyrun-front-${ARCH}`,
        `/rustyrun-helper-${ARCH}`,
      ]);
      // Each costs a start: mod/cli/common.ts.
      const chunks = files.filter((it) => it.startsWith("/chunk-"));
      assertEquals(chunks.length <= 19, true, `${chunks.length} chunks`);
      for (const file of files) {
        const writers = Deno.statSync(alone + file).mode! & 0o022;
        assertEquals(writers, 0, file);
        const code = Deno.readTextFileSync(alone + file);
        assertEquals(code.includes("ZodError"), false, file);
        assertEquals(code.trim() === "", false, `${file} is empty`);
      }
      const { version } = JSON.parse(
        Deno.readTextFileSync(`${ROOT}/deno.json`),
      );
      // An empty DENO_DIR and no way to any server: nothing may be missing.
      const ran = await runToEnd(
        [
          Deno.execPath(),
          "run",
          "-A",
          "--no-remote",
          "rustyrun.js",
          "--version",
        ],
        { cwd: alone, env: { DENO_DIR: `${alone}/deno` } },
      );
      assertEquals([ran.code, ran.stderr], [0, ""]);
      assert(ran.stdout.includes(version), ran.stdout);
      const env = {
        DENO_DIR: `${alone}/deno`,
        PATH: `${Deno.execPath().replace(/\/[^/]*$/, "")}:${
          Deno.env.get("PATH")
        }`,
      };
      // By its first lines, on a terminal: Deno may draw nothing there.
      const typed = await runToEnd(
        [
          "script",
          "-qec",
          "stty rows 31 cols 97; ./rustyrun.js --version",
          "/dev/null",
        ],
        { cwd: alone, env },
      );
      assertEquals(
        [typed.code, typed.stdout.replaceAll("\r", "")],
        [0, ran.stdout],
      );
      // It calls itself as its first lines do: with other flags of V8's, Deno
      // would throw away what it has compiled.
      const text = Deno.readTextFileSync(`${alone}/rustyrun.js`);
      const [, words] = /; exec deno (.*) "\$f"/.exec(text)!;
      const units = await runToEnd(
        ["./rustyrun.js", "serve", "--units", alone],
        { cwd: alone, env },
      );
      assertEquals([units.code, units.stderr], [0, ""]);
      assertStringIncludes(
        Deno.readTextFileSync(`${alone}/rustyrun.service`),
        ` ${words} ${alone}/rustyrun.js serve`,
      );
      // By its first lines through links, one of them relative.
      Deno.mkdirSync(`${alone}/bin`);
      Deno.symlinkSync("../rustyrun.js", `${alone}/bin/rustyrun`);
      Deno.symlinkSync(`${alone}/bin/rustyrun`, `${alone}/bin/again`);
      const linked = await runToEnd(
        ["sh", "-c", "again --version && ./bin/rustyrun spec --bundle bin"],
        { cwd: alone, env: { ...env, PATH: `${alone}/bin:${env.PATH}` } },
      );
      assertEquals(linked, { ...ran, stderr: "" });
      // The same where the current directory was deleted.
      const lost = await runToEnd(
        [
          "sh",
          "-c",
          'mkdir gone && cd gone && rmdir ../gone && "$1/rustyrun.js" spec --bundle "$1" && "$1/rustyrun.js" validate "$1/config.json" && "$1/rustyrun.js" validate config.json',
          "sh",
          alone,
        ],
        { cwd: alone, env },
      );
      assertEquals(
        [lost.code, lost.stdout],
        [1, `${alone}/config.json: valid\n`],
        lost.stderr,
      );
      assertStringIncludes(
        lost.stderr,
        "Cannot find the current directory: it was deleted, may not be entered, or has too long a path",
      );
    } finally {
      Deno.removeSync(dir, { recursive: true });
      Deno.removeSync(alone, { recursive: true });
    }
  },
);

testOn(
  ["cc", "denort", "root", "busybox"],
  "compile.ts writes one executable that runs a container",
  async () => {
    const dir = copyRepository();
    const rootfs = makeRootfs();
    const caches = listCodeCaches();
    const id = `rrtest-compiled-${Deno.pid}`;
    const before = takeSnapshot();
    try {
      const made = await runScript(dir, ["scripts/compile.ts"]);
      assertEquals([made.code, made.stderr], [0, ""]);
      const ran = await runToEnd([
        `${dir}/dist/rustyrun`,
        "run",
        "--rootfs",
        rootfs,
        "--name",
        id,
        "--hostname",
        "my-test-box",
        "--",
        "sh",
        "-c",
        "hostname; exit 7",
      ]);
      assertEquals(ran, {
        code: 7,
        signal: null,
        stdout: "my-test-box\n",
        stderr: "",
      });
      assertEquals(await findLeaks(before, id), []);
      // Nothing of the program may come from a place that others can write.
      assertEquals(listCodeCaches(), caches);
    } finally {
      Deno.removeSync(dir, { recursive: true });
      Deno.removeSync(rootfs, { recursive: true });
    }
  },
);
