/**
 * What the tests of files inside a container share: a root, the host beside it,
 * and somebody who renames.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { findBelow, makeDirBelow } from "../ffi/at.ts";
import { readDirSync, readLinkSync, removeSync } from "../ffi/files.ts";
import { closeFd, libc, openFd } from "../ffi/libc.ts";
import type { Root } from "../mod/container/inside/rights.ts";
import { ContainerError } from "../mod/errors.ts";
import type { Swap } from "./inside_swap.ts";
import { waitFor } from "./wait.ts";

// A library that a test opens counts as its leak.
libc();

const O_PATH = 0o10000000;

/** Us, as whom files are made. */
export const SELF = { uid: Deno.uid() ?? 0, gid: Deno.gid() ?? 0 };

/** A root as strong as we are, by its descriptor. */
export function rootOf(fd: number): Root {
  return { fd, ...SELF, strong: true };
}

/** A directory with a root in it, and with what nobody in there may reach. */
export interface Room extends Disposable {
  /** On the host: the root is DIR/root, the host's own is DIR/host. */
  dir: string;
  /** The root, whose user is as strong as we are. */
  root: Root;
  /** Fails when the host's own is not as it was. */
  check(): void;
}

/** What this process has open in a directory. */
export function listOpen(dir: string): string[] {
  return readDirSync("/proc/self/fd").flatMap(({ name }) => {
    try {
      const path = readLinkSync(`/proc/self/fd/${name}`);
      return path.startsWith(dir) ? [path] : [];
    } catch (error) {
      // The descriptor that has read the list.
      if (error instanceof Deno.errors.NotFound) return [];
      throw error;
    }
  });
}

export function makeRoom(): Room {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-inside-" });
  Deno.mkdirSync(`${dir}/root`);
  Deno.mkdirSync(`${dir}/host`);
  Deno.writeTextFileSync(`${dir}/host/file`, "the host's");
  const root = rootOf(openFd(`${dir}/root`, O_PATH));
  const check = () => {
    assertEquals([...Deno.readDirSync(`${dir}/host`)].map((it) => it.name), [
      "file",
    ]);
    assertEquals(Deno.readTextFileSync(`${dir}/host/file`), "the host's");
  };
  return {
    dir,
    root,
    check,
    [Symbol.dispose]() {
      closeFd(root.fd);
      check();
      assertEquals(listOpen(dir), []);
      removeSync(dir, { recursive: true });
    },
  };
}

/** The code of the ContainerError that a call throws, "" where it does not. */
export function codeOf(call: () => unknown): string {
  try {
    call();
    return "";
  } catch (error) {
    if (error instanceof ContainerError) return error.code;
    throw error;
  }
}

/** Its message. */
export function messageOf(call: () => unknown): string {
  try {
    call();
    return "";
  } catch (error) {
    if (error instanceof ContainerError) return error.message;
    throw error;
  }
}

/** Opens "/" of the host as if it were a container's. */
export function openHostRoot(): Disposable & { fd: number } {
  const fd = openFd("/", O_PATH);
  return { fd, [Symbol.dispose]: () => closeFd(fd) };
}

/** Makes directories in each other, deeper than any path can say. */
export function makeDeep(dir: string, depth: number, name: string): void {
  let at = openFd(dir, O_PATH);
  for (let i = 0; i < depth; i++) {
    makeDirBelow(at, name, 0o755);
    const next = findBelow(at, name);
    closeFd(at);
    at = next;
  }
  closeFd(at);
}

/** Calls again and again while two names are exchanged, until every wanted
 * outcome was seen.
 *
 * @returns all outcomes: what `call` returns */
export async function whileSwapping(
  one: string,
  other: string,
  wanted: readonly string[],
  call: () => string,
  exchanges = 1,
): Promise<string[]> {
  const state = new Int32Array(new SharedArrayBuffer(8));
  const worker = new Worker(new URL("./inside_swap.ts", import.meta.url), {
    type: "module",
  });
  try {
    worker.postMessage({ one, other, state } satisfies Swap);
    const seen = new Set<string>();
    let failure: unknown;
    await waitFor(() => Atomics.load(state, 1) >= exchanges);
    await waitFor(() => {
      for (let i = 0; i < 30 && failure === undefined; i++) {
        try {
          seen.add(call());
        } catch (error) {
          failure = error;
        }
      }
      return failure !== undefined || wanted.every((it) => seen.has(it));
    });
    const stopped = new Promise((resolve) => worker.onmessage = resolve);
    Atomics.store(state, 0, 1);
    await stopped;
    if (failure !== undefined) throw failure;
    return [...seen].sort();
  } finally {
    worker.terminate();
  }
}
