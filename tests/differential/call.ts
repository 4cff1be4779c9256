/**
 * How a bundle's run calls programs and reads what they leave.
 *
 * @module
 */

import { execute, type Runtime } from "../conformance/runtimes.ts";
import { isObject, type Json, type JsonObject } from "./case.ts";
import type { Place } from "./bundle.ts";

/** Milliseconds in which something must have come about; long, for machines
 * that have other work. */
export const SOON = 60_000;

/** The text of a file; undefined where it cannot be read. */
export function readText(path: string): string | undefined {
  try {
    return Deno.readTextFileSync(path);
  } catch {
    return undefined;
  }
}

/** Looks every 10 ms until something holds; false when the time is over. */
export async function waitFor(
  what: () => boolean,
  milliseconds: number,
): Promise<boolean> {
  const end = Date.now() + milliseconds;
  while (!what()) {
    if (Date.now() > end) return false;
    await new Promise((done) => setTimeout(done, 10));
  }
  return true;
}

/** Whether a process has ended; a zombie counts. */
export function hasEnded(pid: number): boolean {
  const stat = readText(`/proc/${pid}/stat`);
  return stat === undefined ||
    /^[ZX]/.test(stat.slice(stat.lastIndexOf(")") + 2));
}

/** The value, or undefined where the text is no JSON. */
export function parseJson(text: string): Json | undefined {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The report in what the payload printed: a terminal adds carriage returns,
 * and a runtime may print before it. */
export function readReport(text: string): JsonObject | undefined {
  const begin = text.indexOf('{"argv"');
  const value = parseJson(text.replaceAll("\r\n", "\n").slice(begin));
  return begin >= 0 && isObject(value) ? value : undefined;
}

/** Objects written one after the other, each with a newline at its end. */
export function readObjects(text: string): JsonObject[] {
  return text.split(/\}\n(?=\{|$)/).filter((part) => part.trim() !== "")
    .map((part) => parseJson(`${part}}`)).filter(isObject);
}

/** A mode of the payload that waits on the host. */
export async function startHelper(
  place: Place,
  args: string[],
  out: string,
): Promise<Deno.ChildProcess> {
  const child = new Deno.Command("/bin/sh", {
    args: [
      "-c",
      'out=$1; shift; exec "$@" >"$out" 2>"$out.2"',
      "sh",
      out,
      place.payload,
      ...args,
    ],
    stdin: "piped",
    stdout: "null",
    stderr: "null",
  }).spawn();
  await waitFor(() => (readText(out) ?? "").includes("ing\n"), SOON);
  return child;
}

/** Ends it: by the end of its input, else by SIGKILL. */
export async function endHelper(child: Deno.ChildProcess): Promise<void> {
  await child.stdin.close().catch(() => {});
  const timer = setTimeout(() => {
    try {
      child.kill("SIGKILL");
    } catch {
      // It ended in between.
    }
  }, SOON);
  await child.status;
  clearTimeout(timer);
}

/** Environment of the runtime: little, and the same for all. */
function runtimeEnv(): Record<string, string> {
  const env: Record<string, string> = {
    PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
  };
  for (const name of ["DENO_DIR", "HOME", "DENO_CERT", "SSL_CERT_FILE"]) {
    const value = Deno.env.get(name);
    if (value !== undefined) env[name] = value;
  }
  return env;
}

/** Runs the runtime with its standard streams on files, as conmon and the
 * shim do: a container outlives it and must not hold the harness's pipes. Its
 * parent is timeout(1), with a soft limit of descriptors that Deno did not
 * raise. */
export async function callRuntime(
  runtime: Runtime,
  place: Place,
  args: string[],
  out: string,
): Promise<{ code: number; stdout: string; stderr: string }> {
  const outcome = await execute([
    "/bin/sh",
    "-c",
    'out=$1; shift; ulimit -Sn 4096; exec "$@" </dev/null >"$out" 2>"$out.2"',
    "sh",
    out,
    ...(place.inside ? ["nsenter", "--mount", `--target=${place.holder}`] : []),
    place.payload,
    "clean",
    "timeout",
    "--foreground",
    "--signal=KILL",
    "60",
    runtime.command,
    ...args,
  ], { env: runtimeEnv(), clearEnv: true, timeout: 70_000, cwd: place.dir });
  return {
    code: outcome.timedOut || outcome.code === 137 ? -1 : outcome.code,
    stdout: readText(out) ?? "",
    stderr: readText(`${out}.2`) ?? "",
  };
}
