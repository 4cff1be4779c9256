/**
 * Shows the main job: builds the helper if it is missing, runs a container from
 * this machine's own root file system under a throw-away overlay, and asks the
 * same questions inside and outside. Exit code 1 when the answers do not differ
 * as they should, or when nothing can run here.
 *
 * @module
 */

import { BuildError, buildPrograms, ROOT } from "./build.ts";
import { refuseArguments } from "./output.ts";

const HOSTNAME = "my-test-box";
const LIMITS = ["--memory", "256m", "--pids-limit", "64", "--cpus", "0.5"];

/** Asked inside and outside; prints "name=value" lines. $1 is a file to delete. */
const QUESTIONS = `
echo hostname=$(cat /proc/sys/kernel/hostname)
echo pid=$$
set -- "$1" /proc/[0-9]*
echo processes=$(($# - 1))
echo mounts=$(grep -c . /proc/self/mountinfo)
echo network=$(sed -n 's/^ *\\([^ :]*\\):.*/\\1/p' /proc/net/dev)
echo user=$(id -u)
while read -r key value rest; do
  case $key in CapEff:|Seccomp:|NoNewPrivs:) echo $key$value ;; esac
done </proc/self/status
limit() {
  own=$(sed -n "s/^[0-9]*:[^:]*\\b$1\\b[^:]*://p" /proc/self/cgroup)
  if [ -n "$own" ]; then cat "/sys/fs/cgroup/$1$own/$2"
  else cat "/sys/fs/cgroup$(sed -n 's/^0:://p' /proc/self/cgroup)/$3"; fi 2>/dev/null
}
echo memory=$(limit memory memory.limit_in_bytes memory.max)
echo pids=$(limit pids pids.max pids.max)
echo cpu=$(limit cpu cpu.cfs_quota_us cpu.max)
if [ -n "$1" ]; then rm -f "$1"; if [ -e "$1" ]; then echo file=kept; else echo file=deleted; fi; fi
`;

interface Ran {
  code: number;
  stdout: string;
  stderr: string;
}

function run(command: readonly string[]): Ran {
  const [program, ...args] = command;
  const { code, stdout, stderr } = new Deno.Command(program!, { args })
    .outputSync();
  const decoder = new TextDecoder();
  return {
    code,
    stdout: decoder.decode(stdout),
    stderr: decoder.decode(stderr).trimEnd(),
  };
}

function rustyrun(...args: string[]): Ran {
  return run([Deno.execPath(), "run", "-A", `${ROOT}main.ts`, ...args]);
}

/** The answers; `cap` and `limit` in words. */
function readAnswers(text: string): Map<string, string> {
  const answers = new Map(
    text.trim().split("\n").map((line) => {
      const at = line.search(/[=:]/);
      return [line.slice(0, at), line.slice(at + 1).trim()];
    }),
  );
  const caps = BigInt(`0x${answers.get("CapEff") ?? "0"}`).toString(2)
    .replaceAll("0", "").length;
  const number = (key: string) => Number(answers.get(key)?.split(" ")[0]);
  const memory = number("memory");
  const cpu = number("cpu");
  answers.set(
    "rights",
    `uid ${answers.get("user")}, ${caps} capabilities`,
  );
  answers.set(
    "filter",
    answers.get("Seccomp") === "2" ? "system calls filtered" : "none",
  );
  // v1's "no limit" is a number near 2^63.
  answers.set(
    "limits",
    [
      memory > 0 && memory < 2 ** 60 ? `${memory / 2 ** 20} MiB` : "",
      number("pids") > 0 ? `${number("pids")} processes` : "",
      cpu > 0 ? `${cpu / 1e5} CPU` : "",
    ].filter(Boolean).join(", ") || "none",
  );
  return answers;
}

/** A file of ours that the overlay shows: as root on the same file system as
 * "/" (what is mounted below it is not part of the overlay); else right in a
 * directory of "/" (below it, one of an id that the user has not cannot be
 * changed), or in a place of the user's own. */
function makeFile(isRoot: boolean): string {
  const root = Deno.statSync("/").dev;
  const home = Deno.env.get("HOME") ?? "/";
  const places = isRoot ? ["/var/tmp", home, ROOT] : ["/tmp", home, ROOT];
  for (const dir of places) {
    try {
      if (isRoot && Deno.statSync(dir).dev !== root) continue;
      const path = Deno.makeTempFileSync({ dir, prefix: "rustyrun-demo-" });
      Deno.writeTextFileSync(path, "still here\n");
      return path;
    } catch {
      // Not ours to write.
    }
  }
  return "";
}

function exists(path: string): boolean {
  try {
    return Deno.statSync(path).isFile;
  } catch {
    return false;
  }
}

/** Indents every line. */
function indent(text: string): string {
  return text.replace(/^/gm, "  ");
}

