/**
 * Keeps what planning a container came to, for replay.ts: everything is planned
 * a second time, with marks in place of the id and the token, and every look at
 * the machine is recorded. It is kept only where putting the real names into the
 * marked plan gives the real plan, to the byte.
 *
 * @module
 */

import { namespaceUse } from "../config/namespaces.ts";
import type { Config } from "../config/config.ts";
import { findFormat } from "../failure/format.ts";
import type { Facts } from "../host.ts";
import { look } from "../looks.ts";
import { record } from "../looks/record.ts";
import { encodePlan } from "../plan.ts";
import type { PlanRun } from "../process.ts";
import { encodeState } from "../state.ts";
import { writeCache } from "./cache.ts";
import {
  candidatesOf,
  type KeeperWords,
  planEnd,
  planWatch,
} from "./keeper.ts";
import { describeContainer, type Place } from "./launch.ts";
import { addWarden, prepare, type Prepared } from "./prepare.ts";
import { type Noted, planNoted } from "./reclaim.ts";
import {
  dumpCgroups,
  isKnown,
  type Order,
  readOrder,
  type Recipe,
} from "./replay.ts";
import { saveConfig } from "./saved.ts";
import {
  type Filling,
  fillTemplate,
  makeTemplate,
  type Template,
  toBytes,
} from "./template.ts";

/** Most recipes that are kept; then they all make room. */
const MOST = 64;

/** A container that is about to be made, and the way to plan it again. */
export interface Plannable {
  argv: readonly string[];
  /** The command line's own word for the id, if it has one. */
  named: boolean;
  place: Place;
  prepared: Prepared;
  noted: Noted;
  token: string;
  words: KeeperWords;
  keep: boolean;
  /** Reads the command line again, for a container of another id. */
  again(id: string): { config: Config; facts: Facts; words: KeeperWords };
}

/** Whether all of a start is in the plans: what a hook, an id map, a terminal
 * or a descriptor of the caller's needs on the way is not. */
function isPlain(
  { config, ops, netDevices, idMaps, upper, filter }: Prepared,
) {
  return config.spec.hooks === undefined && netDevices.length === 0 &&
    idMaps === undefined && upper === undefined && !filter?.notify &&
    namespaceUse(config, "user") === "inherit" &&
    !config.spec.process?.terminal && config.preserveFds === 0 &&
    config.consoleSocket === undefined && config.pidfdSocket === undefined &&
    config.spec.linux?.intelRdt === undefined &&
    // What is wrong with it now need not be next time.
    findFormat(config, candidatesOf(ops)) === undefined;
}

/** Parts of a {@linkcode Recipe} that are templates. */
type Parts<T> = Record<
  "child" | "keeper" | "saved" | "state" | "leftovers" | "cgroup",
  T
>;

const encode = (text: string) => new TextEncoder().encode(text);

/** Descriptors and pids that stand for those of a start. */
interface Numbers {
  channel: number;
  control: number;
  state: number;
  pid: number;
  warden: number;
}

const numbersFrom = (first: number): Numbers => ({
  channel: first,
  control: first + 1,
  state: first + 2,
  pid: first + 3,
  warden: first + 4,
});

const toFilling = (numbers: Numbers): Filling => ({
  channel: toBytes(numbers.channel, 4),
  control: toBytes(numbers.control, 4),
  state: toBytes(numbers.state, 4),
  pid: toBytes(numbers.pid, 8),
  warden: toBytes(numbers.warden, 8),
});

/** Everything that a start takes, as it would be for these numbers. */
function render(
  plain: Prepared,
  noted: Noted,
  { place, keep }: Pick<Plannable, "place" | "keep">,
  words: KeeperWords,
  { channel, control, state, pid, warden }: Numbers,
): Parts<Uint8Array> {
  const prepared = { ...plain, steps: [...plain.steps], ops: [...plain.ops] };
  addWarden(prepared, place, state);
  const end = planEnd(prepared, place.root, words, keep);
  const run: Pick<PlanRun, "pid" | "received"> = { pid, received: new Map() };
  const kind = { foreground: !keep, waits: false };
  return {
    child: encodePlan(
      prepared.ops,
      new Map([["channel", channel], ["control", control], ["state", state]]),
    ),
    keeper: encodePlan(
      [...planWatch(run, { runs: false, warden }), ...end],
      new Map([["control", control], ["state", state], ["channel", channel]]),
    ),
    saved: encode(encodeState(saveConfig(prepared))),
    state: encode(encodeState(describeContainer(prepared, kind))),
    leftovers: encode(JSON.stringify(noted)),
    cgroup: dumpCgroups(prepared.cgroup),
  };
}

