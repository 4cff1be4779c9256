/**
 * README.md and docs/using.md as they stand: every block of shell is run, in
 * its order, in a clone of its own.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { ROOT, start, withTerminal } from "./harness.ts";
import { testOn } from "./needs.ts";
import { copyClone } from "./program.ts";

/** The blocks of a document in that language. */
function blocks(file: string, language: string): string[] {
  const text = Deno.readTextFileSync(`${ROOT}/${file}`);
  return [...text.matchAll(/^```(\w*)\n([^]*?)^```$/gm)]
    .filter(([, found]) => found === language).map(([, , code]) => code!);
}

/** A clone, with a home and the programs that a machine may lack. */
function makeClone(): string {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-readme-" });
  Deno.chmodSync(dir, 0o755);
  copyClone(dir, { build: true });
  Deno.mkdirSync(`${dir}/path`);
  Deno.symlinkSync(Deno.execPath(), `${dir}/path/deno`);
  // sudo of root; the terminal of a test has nobody to ask for a password.
  Deno.writeTextFileSync(`${dir}/path/sudo`, '#!/bin/sh\nexec "$@"\n', {
    mode: 0o755,
  });
  return dir;
}

/** Runs shell under a terminal, and leaves each shell that asks with one of
 * `prompts`. */
async function runShell(
  dir: string,
  code: string,
  prompts: readonly string[] = [],
): Promise<string> {
  Deno.writeTextFileSync(
    `${dir}/blocks`,
    `set -e\nshopt -s expand_aliases\nexec 2>&1\n${code}\necho\necho all done\n`,
  );
  const cache = Deno.env.get("DENO_DIR") ??
    `${
      Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME")}/.cache`
    }/deno`;
  const running = start(
    withTerminal(["/bin/bash", `${dir}/blocks`]),
    {
      cwd: dir,
      env: {
        HOME: dir,
        DENO_DIR: cache,
        PATH: `${dir}/path:${Deno.env.get("PATH")}`,
      },
      stdin: "",
      timeout: 300,
    },
  );
  for (const prompt of prompts) {
    await running.waitFor(prompt);
    await running.write("exit\n");
  }
  const { stdout } = await running.done;
  return stdout.replaceAll("\r", "");
}

testOn(
  ["cc", "busybox", "helper", "root", "script"],
  "README.md: every block of shell runs as it stands",
  async () => {
    const dir = makeClone();
    try {
      const [first, ...others] = blocks("README.md", "sh");
      const out = await runShell(dir, [first, ...others].join("\n"), [
        "/ # ",
        "\n# ",
      ]);
      const lines = out.split("\n");
      assertEquals(lines.at(-2), "all done", out);
      assertEquals(lines.includes("my-test-box"), true, out);
      assertEquals(lines.includes("3"), true, out);
      for (
        const file of [
          ".local/share/man/man1/rustyrun.1",
          ".local/share/bash-completion/completions/rustyrun",
        ]
      ) assertEquals(Deno.statSync(`${dir}/${file}`).size > 1000, true, file);
      assertEquals(/^rustyrun: /m.test(out), false, out);

      const using = blocks("docs/using.md", "sh");
      assertEquals(using.length > 0, true);
      const more = await runShell(dir, [first, ...using].join("\n"));
      assertEquals(more.split("\n").at(-2), "all done", more);
      assertEquals(
        JSON.parse(/^\{[^]*^\}/m.exec(more)?.[0] ?? "null").exitCode,
        3,
        more,
      );
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  },
);

Deno.test("README.md: the configuration of Docker is JSON", () => {
  const [text = ""] = blocks("README.md", "json");
  assertEquals(Object.keys(JSON.parse(text).runtimes), ["rustyrun"]);
});

for (const file of ["README.md", "docs/using.md", "SECURITY.md"]) {
  Deno.test(`${file}: no code is broken over two lines`, () => {
    const prose = Deno.readTextFileSync(`${ROOT}/${file}`)
      .replaceAll(/^```[^]*?^```$/gm, "");
    const broken = [...prose.matchAll(/`([^`]*)`/g)].map(([, code]) => code!)
      .filter((code) => code.includes("\n"));
    assertEquals(broken, []);
  });
}

Deno.test("README.md and docs/using.md: every link leads somewhere", () => {
  for (const file of ["README.md", "docs/using.md"]) {
    const text = Deno.readTextFileSync(`${ROOT}/${file}`);
    for (const [, link = ""] of text.matchAll(/\]\(([^)#]+)[^)]*\)/g)) {
      if (link.startsWith("https:")) continue;
      const dir = file.includes("/") ? "docs/" : "";
      assertEquals(Deno.statSync(`${ROOT}/${dir}${link}`).isFile, true, link);
    }
  }
});
