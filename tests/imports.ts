/**
 * The imports of the program, as its sources have them.
 *
 * @module
 */

export const ROOT = `${import.meta.dirname}`.replace(/\/tests$/, "");

/** One import statement. */
export interface Import {
  from: string;
  to: string;
  /** `import type` or `export type`: gone before anything runs. */
  typeOnly: boolean;
}

/** `path` of an import in the file `from`, relative to the root. */
function resolveImport(from: string, to: string): string {
  return to.startsWith(".")
    ? new URL(to, `file:///${from}`).pathname.slice(1)
    : to;
}

/** The import statements of a source text. */
export function readImports(from: string, text: string): Import[] {
  const code = text.replace(/\/\*[\s\S]*?\*\//g, "").replace(
    /^\s*\/\/.*$/gm,
    "",
  );
  const statement =
    /^\s*(?:import|export)\s+(type\s+)?(?:[\w*{][^;"']*?\sfrom\s*)?"([^"]+)"/gm;
  const found = [...code.matchAll(statement)].map(([all, type, to]) => ({
    from,
    to: resolveImport(from, to!),
    typeOnly: type !== undefined || isInlineTypes(all),
  }));
  for (
    const [, type, to] of code.matchAll(/(typeof\s+)?\bimport\(\s*"([^"]+)"/g)
  ) {
    found.push({
      from,
      to: resolveImport(from, to!),
      typeOnly: type !== undefined,
    });
  }
  return found;
}

/** `import { type A, type B } from ...`: every name is a type. */
function isInlineTypes(statement: string): boolean {
  const names = /\{([^}]*)\}/.exec(statement)?.[1]?.split(",")
    .map((name) => name.trim()).filter(Boolean);
  return names !== undefined && names.length > 0 &&
    names.every((name) => name.startsWith("type "));
}

export function listFiles(dir: string): string[] {
  return [...Deno.readDirSync(`${ROOT}/${dir}`)].flatMap((entry) =>
    entry.isDirectory
      ? listFiles(`${dir}/${entry.name}`)
      : entry.name.endsWith(".ts")
      ? [`${dir}/${entry.name}`]
      : []
  );
}

/** Every import of the program. */
export function readProgram(): Import[] {
  return ["main.ts", ...listFiles("mod"), ...listFiles("ffi")].flatMap((file) =>
    readImports(file, Deno.readTextFileSync(`${ROOT}/${file}`))
  );
}
