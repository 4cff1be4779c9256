/**
 * Arguments, variables and paths that are no UTF-8: to the kernel they are
 * bytes, and each arrives as it was given. tests/ffi/bytes_test.ts has the
 * pieces.
 *
 * @module
 */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { cliCommand, type CliOptions, makeBox, runToEnd } from "../harness.ts";
import { testOn, USERS } from "../needs.ts";
import { makeCaller, makeSpec, QUIET } from "./caller.ts";

const NEEDS = ["root", "helper", "busybox", "python3"] as const;

const USER = ["user", "userns", "helper", "busybox"] as const;

/** Bytes that are no UTF-8, for a shell, and as octal numbers. */
const X = "x=$(printf 'a\\377\\376b'); ";
const OCTAL = "141 377 376 142";

/** Runs a line of shell, where "$x" are the bytes and "$@" is rustyrun. */
function shell(line: string, options: CliOptions = {}) {
  return runToEnd(
    ["sh", "-c", `${X}${line}`, "sh", ...cliCommand(options)],
    options,
  );
}

/** A command of busybox that prints the bytes of a text of the shell. */
const octal = (text: string) =>
  `printf %s "${text}" | od -An -to1 | xargs echo`;

for (const [user, needs] of [[false, NEEDS], [true, USER]] as const) {
  const who = user ? "a user" : "root";
  testOn(
    needs,
    `bytes: arguments, variables, paths and a root, as ${who}`,
    async () => {
      await using box = makeBox({ user });
      const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-bytes-" });
      try {
        if (user) Deno.chownSync(dir, USERS.single, USERS.single);
        const { code, stdout, stderr } = await shell(
          `mkdir "${dir}/$x" && echo in >"${dir}/$x/$x" &&
        ln -s ${box.rootfs} "${dir}/r$x" && env "W=$x" "$x=1" \\
        "$@" --root "${dir}/s$x" run --rootfs "${dir}/r$x" --name ${box.id} \\
        -e "V=$x" -e W -v "${dir}/$x:/v$x" --workdir "/v$x" -- \\
        sh -c '${octal("$1")}; ${octal("$V")}; ${
            octal("$W")
          }; pwd | od -An -to1 | xargs echo; cat "$1"' sh "$x"`,
          { user },
        );
        assertEquals([code, stderr], [0, ""]);
        assertEquals(
          stdout,
          `${OCTAL}\n${OCTAL}\n${OCTAL}\n057 166 ${OCTAL} 012\nin\n`,
        );
      } finally {
        Deno.removeSync(dir, { recursive: true });
      }
    },
  );
}

testOn(["helper"], "bytes: what is printed shows them as \\xff", async () => {
  const { code, stdout } = await shell(
    `"$@" run --rootfs / --ephemeral --explain --tmpfs "/$x" -- true`,
  );
  assertEquals(code, 0);
  assertStringIncludes(stdout, "/a\\xff\\xfeb");
});

testOn(
  NEEDS,
  "bytes: a root, a bundle, a pid file and a log, through a whole life",
  async () => {
    await using caller = makeCaller({ process: { args: ["sleep", "1000"] } });
    const { id, dir, bundle } = caller;
    // In a function of the shell "$@" are its own words.
    const words = cliCommand().map((it) => `'${it}'`).join(" ");
    const { code, stdout, stderr } = await shell(
      `cd "${dir}" && mkdir "$x" && cp -r "${bundle}" "$x/b$x" && cd "$x/b$x" &&
    r="${dir}/$x/state$x"
    rr() { ${words} --root "$r" --log "${dir}/$x/log$x" "$@"; }
    rr create --pid-file "pid$x" ${id} </dev/null >/dev/null &&
    [ "$(cat "pid$x")" -gt 1 ] && rr start ${id} &&
    rr exec --cwd / -e "V=$x" ${id} sh -c '${octal("$V")}' &&
    rr list -q && rr state ${id} && rr pause ${id} && rr resume ${id} &&
    rr update --pids-limit 50 ${id} && rr events --stats ${id} >/dev/null &&
    rr delete --force ${id} && [ -z "$(ls "$r")" ] && [ -f "${dir}/$x/log$x" ]`,
    );
    assertEquals([code, stderr], [0, ""]);
    const [bytes, listed, ...rest] = stdout.split("\n");
    assertEquals([bytes, listed], [OCTAL, id]);
    const end = rest.indexOf("}");
    const state = JSON.parse(rest.slice(0, end + 1).join("\n"));
    assertEquals(
      state.bundle,
      `${Deno.realPathSync(dir)}/a\udcff\udcfeb/ba\udcff\udcfeb`,
    );
  },
);

