/**
 * Turns an observation into lines that can be compared: what differs between
 * two runs by nature (ids, pids, inode numbers) is replaced by what it means.
 *
 * @module
 */

import { isObject, type Json, type JsonObject } from "./case.ts";
import type { Place } from "./bundle.ts";
import type { Observation } from "./run.ts";

/** Path of a fact -> its value. */
export type Facts = Map<string, string>;

function linkOf(path: string): string | undefined {
  try {
    return Deno.readLinkSync(path);
  } catch {
    return undefined;
  }
}

/** "host" for the harness's own namespace, "own" for a new one. */
function nameNamespaces(value: Json | undefined): JsonObject {
  const named: JsonObject = {};
  for (const [name, link] of Object.entries(isObject(value) ? value : {})) {
    const host = linkOf(`/proc/self/ns/${name}`);
    named[name] = typeof link !== "string"
      ? "unknown"
      : link === host
      ? "host"
      : "own";
  }
  return named;
}

/** One line of mountinfo without the numbers. */
function describeMount(line: string): { at: string; what: string } {
  const words = line.split(" ");
  const dash = words.indexOf("-");
  const fields = words.slice(6, dash).map((f) => f.replace(/:\d+$/, "")).sort();
  return {
    at: words[4] ?? "",
    what: `${words[dash + 1]} from ${words[dash + 2]} root=${words[3]} ${
      words[5]
    } [${fields.join(" ")}] super=${words[dash + 3]}`,
  };
}

function describeMounts(value: Json | undefined): JsonObject {
  const seen: JsonObject = {};
  const order: string[] = [];
  for (const line of Array.isArray(value) ? value : []) {
    const { at, what } = describeMount(String(line));
    order.push(at);
    let key = at;
    for (let n = 2; key in seen; n++) key = `${at}#${n}`;
    seen[key] = what;
  }
  // Kernels list mounts by age, and an attached tree may be older than what it
  // is attached to: the order of the list says nothing.
  seen.list = order.sort().join(" ");
  return seen;
}

/** Environment by name, and the order of the names. */
function describeEnv(value: Json | undefined): JsonObject {
  const seen: JsonObject = {};
  const names: string[] = [];
  for (const entry of Array.isArray(value) ? value : []) {
    const text = String(entry);
    const equals = text.indexOf("=");
    const name = equals < 0 ? text : text.slice(0, equals);
    names.push(name);
    let key = name;
    for (let n = 2; key in seen; n++) key = `${name}#${n}`;
    seen[key] = equals < 0 ? "(no =)" : text.slice(equals + 1);
  }
  seen["(order)"] = names.join(" ");
  return seen;
}

function normaliseReport(report: JsonObject): JsonObject {
  const result: JsonObject = { ...report };
  result.env = describeEnv(report.env);
  result.namespaces = nameNamespaces(report.namespaces);
  result.mounts = describeMounts(report.mounts);
  result.cgroup = (Array.isArray(report.cgroup) ? report.cgroup : [])
    .map((line) => String(line).replace(/^\d+:/, "")).sort();
  const relations = isObject(report.relations) ? report.relations : {};
  const name = (pid: Json | undefined) =>
    pid === 0 || pid === 1 ? String(pid) : "other";
  result.relations = {
    ...relations,
    pid: name(relations.pid),
    ppid: relations.ppid === 0 ? "outside" : name(relations.ppid),
  };
  const fds = isObject(report.fds) ? report.fds : {};
  result.fds = Object.fromEntries(
    Object.entries(fds).map(([fd, what]) => [
      fd,
      String(what).replace(/\[\d+\]/, "").replace(/\/pts\/\d+/, "/pts/N"),
    ]),
  );
  return result;
}

function normaliseState(value: Json): Json {
  if (!isObject(value)) return value;
  const result: JsonObject = {};
  for (const key of ["id", "status", "bundle", "annotations", "rootfs"]) {
    if (value[key] !== undefined) result[key] = value[key];
  }
  result.pid = typeof value.pid === "number"
    ? (value.pid > 0 ? "a pid" : "0")
    : "absent";
  for (const key of ["ociVersion", "created", "owner"]) {
    result[key] = key in value ? "there" : "absent";
  }
  for (const key of ["fds", "pid", "metadata", "state"]) {
    if (!("fds" in value) || value[key] === undefined) continue;
    const part = value[key];
    result[`listener_${key}`] = key === "state"
      ? normaliseState(part)
      : key === "pid"
      ? "a pid"
      : part;
  }
  return result;
}

function normaliseHook(run: JsonObject, pid: number): JsonObject {
  let state: Json = "not JSON";
  try {
    state = JSON.parse(String(run.stdin));
  } catch {
    // The words stand for themselves.
  }
  const told = isObject(state) ? state.pid : undefined;
  const ids = isObject(run.ids) ? run.ids : {};
  return {
    argv: run.argv ?? null,
    env: describeEnv(run.env),
    cwd: run.cwd ?? null,
    namespaces: nameNamespaces(run.namespaces),
    fds: Object.keys(isObject(run.fds) ? run.fds : {}),
    uid: ids.uid ?? null,
    state: normaliseState(state),
    pid: told === pid
      ? "pid of init on the host"
      : told === 1
      ? "1"
      : `${typeof told}${told === 0 ? " 0" : ""}`,
  };
}

function flatten(value: Json, path: string, facts: Facts): void {
  if (isObject(value)) {
    for (const [key, part] of Object.entries(value)) {
      flatten(part, `${path}.${key}`, facts);
    }
  } else if (Array.isArray(value) && value.some((part) => isObject(part))) {
    value.forEach((part, i) => flatten(part, `${path}.${i}`, facts));
  } else {
    facts.set(path, typeof value === "string" ? value : JSON.stringify(value));
  }
}

/** All that is compared of one observation. */
export function listFacts(seen: Observation, place: Place): Facts {
  const facts: Facts = new Map();
  facts.set("outcome", seen.outcome);
  facts.set("left", seen.left.join(", ") || "nothing");
  if (seen.report !== undefined) {
    flatten(normaliseReport(seen.report), "inside", facts);
  }
  for (const [file, runs] of Object.entries(seen.hooks)) {
    facts.set(`hook.${file}`, `${runs.length} runs`);
    runs.forEach((run, i) =>
      flatten(normaliseHook(run, seen.pid), `hook.${file}.${i}`, facts)
    );
  }
  for (const [when, state] of Object.entries(seen.states)) {
    flatten(normaliseState(state), `state.${when}`, facts);
  }
  flatten(seen.cgroup, "cgroup", facts);
  flatten(seen.host, "host", facts);
  for (const [path, value] of facts) {
    facts.set(
      path,
      value.replaceAll(place.id, "ID").replaceAll(place.dir, "DIR"),
    );
  }
  return facts;
}
