/**
 * install.sh against a file server on this machine: a good release, and every
 * way in which one can be wrong.
 *
 * @module
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { ROOT } from "./harness.ts";

const FILE = `rustyrun-${Deno.build.arch}`;
const FRONT = `rustyrun-front-${Deno.build.arch}`;
const PROGRAM = new TextEncoder().encode("#!/bin/sh\necho rustyrun\n");
const SMALL = new TextEncoder().encode("#!/bin/sh\necho front\n");

/** What a server answers by file name; a file that is not there is a 404. */
type Release = Record<string, Uint8Array<ArrayBuffer> | string>;

async function sum(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes)).toHex();
}

/** Serves a release, runs install.sh with an empty prefix, and says what it
 * left there. */
async function install(
  release: Release,
  before?: string,
  words: string[] = [],
) {
  await using server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen() {} },
    (request) => {
      const file = release[new URL(request.url).pathname.slice(1)];
      return file === undefined
        ? new Response("none", { status: 404 })
        : new Response(file);
    },
  );
  const prefix = Deno.makeTempDirSync({ prefix: "rustyrun-test-install-" });
  try {
    if (before !== undefined) {
      Deno.mkdirSync(`${prefix}/bin`);
      Deno.writeTextFileSync(`${prefix}/bin/rustyrun`, before);
    }
    const { code, stdout, stderr } = await new Deno.Command("/bin/sh", {
      args: [`${ROOT}/install.sh`, ...words],
      clearEnv: true,
      env: {
        PATH: Deno.env.get("PATH") ?? "/usr/bin:/bin",
        HOME: prefix,
        TMPDIR: prefix,
        RUSTYRUN_PREFIX: prefix,
        RUSTYRUN_BASE_URL: `http://127.0.0.1:${server.addr.port}`,
      },
    }).output();
    const decoder = new TextDecoder();
    const list = (dir: string): string[] =>
      [...Deno.readDirSync(`${prefix}${dir}`)].flatMap((entry) => [
        `${dir}/${entry.name}`.slice(1),
        ...(entry.isDirectory ? list(`${dir}/${entry.name}`) : []),
      ]);
    const left = list("").sort();
    const read = (name: string) =>
      left.includes(name)
        ? Deno.readTextFileSync(`${prefix}/${name}`)
        : undefined;
    return {
      code,
      stdout: decoder.decode(stdout).replaceAll(prefix, "PREFIX"),
      stderr: decoder.decode(stderr),
      left,
      text: read("bin/rustyrun"),
      full: read("lib/rustyrun/rustyrun"),
      modes: left.filter((it) => it.endsWith("/rustyrun"))
        .map((it) => Deno.statSync(`${prefix}/${it}`))
        .filter((it) => it.isFile).map((it) => it.mode! & 0o777),
    };
  } finally {
    Deno.removeSync(prefix, { recursive: true });
  }
}

Deno.test("install.sh installs the executable and the front of a good release", async () => {
  const [digest, small] = [await sum(PROGRAM), await sum(SMALL)];
  const other = "0".repeat(64);
  const end = await install({
    [FILE]: PROGRAM,
    [FRONT]: SMALL,
    SHA256SUMS:
      `${other}  rustyrun-other\n${digest}  ${FILE}\n${small}  ${FRONT}\n${other}  ${FILE}.old\n`,
  }, "the old one");
  assertEquals(end, {
    code: 0,
    stdout:
      "Installed PREFIX/bin/rustyrun\n  hint: PREFIX/bin is not in PATH\n",
    stderr: "",
    left: [
      "bin",
      "bin/rustyrun",
      "lib",
      "lib/rustyrun",
      "lib/rustyrun/rustyrun",
    ],
    text: new TextDecoder().decode(SMALL),
    full: new TextDecoder().decode(PROGRAM),
    modes: [0o755, 0o755],
  });
});

