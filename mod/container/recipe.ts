/**
 * Keeps what planning a container came to, for replay.ts: everything is planned
 * a second time, with marks in place of the id and the token, and every look at
 * the machine is recorded. It is kept only where putting the real names into the
 * marked plan gives the real plan, to the byte.
 *
 * @module
 */

import { loadHelper } from "../../ffi/helper.ts";
import { namespaceUse } from "../config/namespaces.ts";
import type { Config } from "../config/config.ts";
import type { Facts } from "../host.ts";
import { type Look, look } from "../looks.ts";
import { record } from "../looks/record.ts";
import { writeCache } from "./cache.ts";
import type { KeeperWords } from "./keeper.ts";
import { prepare } from "./prepare.ts";
import { planNoted } from "./reclaim.ts";
import {
  helperOf,
  isKnown,
  type Order,
  readOrder,
  type Recipe,
} from "./replay.ts";
import {
  type Filling,
  fillTemplate,
  makeTemplate,
  toBytes,
} from "./template.ts";
import {
  planUnattended,
  type StartNames,
  type Unattended,
} from "./unattended.ts";

/** Most recipes that are kept, and notes. */
const MOST = 64;

/** A container that is about to be made, and the way to plan it again. */
export interface Plannable extends Unattended {
  argv: readonly string[];
  /** The command line's own word for the id, if it has one. */
  named: boolean;
  token: string;
  /** Reads the command line again, for a container of another id. */
  again(id: string): { config: Config; facts: Facts; words: KeeperWords };
}

/** Whether all of a start is in the plans: what a hook, an id map, a terminal
 * or a descriptor of the caller's needs on the way is not. */
function isPlain({ prepared, noted, keep }: Plannable): boolean {
  const { config, cgroup, netDevices, idMaps, upper, filter } = prepared;
  return config.spec.hooks === undefined && netDevices.length === 0 &&
    idMaps === undefined && upper === undefined && !filter?.notify &&
    namespaceUse(config, "user") === "inherit" &&
    namespaceUse(config, "mount") === "new" &&
    // The keeper must have the state's directory.
    !keep &&
    // They are said at every start; where starts are kept, there is no log for
    // the quiet ones, which `runc spec` gives cause for.
    prepared.warnings.every((it) => it.quiet) &&
    // A cgroup that was there before may hold somebody else's processes.
    noted.cgroups.length === cgroup.dirs.length && noted.parents.length === 0 &&
    !config.spec.process?.terminal && config.preserveFds === 0 &&
    config.consoleSocket === undefined && config.pidfdSocket === undefined &&
    config.pidFile === undefined && config.spec.linux?.intelRdt === undefined;
}

const encode = (text: string) => new TextEncoder().encode(text);

const toFilling = (names: StartNames): Filling => ({
  id: encode(names.id),
  token: encode(names.token),
  created: encode(names.created),
  channel: toBytes(names.channel, 4),
  control: toBytes(names.control, 4),
  state: toBytes(names.state, 4),
  warden: toBytes(names.warden, 8),
});

/** Names of a start that nothing else is called by. */
function nameStart(
  id: string,
  token: string,
  created: string,
  first: number,
): StartNames {
  return {
    id,
    token,
    created,
    channel: first,
    control: first + 1,
    state: first + 2,
    warden: first + 3,
  };
}

const isSame = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, i) => byte === b[i]);

/** A word of the same length that hardly occurs anywhere else, and could be an
 * id. */
function makeMark(length: number, letters: string): string {
  const bytes = crypto.getRandomValues(new Uint8Array(length));
  return [...bytes].map((it) => letters[it % letters.length]).join("");
}

/** Plans everything again, for a container of these names, and records what is
 * looked at. */
function planAgain(plannable: Plannable, names: StartNames) {
  const { place } = plannable;
  return record(() => {
    const { config, facts, words } = plannable.again(names.id);
    const prepared = prepare(config, facts, {
      place: {
        root: place.root,
        // What LISTEN_FDS asks for is all that a container without hooks takes.
        get env() {
          return ["LISTEN_FDS", "LISTEN_PID"].flatMap((name) => {
            const seen = look("env", name);
            return seen === "" ? [] : [name + seen];
          });
        },
      },
      gate: "keeper",
      token: names.token,
    });
    const noted = planNoted(prepared);
    return planUnattended({ ...plannable, prepared, noted, words }, names);
  });
}

const OF_FILES: ReadonlySet<string> = new Set(["text", "stat", "lstat"]);

/** Whether a look is of a file that is not the kernel's: it says which things
 * are to be made where, so it comes before the child stage makes any. */
function isOfFile([name, argument]: Look): boolean {
  return OF_FILES.has(name) && !/^\/(proc|sys)\//.test(argument);
}

/** What of a recipe is planned. */
type Planned = Record<
  "looks" | "otherLooks" | "child" | "keeper",
  Uint8Array<ArrayBuffer>
>;

/** Plans with these names.
 *
 * @returns why that cannot be kept, or what comes of it */
