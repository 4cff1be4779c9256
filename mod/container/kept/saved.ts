/**
 * The saved copy of a container's configuration: what exec, update, start and
 * delete read instead of the bundle.
 *
 * @module
 */

import type { Config } from "../../config/config.ts";
import { parseConfigJson } from "../../config/json.ts";
import type { Op } from "../../plan.ts";
import { encodeState, readSaved, replaceFile } from "../../state.ts";
import { saving } from "../../state/words.ts";
import type { Prepared, Saved } from "../model.ts";

/** What goes into ROOT/ID/config.json. Blobs stay out of it. */
export function saveConfig(prepared: Prepared): unknown {
  const { config, ops } = prepared;
  const from = ops.findIndex((it) => it.do === "waitStart");
  const late: Record<string, unknown> = {};
  if (from >= 0) {
    for (let at = from; at < ops.length; at++) {
      const op = ops[at]!;
      late[at] = op.do === "spawn" ? { ...op, stdin: "" } : op;
    }
  }
  return {
    config: { ...config, flags: Object.fromEntries(config.flags) },
    late,
    setgroups: prepared.setgroups,
  };
}

/**
 * Reads the saved copy.
 *
 * @throws {Deno.errors.NotFound} when the container is gone
 */
export function loadSaved(root: string, id: string): Saved {
  const saved = parseConfigJson(readSaved(root, id)) as unknown as {
    config: Omit<Config, "flags"> & { flags: Record<string, string> };
    late: Record<string, Op>;
    setgroups?: "allow" | "deny";
  };
  return {
    config: {
      ...saved.config,
      flags: new Map(Object.entries(saved.config.flags)),
    },
    late: saved.late,
    setgroups: saved.setgroups,
  };
}

/** Writes the saved copy again, after an update. */
export function rewriteSaved(root: string, id: string, saved: Saved): void {
  const text = encodeState({
    ...saved,
    config: {
      ...saved.config,
      flags: Object.fromEntries(saved.config.flags),
    },
  });
  saving(id, () => replaceFile(`${root}/${id}/config.json`, text));
}