const isSame = (a: Uint8Array, b: Uint8Array): boolean =>
  a.length === b.length && a.every((byte, i) => byte === b[i]);

/** A word of the same length that hardly occurs anywhere else, and could be an
 * id. */
function makeMark(length: number): string {
  const bytes = crypto.getRandomValues(new Uint8Array(length));
  return [...bytes].map((it) => "JQXZ"[it % 4]).join("");
}

/** @returns undefined when this start can not be kept, with the reason */
function makeRecipe(
  order: Order,
  plannable: Plannable,
): Recipe | { spoiled: string } {
  const { place, prepared, noted, token, words, keep } = plannable;
  const { id } = prepared.config;
  const mark = { id: makeMark(id.length), token: makeMark(token.length) };
  const marked = record(() => {
    const { config, facts, words } = plannable.again(mark.id);
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
      token: mark.token,
    });
    const noted = planNoted(prepared);
    const numbers = numbersFrom(0x71_3a_59_00);
    return {
      parts: render(prepared, noted, { place, keep }, words, numbers),
      holes: toFilling(numbers),
    };
  });
  if (marked.looks === undefined) {
    return { spoiled: marked.spoiled ?? "nothing was recorded" };
  }
  const marks = { id: encode(mark.id), token: encode(mark.token) };
  const names = { id: encode(id), token: encode(token) };
  const numbers = numbersFrom(0x2d_16_4f_00);
  const real = render(prepared, noted, { place, keep }, words, numbers);
  const filling = { ...names, ...toFilling(numbers) };
  const parts: Partial<Parts<Template>> = {};
  for (const name of Object.keys(real) as (keyof typeof real)[]) {
    const template = makeTemplate(marked.value.parts[name], {
      ...marks,
      ...marked.value.holes,
    });
    if (!isSame(fillTemplate(template, filling), real[name])) {
      return { spoiled: name };
    }
    parts[name] = template;
  }
  const { pidFile } = prepared.config;
  return {
    build: order.build,
    words: order.words,
    id: order.id === undefined && plannable.named ? id : "",
    looks: makeTemplate(encode(JSON.stringify(marked.looks)), marks),
    ...parts as Parts<Template>,
    rlimits: prepared.rlimits.map((
      { resource, soft, hard },
    ) => [resource, String(soft), String(hard)]),
    ...(pidFile === undefined ? {} : { pidFile }),
  };
}

/** Makes room where there are many: a command line that never comes again
 * leaves an empty file. */
function makeRoom({ root, dir }: Order): void {
  const path = `${root}/${dir}`;
  try {
    if ([...Deno.readDirSync(path)].length >= MOST) {
      Deno.removeSync(path, { recursive: true });
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

/**
 * Keeps a start for replay.ts. The first time a command line is seen, only that
 * is noted. Nothing of the container may exist yet.
 *
 * @returns why it could not be kept; undefined when it was
 */
export function keepRecipe(plannable: Plannable): string | undefined {
  const order = readOrder(plannable.argv);
  const { root } = plannable.place;
  if (order === undefined || root !== order.root) return "no order";
  if (!isPlain(plannable.prepared)) return "not plain";
  const { dir, name } = order;
  if (!isKnown(order)) {
    makeRoom(order);
    writeCache(root, dir, name, new Uint8Array());
    return "seen once";
  }
  const recipe = makeRecipe(order, plannable);
  if ("spoiled" in recipe) return recipe.spoiled;
  writeCache(root, dir, name, encode(JSON.stringify(recipe)));
  return undefined;
}