function planFor(plannable: Plannable, names: StartNames): Planned | string {
  const { value, looks, spoiled } = planAgain(plannable, names);
  if (looks === undefined) return spoiled ?? "nothing was recorded";
  if (typeof value === "string") return value;
  const toText = (list: Look[]) => encode(JSON.stringify(list));
  // Of a cgroup that has come into being, the child stage learns when it makes
  // it (c/cgroup_make.c); only new ones are kept, below ones that are there.
  const lasting = looks.filter(([name]) => name !== "isMissing");
  return {
    looks: toText(lasting.filter(isOfFile)),
    otherLooks: toText(lasting.filter((it) => !isOfFile(it))),
    child: new Uint8Array(value.child),
    keeper: new Uint8Array(value.keeper),
  };
}

/** @returns why this start cannot be kept, or what is kept of it */
function makeRecipe(order: Order, plannable: Plannable): Recipe | string {
  const { prepared, token } = plannable;
  const { id } = prepared.config;
  const created = new Date(0).toISOString();
  const real = nameStart(id, token, created, 0x2d164f00);
  const marks = (letters: string, first: number) =>
    nameStart(
      makeMark(id.length, letters),
      makeMark(token.length, letters),
      makeMark(created.length, letters),
      first,
    );
  const names = marks("JQXZ", 0x713a5900);
  const planned = planFor(plannable, names);
  if (typeof planned === "string") return planned;
  const wanted = planUnattended(plannable, real);
  if (typeof wanted === "string") return wanted;
  // A short id is a word of other things as well: what is the same under two
  // that share no letter has no hole where there is none of them.
  const others = marks("KVWY", 0x3b527e00);
  const again = planFor(plannable, others);
  if (typeof again === "string") return again;
  const make = (part: keyof Planned) =>
    makeTemplate(planned[part], toFilling(names));
  const looks = make("looks");
  const otherLooks = make("otherLooks");
  const child = make("child");
  const keeper = make("keeper");
  const rows = [
    ["a look", looks, others, again.looks],
    ["a look", otherLooks, others, again.otherLooks],
    ["the plan", child, others, again.child],
    ["the plan", child, real, wanted.child],
    ["the keeper's plan", keeper, others, again.keeper],
    ["the keeper's plan", keeper, real, wanted.keeper],
  ] as const;
  for (const [what, template, filling, bytes] of rows) {
    if (!isSame(fillTemplate(template, toFilling(filling)), bytes)) return what;
  }
  return {
    build: order.build,
    words: order.words,
    id: order.id === undefined && plannable.named ? id : "",
    looks,
    otherLooks,
    child,
    keeper,
  };
}

/** Makes room where there are many. First go the notes of command lines that
 * were seen once: most never come again. */
function makeRoom({ root, dir }: Order): void {
  const path = `${root}/${dir}`;
  try {
    let names = [...Deno.readDirSync(path)].map((it) => `${path}/${it.name}`);
    if (names.length < MOST) return;
    const notes = names.filter((it) => Deno.statSync(it).size === 0);
    if (notes.length > 0) names = notes;
    for (const name of names) Deno.removeSync(name);
  } catch (error) {
    // Not there yet; or somebody else makes room as well.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/** replay.ts starts over like this when a start from a recipe has failed: the
 * next one had better not try it again. */
function forgetRecipe([, root, ...argv]: readonly string[]): string {
  const order = readOrder(argv);
  if (order?.root === root && order !== undefined && isKnown(order)) {
    Deno.removeSync(`${root}/${order.dir}/${order.name}`);
  }
  return "it has a --root";
}

/** Keeps the helper of this build, and of few others. */
function keepHelper(order: Order): void {
  const { dir, name } = helperOf(order);
  if (isKnown({ ...order, dir, name })) return;
  writeCache(order.root, dir, name, loadHelper());
  const path = `${order.root}/${dir}`;
  const others = [...Deno.readDirSync(path)].filter((it) => it.name !== name);
  if (others.length < 4) return;
  for (const other of others) Deno.removeSync(`${path}/${other.name}`);
}

/**
 * Keeps a start for replay.ts. The first time a command line is seen, only that
 * is noted. Nothing of the container may exist yet.
 *
 * @returns why it could not be kept; undefined when it was
 */
export function keepRecipe(plannable: Plannable): string | undefined {
  const { argv } = plannable;
  if (argv[0] === "--root") return forgetRecipe(argv);
  const order = readOrder(argv);
  const { root } = plannable.place;
  if (order === undefined || root !== order.root) return "no order";
  const { id, mode } = plannable.prepared.config;
  const isRead = order.id === undefined
    ? mode === "friendly"
    : mode === "oci" && order.id === id;
  if (!isRead) return "its words are not understood";
  if (!isPlain(plannable)) return "not plain";
  const { dir, name } = order;
  if (!isKnown(order)) {
    makeRoom(order);
    writeCache(root, dir, name, new Uint8Array());
    return "seen once";
  }
  const recipe = makeRecipe(order, plannable);
  if (typeof recipe === "string") return recipe;
  keepHelper(order);
  writeCache(root, dir, name, encode(JSON.stringify(recipe)));
  return undefined;
}
