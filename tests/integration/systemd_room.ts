/**
 * A bundle whose container is a unit of systemd's, and its caller: in this very
 * process, since each start of Deno's is slow where everything is emulated.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { readCaller } from "../../mod/caller.ts";
import { main } from "../../mod/cli/main.ts";
import { ownOutlet } from "../../mod/outlet.ts";
import {
  cliCommand,
  findLeaks,
  makeRootfs,
  runToEnd,
  takeSnapshot,
} from "../harness.ts";
import { waitFor } from "../wait.ts";
import { makeSpec, type Spec } from "./caller.ts";

/** How a command of this process ended. */
export interface Said {
  code: number;
  stdout: string;
  stderr: string;
}

/** Makes a call, as if another process did. */
export async function callHere(words: readonly string[]): Promise<Said> {
  const said = { 1: "", 2: "" };
  const decoder = new TextDecoder();
  const code = await main({
    // Its getters are read when they are asked for.
    caller: Object.create(readCaller(), { words: { value: words } }),
    outlet: {
      ...ownOutlet,
      write(stream, bytes) {
        said[stream] += decoder.decode(bytes);
      },
    },
  });
  return { code, stdout: said[1], stderr: said[2] };
}

/** What systemd says of a unit. */
export async function show(
  unit: string,
  names: readonly string[],
  user: readonly string[] = [],
): Promise<Record<string, string>> {
  const { stdout } = await runToEnd([
    ...user,
    "systemctl",
    ...user.length > 0 ? ["--user"] : [],
    "show",
    unit,
    ...names.map((it) => `--property=${it}`),
  ]);
  const found: Record<string, string> = {};
  for (const line of stdout.trim().split("\n")) {
    const at = line.indexOf("=");
    const [name, value] = [line.slice(0, at), line.slice(at + 1)];
    found[name] = name in found ? `${found[name]}; ${value}` : value;
  }
  return found;
}

/** Waits until a unit is gone, and not failed either. */
export async function waitForNone(
  unit: string,
  user: readonly string[] = [],
): Promise<void> {
  const look = async () => {
    const { LoadState, ActiveState } = await show(
      unit,
      ["LoadState", "ActiveState"],
      user,
    );
    return `${LoadState} ${ActiveState}`;
  };
  const gone = "not-found inactive";
  assertEquals(await waitFor(look, (it) => it === gone), gone);
}

/** One test's container. */
export interface ScopeRoom extends AsyncDisposable {
  id: string;
  bundle: string;
  rootfs: string;
  /** --root */
  root: string;
  unit: string;
  /** Its cgroup. */
  dir: string;
  write(spec: Spec): void;
  /** A command in this process; nothing of systemd in its words. */
  call(...words: string[]): Promise<Said>;
  /** The same for one that must say nothing. */
  quiet(...words: string[]): Promise<void>;
  /** create, and start. */
  start(): Promise<void>;
  /** A file of the container's cgroup. */
  read(file: string): string;
  /** The same command line for a process of its own. */
  line(...words: string[]): string[];
}

let rooms = 0;

/** Makes a bundle in a slice of its own; disposal fails when anything is left. */
export function makeScopeRoom(over: Spec = {}): ScopeRoom {
  const id = `rrunit-${Deno.pid}-${++rooms}`;
  // Of this process: to stop a slice is to stop all below it.
  const outer = `rrtest${Deno.pid}`;
  const slice = `${outer}-n.slice`;
  const before = takeSnapshot();
  const bundle = Deno.makeTempDirSync({ prefix: "rustyrun-test-unit-" });
  const rootfs = `${bundle}/rootfs`;
  Deno.renameSync(makeRootfs(), rootfs);
  const root = `${bundle}/states`;
  const write = (spec: Spec) => {
    const linux = { cgroupsPath: `${slice}:rr:${id}`, ...spec.linux };
    Deno.writeTextFileSync(
      `${bundle}/config.json`,
      JSON.stringify(makeSpec(id, { ...spec, linux })),
    );
  };
  write(over);
  const room: ScopeRoom = {
    id,
    bundle,
    rootfs,
    root,
    unit: `rr-${id}.scope`,
    dir: `/sys/fs/cgroup/${outer}.slice/${slice}/rr-${id}.scope`,
    write,
    call: (...words) => callHere(["--root", root, ...words]),
    async quiet(...words) {
      assertEquals(await room.call(...words), {
        code: 0,
        stdout: "",
        stderr: "",
      });
    },
    async start() {
      await room.quiet("--systemd-cgroup", "create", "-b", bundle, id);
      await room.quiet("start", id);
    },
    read: (file) => Deno.readTextFileSync(`${room.dir}/${file}`).trim(),
    line: (...words) => [...cliCommand(), "--root", root, ...words],
    async [Symbol.asyncDispose]() {
      await room.call("delete", "--force", id);
      await waitForNone(room.unit);
      await runToEnd(["systemctl", "stop", slice, `${outer}.slice`]);
      const left = await findLeaks(before, id);
      Deno.removeSync(bundle, { recursive: true });
      if (left.length > 0) throw new Error(`Left behind: ${left.join("; ")}`);
    },
  };
  return room;
}
