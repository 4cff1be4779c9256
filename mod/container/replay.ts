/**
 * Starts a container from a recipe: what planning an earlier `run` with the same
 * words came to, kept with every look at the machine that it rested on
 * (recipe.ts writes it). Where all of them show the same again, nothing is
 * planned, and the code that plans is not even loaded. Where one does not, or
 * anything fails before the command has started, what there is already is
 * removed and the ordinary way is gone, which finds the words for the error.
 *
 * @module
 */

import {
  closeFd,
  cstring,
  limitProcess,
  packetPair,
  trySyscall,
} from "../../ffi/libc.ts";
import { type CgroupPlan } from "../cgroups/model.ts";
import { makeCgroups } from "../cgroups/make.ts";
import { makeId } from "../config/id.ts";
import { isUnchanged } from "../looks.ts";
import { SYNC } from "../plan.ts";
import { becomeKeeper, PlanRun, startHelper } from "../process.ts";
import {
  claimState,
  describeProcess,
  removeState,
  replaceFile,
  type StateDir,
  writeBytes,
} from "../state.ts";
import { checkStateRoot } from "../state/root.ts";
import {
  type Filling,
  fillTemplate,
  type Template,
  toBytes,
} from "./template.ts";
import { makeToken } from "./token.ts";
import { abandon, tellWarden } from "./warded.ts";

/** Where the states of root's containers are, and ROOT/.cache/run with the
 * recipes: nobody but root may write there. */
const ROOT = "/run/rustyrun";
const CACHE = ".cache/run";

/** Property of globalThis that names this build of rustyrun; scripts/bundle.ts
 * sets it. Without one, from its sources, nothing is kept. */
export const BUILD = "__rustyrun_build__";

/** A command line, as far as a recipe is chosen by it. */
export interface Order {
  /** Directory of all states, and file of the recipe in its cache. */
  root: string;
  dir: string;
  name: string;
  /** Which build of rustyrun it is for. */
  build: string;
  /** The words that must be the same. */
  words: readonly string[];
  /** The container's id: the last word, which is none of `words`; or what
   * `--name` says, or nothing. undefined then. */
  id: string | undefined;
}

/** What is kept of a start. */
export interface Recipe extends Pick<Order, "build" | "words"> {
  /** The container's id where it is the same every time; "" for a new one. */
  id: string;
  /** JSON of every look that planning took. */
  looks: Template;
  /** The plans of the child stage and of the keeper. */
  child: Template;
  keeper: Template;
  /** ROOT/ID/config.json, state.json and leftovers.json; CgroupPlan. */
  saved: Template;
  state: Template;
  leftovers: Template;
  cgroup: Template;
  /** prlimit(2): resource, soft and hard limit. */
  rlimits: [resource: number, soft: string, hard: string][];
  pidFile?: string;
}

/** FNV-1a, twice: which file it is, no more; the words in it are compared. */
function hash(text: string): string {
  let a = 0x811c9dc5, b = 0x01000193;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    a = Math.imul(a ^ code, 0x01000193);
    b = Math.imul(b ^ code, 0x85ebca6b);
  }
  return ((a >>> 0) * 0x200000 + (b >>> 11)).toString(36);
}

/**
 * Reads a command line as far as it takes to find its recipe.
 *
 * @returns undefined when there can be none: it is no `run` of root's, or this
 * is no bundle
 */
export function readOrder(argv: readonly string[]): Order | undefined {
  const build = (globalThis as Record<string, unknown>)[BUILD];
  if (argv[0] !== "run" || typeof build !== "string" || Deno.uid() !== 0) {
    return undefined;
  }
  const friendly = argv.some((it) =>
    it.startsWith("--rootfs") || it.startsWith("-r")
  );
  const last = argv[argv.length - 1]!;
  // Ids that look like a flag, or like nothing, go the ordinary way.
  if (!friendly && !/^\w[\w.+-]{0,254}$/.test(last)) return undefined;
  const words = friendly ? [...argv] : argv.slice(0, -1);
  const id = friendly ? undefined : last;
  return {
    root: ROOT,
    dir: CACHE,
    name: hash(`${id?.length ?? ""} ${words.join("\0")}`),
    build,
    words,
    id,
  };
}

/** Whether the file of a recipe is there, without the cost of an exception. */
export function isKnown({ root, dir, name }: Order): boolean {
  // O_PATH | O_CLOEXEC
  const fd = trySyscall(
    "openat",
    -100,
    cstring(`${root}/${dir}/${name}`),
    0o12000000,
    0,
  );
  if (fd >= 0) closeFd(fd);
  return fd >= 0;
}

function readRecipe(order: Order): Recipe | undefined {
  if (!isKnown(order) || !checkStateRoot(order.root)) return undefined;
  const { root, dir, name, words, build } = order;
  const text = Deno.readTextFileSync(`${root}/${dir}/${name}`);
  // Seen once: nothing is kept of words that do not come again.
  if (text === "") return undefined;
  const recipe: Recipe = JSON.parse(text);
  return recipe.build === build && recipe.words.length === words.length &&
      recipe.words.every((it, i) => it === words[i])
    ? recipe
    : undefined;
}

