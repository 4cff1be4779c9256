/**
 * A user with subordinate ids that newuidmap(1) does not want to give it. The
 * files that say so lie over the host's in a mount namespace of the test.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { type Box, cliCommand, makeBox, runToEnd } from "../harness.ts";
import { asUser, findProgram, testOn, USERS } from "../needs.ts";

const NEEDS = ["helper", "busybox", "root", "userns", "newuidmap"] as const;
const ID = USERS.single;

/** What lies over /etc. */
interface Files {
  /** The group of the login. */
  gid: number;
  /** A line more of /etc/login.defs. */
  defs?: string;
}

/** Runs a container as a user with 1,000 subordinate ids from 200000 on. */
async function runAs(box: Box, files: Files, args: readonly string[]) {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-etc-" });
  const defs = (() => {
    try {
      return Deno.readTextFileSync("/etc/login.defs");
    } catch {
      return undefined;
    }
  })();
  const passwd = Deno.readTextFileSync("/etc/passwd");
  const texts: Record<string, string | undefined> = {
    passwd: `${passwd}rrtest:x:${ID}:${files.gid}::/:/bin/sh\n`,
    subuid: "rrtest:200000:1000\n",
    subgid: "rrtest:200000:1000\n",
    "login.defs": defs && `${defs}\n${files.defs ?? ""}\n`,
  };
  const lines: string[] = [];
  for (const [name, text] of Object.entries(texts)) {
    if (text === undefined) continue;
    Deno.writeTextFileSync(`${dir}/${name}`, text);
    Deno.chmodSync(`${dir}/${name}`, 0o644);
    lines.push(`mount --bind ${dir}/${name} /etc/${name}`);
  }
  // HOME and DENO_DIR of that user.
  const { stdout } = await runToEnd(["env"], { user: true });
  const env = Object.fromEntries(
    stdout.trim().split("\n").map((it) => it.split(/=(.*)/s).slice(0, 2)),
  );
  try {
    return await runToEnd([
      findProgram("unshare") ?? "unshare",
      "-m",
      "sh",
      "-c",
      [...lines, 'exec "$@"'].join(" && "),
      "sh",
      ...asUser([
        ...cliCommand({ user: true }),
        "run",
        "--rootfs",
        box.rootfs,
        "--name",
        box.id,
        ...args,
      ]),
    ], { env });
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

const MAP = ["--", "sh", "-c", "echo $(cat /proc/self/uid_map)"];

testOn(
  NEEDS,
  "run maps a single id in another group than the login's",
  async () => {
    await using box = makeBox({ user: true });
    assertEquals(await runAs(box, { gid: ID + 1 }, MAP), {
      code: 0,
      signal: null,
      stdout: `0 ${ID} 1\n`,
      stderr: "",
    });
  },
);

testOn(NEEDS, "run maps a range where login.defs lets it", async () => {
  await using box = makeBox({ user: true });
  const defs = "GRANT_AUX_GROUP_SUBIDS yes";
  assertEquals(await runAs(box, { gid: ID + 1, defs }, MAP), {
    code: 0,
    signal: null,
    stdout: `0 ${ID} 1 1 200000 1000\n`,
    stderr: "",
  });
});

testOn(NEEDS, "run says whose group newuidmap wants", async () => {
  await using box = makeBox({ user: true });
  const args = ["--userns", "0:200000:10", ...MAP];
  assertEquals(await runAs(box, { gid: ID + 1 }, args), {
    code: 125,
    signal: null,
    stdout: "",
    stderr:
      `rustyrun: Cannot map more than the caller's own id: newuidmap and newgidmap want the group of its login, ${
        ID + 1
      }, and it is in ${ID}
  hint: Call rustyrun in that group (newgrp, sg), map a single id, or let root set GRANT_AUX_GROUP_SUBIDS to yes in /etc/login.defs
`,
  });
});

testOn(NEEDS, "run says in one error what newgidmap says", async () => {
  await using box = makeBox({ user: true });
  const args = ["--userns", "0:300000:10", ...MAP];
  assertEquals(await runAs(box, { gid: ID }, args), {
    code: 125,
    signal: null,
    stdout: "",
    stderr:
      `rustyrun: Cannot write the id maps of the user namespace: newgidmap: gid range [0-10) -> [300000-300010) not allowed
  hint: /etc/subuid and /etc/subgid must give the ids to this user, in the user namespace that it is in; rustyrun doctor shows what it has
`,
  });
});
