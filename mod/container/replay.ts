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
  packetPair,
  trySyscall,
  waitProcess,
} from "../../ffi/libc.ts";
import { makeId } from "../config/id.ts";
import { isUnchanged, type Look } from "../looks.ts";
import { becomeKeeper, openHelper, startHelper } from "../process.ts";
import { selfCommand } from "../program.ts";
import { claimState, removeState, type StateDir } from "../state.ts";
import { checkStateRoot } from "../state/root.ts";
import {
  type Filling,
  fillTemplate,
  type Template,
  toBytes,
} from "./template.ts";
import { makeToken } from "./token.ts";

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

/** Where the helper's bytes are kept for starts from recipes, below ROOT: in the
 * bundle they are packed. */
export function helperOf({ build }: Pick<Order, "build">): {
  dir: string;
  name: string;
} {
  return { dir: ".cache/helper", name: build };
}

/** What is kept of a start. */
export interface Recipe extends Pick<Order, "build" | "words"> {
  /** The container's id where it is the same every time; "" for a new one. */
  id: string;
  /** JSON of every look that planning took: of the files that say what is to be
   * made, and of everything else. */
  looks: Template;
  otherLooks: Template;
  /** The plans of the child stage and of the keeper. */
  child: Template;
  keeper: Template;
}

/** FNV-1a, twice: which file it is, no more; the words in it are compared. */
function hash(text: string): string {
  let a = 0x811c9dc5, b = 0x01000193;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    a = Math.imul(a ^ code, 0x01000193);
    b = Math.imul(b ^ code, 0x85ebca6b);
  }
  return (a >>> 0).toString(16) + (b >>> 0).toString(16);
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
  // What is read of a caller's pipe to compare it, the ordinary way would miss.
  if (argv.some((it) => it.includes("/fd/") || it.includes("/dev/std"))) {
    return undefined;
  }
  const last = argv[argv.length - 1]!;
  // Ids that look like a flag, or like nothing, go the ordinary way.
  if (!friendly && !/^\w[\w.+-]{0,254}$/.test(last)) return undefined;
  const words = friendly ? [...argv] : argv.slice(0, -1);
  const id = friendly ? undefined : last;
  return {
    root: ROOT,
    dir: CACHE,
    name: hash(`${build} ${id?.length ?? ""} ${words.join("\0")}`),
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
function hasOrphan({ root }: Order, own: string): boolean {
  for (const { name, isDirectory } of Deno.readDirSync(root)) {
    if (!isDirectory || name.startsWith(".") || name === own) continue;
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

const NO_TOKEN = new Uint8Array();

const needsToken = ({ looks, otherLooks, child, keeper }: Recipe): boolean =>
  [looks, otherLooks, child, keeper].some((it) => it.holes.token !== undefined);

const readLooks = (looks: Template, names: Filling): Look[] =>
  JSON.parse(decode(fillTemplate(looks, names)));

/** Starts the helper, whose first act is the warden, and becomes the keeper,
 * which does the rest. Returns where that cannot be. */
function start(
  order: Order,
  recipe: Recipe,
  dir: StateDir,
  names: Filling,
  argv: readonly string[],
): void {
  const [control, wardens] = packetPair();
  const [channel, child] = packetPair();
  const slots = new Map([
    ["channel", child],
    ["control", wardens],
    ["state", dir.fd],
  ]);
  let helper: number;
  try {
    const plan = fillTemplate(recipe.child, {
      ...names,
      channel: toBytes(child, 4),
      control: toBytes(wardens, 4),
      state: toBytes(dir.fd, 4),
    });
    const kept = helperOf(order);
    openHelper(() =>
      Deno.readFileSync(`${order.root}/${kept.dir}/${kept.name}`)
    );
    helper = startHelper(plan, channel, slots);
  } catch (error) {
    closeFd(control);
    removeState(dir);
    throw error;
  } finally {
    closeFd(wardens);
  }
  try {
    // The child stage works meanwhile: without the keeper it never passes its
    // gate.
    if (
      isUnchanged(readLooks(recipe.otherLooks, names)) &&
      !hasOrphan(order, dir.path.slice(order.root.length + 1))
    ) {
      const plan = fillTemplate(recipe.keeper, {
        ...names,
        control: toBytes(control, 4),
        state: toBytes(dir.fd, 4),
        channel: toBytes(channel, 4),
        warden: toBytes(helper, 8),
      });
      becomeKeeper(plan, [control, dir.fd, channel], {
        // No words of a `run` begin like this: it finds no recipe.
        argv: selfCommand(["--root", order.root, ...argv]),
        env: Deno.readFileSync("/proc/self/environ"),
      });
    }
  } finally {
    // The warden removes what there is already when it is alone.
    closeFd(channel);
    closeFd(control);
    waitProcess(helper);
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
    const names = {
      id: encode(id),
      // Random numbers are slow to come the first time.
      token: needsToken(recipe) ? encode(makeToken()) : NO_TOKEN,
      created: encode(new Date().toISOString()),
    };
    if (!isUnchanged(readLooks(recipe.looks, names))) return;
    const dir = claimState(order.root, id);
    if (dir.reused) {
      closeFd(dir.fd);
      return;
    }
    try {
      start(order, recipe, dir, names, argv);
    } finally {
      // The lock, which the ordinary way would wait for.
      closeFd(dir.fd);
    }
  } catch {
    // Whatever it was: the ordinary way comes to it as well, and words it.
  }
}
