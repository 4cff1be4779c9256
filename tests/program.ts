/**
 * The program under test, for root and for an unprivileged user: the bundle
 * (dist/rustyrun.js and what lies beside it) where it is newer than its sources, as `deno task test`
 * makes it, else `deno run -A main.ts`. RUSTYRUN_WARM puts a front with a warm
 * engine before it, for its own user, RUSTYRUN_FRONT one that there is already.
 * RUSTYRUN_BIN names another program: an
 * executable, or a .js bundle.
 *
 * @module
 */

import { denoWords } from "../mod/program.ts";
import {
  isFrontAlone,
  isWarm,
  lineOf,
  serveApart,
  serveNobody,
  serveWarm,
} from "./warm_program.ts";
import { asUser, isFile, type User, USERS } from "./needs.ts";

/** The repository's root, without a slash at the end. */
export const ROOT = `${import.meta.dirname}`.replace(/\/tests$/, "");

/** What an unprivileged user runs. */
export interface Places {
  deno: string;
  home: string;
  cache: string;
}

const placesOf = new Map<User, Places>();

/** The user that `options` ask for, when we have to become it. */
export function otherUser(user: boolean | User | undefined): User | undefined {
  if (!user || Deno.uid() !== 0) return undefined;
  return user === true ? "single" : user;
}

/** Deno, HOME and DENO_DIR for an unprivileged user. */
export function findPlaces(user: User): Places {
  const known = placesOf.get(user);
  if (known) return known;
  const home = Deno.makeTempDirSync({ prefix: "rustyrun-test-home-" });
  addEventListener("unload", () => Deno.removeSync(home, { recursive: true }));
  Deno.chmodSync(home, 0o755);
  const cache = `${home}/cache`;
  Deno.mkdirSync(cache);
  Deno.chownSync(cache, USERS[user], USERS[user]);
  Deno.chownSync(home, USERS[user], USERS[user]);
  const deno = bringNear(Deno.execPath(), home, user);
  const places = { deno, home, cache };
  placesOf.set(user, places);
  return places;
}

const near = new Map<string, string>();

/** A file that an unprivileged user may read: the clone or Deno itself may lie
 * in somebody's private home, and then a copy serves. */
function bringNear(path: string, home: string, user: User): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  const known = near.get(`${home}/${name}`);
  if (known !== undefined) return known;
  let found = path;
  if (!mayRead(path, user)) {
    found = `${home}/${name}`;
    Deno.copyFileSync(path, found);
    Deno.chmodSync(found, 0o755);
  }
  near.set(`${home}/${name}`, found);
  return found;
}

/** The same for a bundle, with all that lies beside it. */
function bringBundle(path: string, home: string, user: User): string {
  if (mayRead(path, user)) return path;
  const found = `${home}/bundle`;
  if (!isFile(`${found}/rustyrun.js`)) {
    run("cp", "-r", path.slice(0, path.lastIndexOf("/")), found);
    run("chmod", "-R", "a+rX", found);
  }
  return found + path.slice(path.lastIndexOf("/"));
}

function mayRead(path: string, user: User): boolean {
  const [program, ...args] = asUser(["test", "-r", path], user);
  return run(program!, ...args);
}

const mains = new Map<User, string>();

/** main.ts for an unprivileged user, whose DENO_DIR gets the packages that this
 * process has already. */
function findMain(user: User): string {
  const known = mains.get(user);
  if (known !== undefined) return known;
  const { home, cache } = findPlaces(user);
  const ours = Deno.env.get("DENO_DIR") ??
    `${
      Deno.env.get("XDG_CACHE_HOME") ?? `${Deno.env.get("HOME")}/.cache`
    }/deno`;
  run("cp", "-r", `${ours}/npm`, cache);
  run("chown", "-R", `${USERS[user]}:${USERS[user]}`, cache);
  let root = ROOT;
  if (!mayRead(`${ROOT}/mod/plan.ts`, user)) {
    root = `${home}/clone`;
    Deno.mkdirSync(root);
    Deno.mkdirSync(`${root}/dist`);
    const helper = `dist/rustyrun-helper-${Deno.build.arch}`;
    copyClone(root);
    run("cp", `${ROOT}/${helper}`, `${root}/dist`);
    run("chmod", "-R", "a+rX", root);
  }
  mains.set(user, `${root}/main.ts`);
  return `${root}/main.ts`;
}

