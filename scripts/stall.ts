/**
 * Runs a command on a machine that stands still every now and then: all that
 * the command starts, containers included, is frozen for two seconds and more.
 * A test that goes by the clock fails here.
 *
 *     deno task stall deno task test tests/integration/keeper_test.ts
 *
 * Needs root and the freezer: the v1 controller or cgroup v2. Ends with the
 * command's exit code.
 *
 * @module
 */

/** Milliseconds between two stalls, and of one: least and most. */
const RUNS = [20, 900] as const, STANDS = [2100, 2600] as const;

/** A cgroup that can be frozen. */
interface Freezer {
  path: string;
  file: string;
  frozen: string;
  thawed: string;
}

/** Where the freezer is: below the caller's own v1 cgroup, or on v2 at the top. */
function findFreezer(): Freezer {
  const name = `stall-${Deno.pid}`;
  const v1 = "/sys/fs/cgroup/freezer";
  try {
    Deno.statSync(`${v1}/cgroup.procs`);
    return {
      path: `${v1}/${name}`,
      file: "freezer.state",
      frozen: "FROZEN",
      thawed: "THAWED",
    };
  } catch {
    Deno.statSync("/sys/fs/cgroup/cgroup.procs");
  }
  return {
    path: `/sys/fs/cgroup/${name}`,
    file: "cgroup.freeze",
    frozen: "1",
    thawed: "0",
  };
}

const between = ([least, most]: readonly [number, number]) =>
  least + Math.random() * (most - least);

const wait = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Removes a cgroup with what the command has made in it. */
async function remove(path: string): Promise<void> {
  for (const { name, isDirectory } of [...Deno.readDirSync(path)]) {
    if (isDirectory) await remove(`${path}/${name}`);
  }
  // What was killed may need a moment to leave.
  for (let tries = 0;; tries++) {
    try {
      return Deno.removeSync(path);
    } catch (error) {
      if (tries === 100) throw error;
      await wait(50);
    }
  }
}

/** Runs a command that is stopped again and again.
 *
 * @returns its exit code, and how often it was stopped */
async function runStalled(
  argv: readonly string[],
): Promise<{ code: number; stalls: number }> {
  const freezer = findFreezer();
  Deno.mkdirSync(freezer.path);
  const freeze = (word: string) =>
    Deno.writeTextFileSync(`${freezer.path}/${freezer.file}`, word);
  let ended = false;
  let stalls = 0;
  try {
    const child = new Deno.Command("/bin/sh", {
      args: [
        "-c",
        `echo 0 >${freezer.path}/cgroup.procs; exec "$@"`,
        "sh",
        ...argv,
      ],
      stdin: "null",
    }).spawn();
    const status = child.status.finally(() => ended = true);
    while (!ended) {
      await Promise.race([wait(between(RUNS)), status]);
      if (ended) break;
      freeze(freezer.frozen);
      stalls++;
      await wait(between(STANDS));
      freeze(freezer.thawed);
    }
    return { code: (await status).code, stalls };
  } finally {
    freeze(freezer.thawed);
    await remove(freezer.path);
  }
}

if (import.meta.main) {
  if (Deno.args.length === 0) {
    console.error("Cannot run nothing: deno task stall COMMAND ARGS...");
    Deno.exit(2);
  }
  const { code, stalls } = await runStalled(Deno.args);
  console.error(`It stood still ${stalls} times`);
  Deno.exit(code);
}