/** Whether a container in the foreground has lost its keeper and its warden:
 * the ordinary way removes it first. */
function hasOrphan(root: string): boolean {
  for (const { name, isDirectory } of Deno.readDirSync(root)) {
    if (!isDirectory || name.startsWith(".")) continue;
    const path = `${root}/${name}`;
    const fd = trySyscall("openat", -100, cstring(path), 0o2000000, 0);
    if (fd < 0) continue;
    const held = trySyscall("flock", fd, 6) < 0; // LOCK_EX | LOCK_NB
    closeFd(fd);
    if (held) continue;
    try {
      const state = Deno.readTextFileSync(`${path}/state.json`);
      if (state.includes('"foreground":true')) return true;
    } catch {
      return true;
    }
  }
  return false;
}

const encode = (text: string) => new TextEncoder().encode(text);
const decode = (bytes: Uint8Array) => new TextDecoder().decode(bytes);

/** The plan of the cgroups from the JSON of {@linkcode dumpCgroups}. */
export function loadCgroups(bytes: Uint8Array): CgroupPlan {
  const plan = JSON.parse(decode(bytes));
  if (plan.devices) {
    plan.devices.program = Uint8Array.fromBase64(plan.devices.program);
  }
  return { ...plan, flags: new Map(plan.flags) };
}

/** JSON of a plan of cgroups. */
export function dumpCgroups(plan: CgroupPlan): Uint8Array {
  const { devices, flags } = plan;
  return encode(JSON.stringify({
    ...plan,
    flags: [...flags],
    notes: [],
    ...(devices && {
      devices: { ...devices, rules: [], program: devices.program.toBase64() },
    }),
  }));
}

/** Name of the state until it is true. */
const STATE_TO_BE = "state.json.new";

/** state.json of a template and of the process that is there now. */
function finishState(template: Uint8Array, pid: number): Uint8Array {
  const process = JSON.stringify(describeProcess(pid));
  return encode(`${decode(template).slice(0, -1)},${process.slice(1)}`);
}

/** Starts the container; ends this program where that works. */
function start(recipe: Recipe, dir: StateDir, names: Filling): void {
  const fill = (template: Template, more: Filling = {}) =>
    fillTemplate(template, { ...names, ...more });
  const cgroup = loadCgroups(fill(recipe.cgroup));
  const [control, wardens] = packetPair();
  const [channel, child] = packetPair();
  let helper: number;
  try {
    helper = startHelper(
      fill(recipe.child, {
        channel: toBytes(child, 4),
        control: toBytes(wardens, 4),
        state: toBytes(dir.fd, 4),
      }),
      channel,
      new Map([["channel", child], ["control", wardens], ["state", dir.fd]]),
    );
  } catch (error) {
    closeFd(control);
    removeState(dir);
    throw error;
  } finally {
    closeFd(wardens);
  }
  const run = new PlanRun([], channel, helper, true);
  try {
    writeBytes(dir, "leftovers.json", fill(recipe.leftovers));
    makeCgroups(cgroup);
    tellWarden(control, "C");
    let keeper = new Uint8Array();
    run.serve({
      forked() {
        writeBytes(dir, "config.json", fill(recipe.saved));
        const state = finishState(fill(recipe.state), run.pid);
        writeBytes(dir, STATE_TO_BE, state);
        keeper = fill(recipe.keeper, {
          control: toBytes(control, 4),
          state: toBytes(dir.fd, 4),
          channel: toBytes(channel, 4),
          pid: toBytes(run.pid, 8),
          warden: toBytes(helper, 8),
        });
      },
      sync(step) {
        if (step !== SYNC.ready) return;
        for (const [resource, soft, hard] of recipe.rlimits) {
          limitProcess(run.pid, resource, {
            soft: BigInt(soft),
            hard: BigInt(hard),
          });
        }
        Deno.renameSync(`${dir.path}/${STATE_TO_BE}`, `${dir.path}/state.json`);
      },
    });
    if (recipe.pidFile !== undefined) {
      replaceFile(recipe.pidFile, String(run.pid), 0o644);
    }
    becomeKeeper(keeper, [control, dir.fd, channel]);
  } catch (error) {
    // Cgroups that were there before belong to somebody else.
    if (!cgroup.made) tellWarden(control, "N");
    abandon({ run, control });
    throw error;
  }
}

/**
 * Runs the container of a command line from its recipe. Ends this program where
 * there is one that still holds; returns where the ordinary way must be gone.
 */
export function replay(argv: readonly string[]): void {
  const order = readOrder(argv);
  if (order === undefined) return;
  try {
    const recipe = readRecipe(order);
    if (recipe === undefined) return;
    const id = order.id ?? (recipe.id || makeId());
    const names = { id: encode(id), token: encode(makeToken()) };
    const looks = decode(fillTemplate(recipe.looks, names));
    if (!isUnchanged(JSON.parse(looks)) || hasOrphan(order.root)) return;
    const dir = claimState(order.root, id);
    if (dir.reused) {
      closeFd(dir.fd);
      return;
    }
    start(recipe, dir, names);
  } catch {
    // Whatever it was: the ordinary way comes to it as well, and words it.
  }
}