function printRow(name: string, outside: string, inside: string): void {
  const cut = (text: string) =>
    text.length > 28 ? `${text.slice(0, 25)}...` : text;
  console.log(`  ${name.padEnd(14)}${cut(outside).padEnd(30)}${inside}`);
}

function demo(): number {
  buildPrograms();
  const isRoot = Deno.uid() === 0;
  const file = makeFile(isRoot);
  const command = ["--", "/bin/sh", "-c", QUESTIONS, "sh"];
  // Most first: what a user may have depends on the machine.
  const attempts = [
    ["--ephemeral", ...LIMITS],
    ...(isRoot ? [] : [["--ephemeral"], ["--read-only"]]),
  ];
  const refused: string[] = [];
  try {
    for (const flags of attempts) {
      const line = ["run", "--rootfs", "/", "--hostname", HOSTNAME, ...flags];
      const deletes = file !== "" && flags[0] === "--ephemeral";
      const ran = rustyrun(...line, ...command, deletes ? file : "");
      if (ran.code === 0) {
        for (const text of refused) {
          console.log(`Not for this user:\n${indent(text)}\n`);
        }
        return report(line, ran, deletes ? file : "");
      }
      refused.push(ran.stderr);
    }
  } finally {
    if (file !== "") Deno.removeSync(file);
  }
  console.log(
    `No container can run here:\n${indent(refused.at(-1) ?? "")}\n`,
  );
  const doctor = rustyrun("doctor");
  console.log(doctor.stdout.trimEnd() || doctor.stderr);
  return 1;
}

/** Returns the words that start Deno the way this Deno was started: who came by
 * npx has no "deno" to type. */
function nameDeno(): string {
  const path = Deno.execPath();
  // npx puts a directory of its own into PATH, for as long as it runs.
  const found = Deno.env.get("PATH")?.split(":").some((dir) =>
    dir !== "" && !dir.includes("/_npx/") && exists(`${dir}/deno`)
  );
  if (found) return "deno";
  return path.includes("/_npx/") ? `npx -y deno@${Deno.version.deno}` : path;
}

/** Prints what was asked inside and outside, and says whether it is right. */
function report(line: readonly string[], ran: Ran, file: string): number {
  const inside = readAnswers(ran.stdout);
  const outside = readAnswers(
    run(["/bin/sh", "-c", QUESTIONS, "sh", ""]).stdout,
  );
  console.log(
    "A container made of this machine's own files; what it changes is thrown away.\n",
  );
  console.log(`  $ rustyrun ${line.join(" ")} -- sh -c '...'\n`);
  printRow("", "outside", "inside");
  for (
    const [name, key] of [
      ["hostname", "hostname"],
      ["pid", "pid"],
      ["processes", "processes"],
      ["mounts", "mounts"],
      ["network", "network"],
      ["rights", "rights"],
      ["seccomp", "filter"],
      ["limits", "limits"],
    ] as const
  ) printRow(name, outside.get(key) ?? "?", inside.get(key) ?? "?");
  if (file !== "") {
    printRow(
      "a file",
      exists(file) ? "still there" : "GONE",
      inside.get("file") ?? "?",
    );
    console.log(
      inside.get("file") === "deleted"
        ? `\n  The file is ${file}: deleted inside, and nothing happened to it outside.`
        : `\n  The file is ${file}: not even the container may delete it:\n${
          indent(indent(ran.stderr))
        }`,
    );
  }
  const wrong = [
    inside.get("hostname") !== HOSTNAME &&
    "the hostname is not the container's",
    inside.get("pid") !== "1" && "the command is not pid 1",
    inside.get("network") !== "lo" && "the network is not the container's",
    inside.get("NoNewPrivs") !== "1" && "no_new_privs is not set",
    inside.get("filter") === "none" && "no seccomp filter is in force",
    line.includes("--memory") &&
    inside.get("limits") !== "256 MiB, 64 processes, 0.5 CPU" &&
    "the limits are not in force",
    file !== "" && !exists(file) && "the overlay does not hold",
    file !== "" && Deno.uid() === 0 && inside.get("file") !== "deleted" &&
    "root cannot delete a file in the overlay",
  ].filter((text) => text !== false);
  for (const text of wrong) console.error(`rustyrun: Demo failed: ${text}`);
  if (wrong.length > 0) return 1;
  if (Deno.uid() !== 0) {
    const isV2 = exists("/sys/fs/cgroup/cgroup.controllers");
    console.log(
      "\n  Root in there is you out here. Limits need root" +
        (isV2
          ? ", or a cgroup that is\n  delegated to you (systemd-run --user --scope -p Delegate=yes ...)."
          : ": this machine\n  has cgroup v1, which is not handed to users."),
    );
  }
  console.log(
    `\n  Next: ${nameDeno()} run -A main.ts run --rootfs / --ephemeral -it`,
  );
  return 0;
}

if (import.meta.main) {
  try {
    refuseArguments("show the demo", "deno task demo");
    Deno.exit(demo());
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(error.message);
    Deno.exit(1);
  }
}