for (
  const { name, release, why, noise } of [
    {
      name: "a tampered executable",
      release: async () => ({
        [FILE]: "#!/bin/sh\necho owned\n",
        SHA256SUMS: `${await sum(PROGRAM)}  ${FILE}\n`,
      }),
      why:
        `the checksum of ${FILE} is wrong: the download is damaged, or is not what was released`,
    },
    {
      name: "half an executable",
      release: async () => ({
        [FILE]: PROGRAM.slice(0, 9),
        SHA256SUMS: `${await sum(PROGRAM)}  ${FILE}\n`,
      }),
      why:
        `the checksum of ${FILE} is wrong: the download is damaged, or is not what was released`,
    },
    {
      name: "a release whose SHA256SUMS lacks the file",
      release: async () => ({
        [FILE]: PROGRAM,
        SHA256SUMS: `${await sum(PROGRAM)}  ${FILE}.old\n`,
      }),
      why: `SHA256SUMS does not name ${FILE}`,
    },
    {
      name: "a release without the front",
      release: async () => ({
        [FILE]: PROGRAM,
        SHA256SUMS: `${await sum(PROGRAM)}  ${FILE}\n${await sum(
          SMALL,
        )}  ${FRONT}\n`,
      }),
      why: `cannot download URL/${FRONT}`,
      noise: true,
    },
    {
      name: "a tampered front",
      release: async () => ({
        [FILE]: PROGRAM,
        [FRONT]: PROGRAM,
        SHA256SUMS: `${await sum(PROGRAM)}  ${FILE}\n${await sum(
          SMALL,
        )}  ${FRONT}\n`,
      }),
      why:
        `the checksum of ${FRONT} is wrong: the download is damaged, or is not what was released`,
    },
    {
      name: "an empty SHA256SUMS",
      release: () => ({ [FILE]: PROGRAM, SHA256SUMS: "" }),
      why: `SHA256SUMS does not name ${FILE}`,
    },
    {
      name: "a release without SHA256SUMS",
      release: () => ({ [FILE]: PROGRAM }),
      why: "cannot download URL/SHA256SUMS",
      noise: true,
    },
    {
      name: "a release without the executable",
      release: async () => ({ SHA256SUMS: `${await sum(PROGRAM)}  ${FILE}\n` }),
      why: `cannot download URL/${FILE}`,
      noise: true,
    },
  ] as {
    name: string;
    release: () => Release | Promise<Release>;
    why: string;
    /** curl or wget says something of its own before. */
    noise?: boolean;
  }[]
) {
  Deno.test(`install.sh refuses ${name} and leaves the old one`, async () => {
    const end = await install(await release(), "the old one");
    const lines = end.stderr.replace(/http:\/\/127\.0\.0\.1:\d+/g, "URL")
      .trimEnd().split("\n");
    assertEquals(lines.at(-1), `rustyrun: Cannot install: ${why}`);
    if (!noise) assertEquals(lines.length, 1);
    assertEquals(
      [end.code, end.stdout, end.left, end.text],
      [1, "", ["bin", "bin/rustyrun"], "the old one"],
    );
  });
}

for (const words of [["--help"], ["-h"]]) {
  Deno.test(`install.sh ${words} prints how it is used, and installs nothing`, async () => {
    const end = await install({}, undefined, words);
    assertEquals([end.code, end.stderr, end.left], [0, "", []]);
    assertEquals(end.stdout.split("\n")[0], "Usage: sh install.sh");
    for (const name of ["VERSION", "PREFIX", "BASE_URL"]) {
      assertStringIncludes(end.stdout, `  RUSTYRUN_${name}=`);
    }
  });
}

for (const words of [["--bogus"], ["v0.1.0"], [""], ["--help", "x"]]) {
  Deno.test(`install.sh refuses the words ${JSON.stringify(words)}`, async () => {
    const end = await install({}, undefined, words);
    assertEquals([end.code, end.stdout, end.left], [1, "", []]);
    assertEquals(
      end.stderr,
      `rustyrun: Cannot install: it takes no words, and "${
        words[0]
      }" is one: sh install.sh --help\n`,
    );
  });
}