/** Runs a program to its end; says whether it worked. */
export function run(program: string, ...args: string[]): boolean {
  return new Deno.Command(program, { args, stdout: "null", stderr: "null" })
    .outputSync().success;
}

/** What `deno run main.ts` reads of a clone, beside dist/. */
const CLONE = ["main.ts", "deno.json", "deno.lock", "mod", "ffi", "types"];

/** Copies what `deno run main.ts` reads to a directory.
 *
 * @param build what `deno task build` and the others read, too
 * @throws {Error} when it cannot be copied */
export function copyClone(dir: string, { build = false } = {}): void {
  const names = build ? [...CLONE, "c", "scripts"] : CLONE;
  if (!run("cp", "-r", ...names.map((name) => `${ROOT}/${name}`), dir)) {
    throw new Error(`Cannot copy the clone to "${dir}"`);
  }
}

/** What dist/ is made of. */
const SOURCES = [
  ...CLONE,
  "c",
  "scripts/build.ts",
  "scripts/bundle.ts",
  "scripts/compile.ts",
];

/** When a file, or the newest below a directory, got its content or its name. */
function changed(path: string): number {
  const { isDirectory, mtime, ctime } = Deno.statSync(path);
  if (!isDirectory) {
    return Math.max(mtime?.getTime() ?? 0, ctime?.getTime() ?? 0);
  }
  return Math.max(
    0,
    ...[...Deno.readDirSync(path)].map((it) => changed(`${path}/${it.name}`)),
  );
}

/** The first source that is not older than a product of dist/; undefined when
 * it is fresh. */
function findNewer(product: string): string | undefined {
  const made = Deno.statSync(product).mtime?.getTime() ?? 0;
  return SOURCES.find((name) => changed(`${ROOT}/${name}`) >= made);
}

let tested: string | undefined | null = null;

/** The program under test; undefined for main.ts. */
function findTested(): string | undefined {
  if (tested !== null) return tested;
  const bundle = `${ROOT}/dist/rustyrun.js`;
  const named = Deno.env.get("RUSTYRUN_BIN");
  if (named === undefined) {
    tested = isFile(bundle) && !findNewer(bundle) ? bundle : undefined;
    return tested;
  }
  const path = Deno.realPathSync(named);
  const newer = path.startsWith(`${ROOT}/dist/`) ? findNewer(path) : undefined;
  if (newer !== undefined) {
    throw new Error(
      `Cannot test "${named}": "${newer}" has changed since (deno task bundle, deno task compile)`,
    );
  }
  tested = path;
  return tested;
}

let front: string | undefined;

/** The front of the program under test, where RUSTYRUN_WARM asks for it. */
function findFront(): string | undefined {
  if (isFrontAlone()) {
    return front ??= serveNobody(findTested() ?? `${ROOT}/main.ts`);
  }
  if (!isWarm()) return undefined;
  return front ??= Deno.env.get("RUSTYRUN_FRONT") ?? serveTested();
}

/** Starts a warm engine of the program under test; it ends with this process.
 *
 * @returns path of its front */
export function serveTested(): string {
  return serveWarm(findTested() ?? `${ROOT}/main.ts`);
}

/** A command line for namespaces of its own: a front has its engine there. Where
 * a front is for many files it is one without: an engine for each call would take
 * longest. */
export function apart(argv: readonly string[]): string[] {
  const [program, ...words] = argv;
  if (!isWarm() || program !== front) return [...argv];
  const file = findTested() ?? `${ROOT}/main.ts`;
  const isShared = Deno.env.get("RUSTYRUN_FRONT") !== undefined;
  return [...(isShared ? lineOf(file) : serveApart(file)), ...words];
}

/** The command line of rustyrun under test, without its arguments. */
export function cliCommand(
  { user, sources }: { user?: boolean | User; sources?: boolean } = {},
): string[] {
  const other = otherUser(user);
  const places = other ? findPlaces(other) : undefined;
  const deno = places?.deno ?? Deno.execPath();
  const served = other || sources ? undefined : findFront();
  if (served !== undefined) return [served];
  const bin = sources ? undefined : findTested();
  if (bin === undefined) {
    return [deno, "run", "-A", other ? findMain(other) : `${ROOT}/main.ts`];
  }
  if (!bin.endsWith(".js")) {
    return [other ? bringNear(bin, places!.home, other) : bin];
  }
  const path = other ? bringBundle(bin, places!.home, other) : bin;
  return [deno, ...denoWords(path)];
}
