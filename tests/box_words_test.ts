/**
 * The engine's texts in the words of the library: none names a flag that an option
 * stands for.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { wordForProgram } from "../mod/box/words.ts";
import { execFlags, runFlags } from "../mod/cli/flag_lists.ts";
import { readRow } from "../mod/cli/flag_row.ts";
import { globalFlags } from "../mod/cli/flags.ts";
import { ROOT } from "./harness.ts";

for (
  const [text, want] of [
    ["Give it more: --memory", "Give it more: `memory`"],
    ["choose another --user", "choose another `user`"],
    [
      "Add --ephemeral to throw every change away, or --read-only to allow none",
      "Add `ephemeral` to throw every change away, or `readOnly` to allow none",
    ],
    ["it is --ephemeral=DIR", "it is `ephemeral: DIR`"],
    [
      "or name them: --userns 0:100000:65536, or not (--userns auto): see",
      'or name them: `userns: "0:100000:65536"`, or not (`userns: "auto"`): see',
    ],
    [
      "Write --volume ./data:/data:ro, or --mount type=bind,src=SRC,dst=DST",
      'Write `volumes: ["./data:/data:ro"]`, or `mounts: ["type=bind,src=SRC,dst=DST"]`',
    ],
    [
      "Write --env NAME=VALUE, or --env NAME to pass the caller's",
      "Write `env: { NAME: VALUE }`, or `env: { NAME: undefined }` to pass the caller's",
    ],
    [
      "Write --sysctl net.ipv4.ip_forward=1: or --ulimit nproc",
      'Write `sysctls: { "net.ipv4.ip_forward": "1" }`: or `ulimits.nproc`',
    ],
    [
      "Name a directory of your own: rustyrun --root DIR",
      "Name a directory of your own: `stateDir: DIR`",
    ],
    ["rustyrun doctor shows what", "doctor() shows what"],
    ["rustyrun resume box-1", "resume() lets it go on"],
    [
      'Cannot run a process in "a": cannot exec in a paused container (use --ignore-paused to override)',
      'Cannot run a process in "a": cannot exec in a paused container',
    ],
    [
      'Cannot use "memorySwap: "1g"": it needs --memory',
      'Cannot use `memorySwap: "1g"`: it needs `memory`',
    ],
    [
      'Cannot use "volumes: "/a\\"b"": it is "--user"',
      'Cannot use `volumes: "/a\\"b"`: it is "--user"',
    ],
    // What the caller wrote, and what other programs are called with.
    ['Cannot find "ls --user x": --user', 'Cannot find "ls --user x": `user`'],
    ['Cannot use "\\"--user": it', 'Cannot use "\\"--user": it'],
    [
      "start that one with --security-opt seccomp=unconfined",
      "start that one with --security-opt seccomp=unconfined",
    ],
    [
      "as systemd-run --user --scope gives it",
      "as systemd-run --user --scope gives it",
    ],
    ["Leave --detach out", "Leave --detach out"],
  ] as const
) {
  Deno.test(`wordForProgram() of ${text}`, () => {
    assertEquals(wordForProgram(text), want);
  });
}

/** Flags that stay in a text, by its file: no option stands for them, or it is
 * another program's. */
const STAY: Record<string, { flags: string[]; why: string }> = {
  "mod/cgroups/join.ts": { flags: ["cgroup"], why: "no option joins one" },
  "mod/cgroups/placement.ts": { flags: ["user"], why: "systemd-run's" },
  "mod/cgroups/systemd/enter.ts": { flags: ["user"], why: "systemd-run's" },
  "mod/config/flags/bounds.ts": {
    flags: ["detach", "timeout"],
    why: "the library has its own",
  },
  "mod/config/flags/result_fd.ts": {
    flags: ["result-fd"],
    why: "a run is awaited",
  },
  "mod/config/from_flags.ts": {
    flags: ["console-socket"],
    why: "there is no terminal",
  },
  "mod/config/load.ts": { flags: ["bundle"], why: "no option reads one" },
  "mod/container/launch/serve.ts": {
    flags: ["pid-file"],
    why: "started is the pid",
  },
  "mod/container/properties/activation.ts": {
    flags: ["preserve-fds"],
    why: "no option passes them on",
  },
  "mod/container/properties/handover.ts": {
    flags: ["console-socket"],
    why: "there is no terminal",
  },
  "mod/container/wait.ts": { flags: ["keep", "rm"], why: "a sandbox goes" },
  "mod/doctor.ts": {
    flags: ["cap-add", "security-opt"],
    why: "of the container that this program is in",
  },
  "mod/doctor/userns.ts": {
    flags: ["security-opt"],
    why: "of the container that this program is in",
  },
  "mod/failure/namespaces.ts": {
    flags: ["security-opt", "user"],
    why: "of the container that this program is in; systemd-run's",
  },
};

const OURS = new Set(
  [...runFlags(), ...execFlags(), ...globalFlags()].map(readRow)
    .map((it) => it.name),
);

function listFiles(dir: string): string[] {
  return [...Deno.readDirSync(`${ROOT}/${dir}`)].flatMap(({ name, ...it }) =>
    it.isDirectory ? listFiles(`${dir}/${name}`) : [`${dir}/${name}`]
  );
}

/** The texts of a file that name a flag of ours. */
function readTexts(file: string): string[] {
  const code = Deno.readTextFileSync(`${ROOT}/${file}`)
    .replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "");
  return [...code.matchAll(/"((?:[^"\\\n]|\\.)*)"|`((?:[^`\\]|\\.)*)`/g)]
    .map(([, plain, template]) => plain ?? template ?? "")
    .filter((it) => flagsIn(it).length > 0);
}

function flagsIn(text: string): string[] {
  return [...text.matchAll(/(?<![\w-])--([a-z][a-z-]*)/g)]
    .map(([, name = ""]) => name).filter((it) => OURS.has(it));
}

Deno.test("no text of the engine names a flag to a program that has an option", () => {
  const files = listFiles("mod").filter((it) =>
    !/^mod\/(?:cli|serve|box)\//.test(it)
  );
  const left: Record<string, string[]> = {};
  let texts = 0;
  for (const file of files) {
    const flags = readTexts(file).flatMap((text) => {
      texts++;
      // A template's value stands in quotes or for itself.
      return flagsIn(wordForProgram(text));
    });
    if (flags.length > 0) left[file] = [...new Set(flags)].sort();
  }
  assertEquals(
    left,
    Object.fromEntries(
      Object.entries(STAY).map(([file, { flags }]) => [file, flags]),
    ),
  );
  assertEquals(texts > 50, true, `${texts}`);
});
