/**
 * No file is longer than somebody reads at once: 400 lines of TypeScript, 600 of C.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { ROOT } from "./harness.ts";

const MAX: Record<string, number> = { ts: 400, c: 600, h: 600 };
const ROOMS = [
  ...["mod", "ffi", "c", "types"],
  ...["tests", "scripts", "bench", "docs"],
];

function listFiles(path: string): string[] {
  if (!Deno.statSync(`${ROOT}/${path}`).isDirectory) return [path];
  return [...Deno.readDirSync(`${ROOT}/${path}`)].flatMap(({ name }) =>
    name === "node_modules" ? [] : listFiles(`${path}/${name}`)
  );
}

Deno.test("no file is longer than 400 lines of TypeScript, or 600 of C", () => {
  const files = ["main.ts", ...ROOMS.flatMap(listFiles)]
    .flatMap((path) => {
      const max = MAX[path.slice(path.lastIndexOf(".") + 1)];
      return max === undefined ? [] : [{ path, max }];
    });
  assertEquals(files.length > 300, true);
  assertEquals(
    files.flatMap(({ path, max }) => {
      const lines = Deno.readTextFileSync(`${ROOT}/${path}`).split("\n").length;
      return lines - 1 > max ? [`${path}: ${lines - 1}`] : [];
    }),
    [],
  );
});