testOn(
  NEEDS,
  "bytes: a hook gets the bundle and its variables",
  async () => {
    await using caller = makeCaller();
    const out = `${caller.dir}/hook`;
    caller.write(makeSpec(caller.id, {
      process: { args: ["true"] },
      hooks: {
        prestart: [{
          path: "/bin/sh",
          args: ["sh", "-c", `cat >${out}; ${octal("$V")} >>${out}`],
          env: ["PATH=/usr/bin:/bin", "V=a\udcff\udcfeb"],
        }],
      },
    }));
    const { code, stderr } = await shell(
      `cp -r "${caller.bundle}" "${caller.dir}/$x" && cd "${caller.dir}/$x" &&
    "$@" --root ${caller.root} run ${caller.id}`,
    );
    assertEquals([code, stderr], [0, ""]);
    const text = Deno.readTextFileSync(out);
    assertStringIncludes(text, "a\\udcff\\udcfeb");
    assertStringIncludes(text, OCTAL);
  },
);

testOn(
  NEEDS,
  "bytes: a configuration that is no UTF-8 is an error with its place",
  async () => {
    await using caller = makeCaller({ process: { args: ["true"] } });
    const path = `${caller.bundle}/config.json`;
    const text = Deno.readTextFileSync(path);
    const at = new TextEncoder().encode(text.replace('"true"', '"tr\\ue"'));
    at[at.indexOf("\\".charCodeAt(0))] = 0xff;
    Deno.writeFileSync(path, at);
    const { code, stderr } = await caller.callBare([
      "run",
      "--bundle",
      caller.bundle,
      caller.id,
    ]);
    assertEquals(code, 1);
    assertStringIncludes(stderr, "the byte 0xff is no UTF-8");
  },
);

testOn(NEEDS, "bytes: an escape in a configuration is the byte", async () => {
  await using caller = makeCaller({
    process: { args: ["sh", "-c", octal("$1"), "sh", "a\udcff\udcfeb"] },
  });
  const { code, stdout } = await caller.callBare([
    "run",
    "--bundle",
    caller.bundle,
    caller.id,
  ]);
  assertEquals([code, stdout], [0, `${OCTAL}\n`]);
});

testOn(
  NEEDS,
  "bytes: a cgroup below the container's, where its process is",
  async () => {
    await using caller = makeCaller();
    const { id, root } = caller;
    const { code } = await caller.hold([
      "create",
      "--bundle",
      caller.bundle,
      id,
    ]);
    assertEquals(code, 0, Deno.readTextFileSync(caller.log));
    await caller.call(["start", id]);
    const state = JSON.parse(Deno.readTextFileSync(`${root}/${id}/state.json`));
    const dirs: { version: number; controllers: string[]; path: string }[] =
      state.cgroup.dirs;
    // Those by which processes are found, frozen and killed.
    const paths = dirs.filter((it) =>
      it.version === 2 ||
      ["devices", "pids", "freezer"].some((name) =>
        it.controllers.includes(name)
      )
    ).map((it) => it.path);
    const moved = await shell(
      `for it in ${paths.join(" ")}; do
        mkdir "$it/$x" && echo ${state.pid} >"$it/$x/cgroup.procs" || exit 1
      done`,
    );
    assertEquals([moved.code, moved.stderr], [0, ""]);
    const listed = await caller.call(["ps", "--format", "json", id]);
    assertEquals(JSON.parse(listed.stdout), [state.pid]);
    assertEquals(await caller.call(["pause", id]), QUIET);
    assertEquals(await caller.call(["resume", id]), QUIET);
    assertEquals(await caller.call(["kill", "--all", id, "KILL"]), QUIET);
    await caller.waitFor("stopped");
    assertEquals(await caller.call(["delete", id]), QUIET);
  },
);
