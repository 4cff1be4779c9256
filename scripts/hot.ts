/**
 * Makes two files of what `deno bundle --code-splitting` wrote, for a fast start:
 * the entry, which can start a container that it has started before, and the
 * rest.
 *
 * What engines call often is code of the rest. The functions that a container's
 * start needs are put in parentheses: that makes V8 compile them with the file,
 * so that Deno's cache of compiled code holds them. Everything else (help,
 * completions, doctor, explain ...) rides along as text that nobody parses, and
 * is imported as a data: URL when it is called for.
 *
 * @module
 */

/** Files by name, as `deno bundle` wrote them, not minified. */
export type Parts = ReadonlyMap<string, string>;

/** What {@linkcode splitParts} makes. */
export interface Split {
  /** Files for a second bundling, which starts at rest.js. */
  hot: Map<string, string>;
  /** The other files, as text: imports name "rustyrun:FILE", or "rustyrun:"
   * for the bundle itself. */
  rare: Map<string, string>;
}

/** Marks a function to be compiled at once. */
const EAGER = "__rustyrun_eager__";
/** In the entry: the argument of the import() of the rest, to be replaced when
 * the bundler no longer looks for it. */
export const REST = "__rustyrun_rest__";
/** Property of globalThis that imports a part. */
const LOAD = "__rustyrun_load__";

const STATIC = /(?:from|import) "\.\/([\w.-]+)";$/gm;
const DYNAMIC = /\bimport\("\.\/([\w.-]+)"\)/g;
const NAMED = /^import \{([^}]*)\} from "\.\/([\w.-]+)";$/gm;

const names = (text: string, pattern: RegExp): string[] =>
  [...text.matchAll(pattern)].map((it) => it[1]!);

/** "mod/cli/run.ts" comes out as run-OO2BKBQK.js. */
const stem = (name: string): string => name.replace(/-[A-Z0-9]{8}\.js$/, "");

/** The files that are in reach of one: its imports, and of what is only imported
 * on the way the ones in `also`. */
function reach(
  parts: Parts,
  from: string,
  also: ReadonlySet<string> = new Set(),
): Set<string> {
  const found = new Set<string>();
  const visit = (name: string) => {
    if (found.has(name)) return;
    found.add(name);
    const text = parts.get(name) ?? "";
    names(text, STATIC).forEach(visit);
    names(text, DYNAMIC).filter((it) => also.has(stem(it))).forEach(visit);
  };
  visit(from);
  return found;
}

/** Turns the top-level functions of modules into marked expressions, above
 * everything that could call them. The bundler writes each module's path into
 * a comment before its code. */
function markFunctions(text: string, cold: RegExp): string {
  const marked: string[] = [];
  const rest = text.split(/^(?=\/\/ [\w./-]+\.ts$)/m).map((module) =>
    cold.test(module.slice(3, module.indexOf("\n"))) ? module : module.replace(
      /^(?:async )?function\*? ([\w$]+)\([^]*?^\}$/gm,
      (code, name) => {
        marked.push(`var ${name} = /* @__PURE__ */ ${EAGER}(${code});`);
        return "";
      },
    )
  );
  return [...marked, ...rest].join("\n");
}

/** Which code goes where. */
export interface Heat {
  /** Stems of files that are imported on the way, and are code all the same. */
  warm: ReadonlySet<string>;
  /** Paths of modules that a container's start does not call. */
  cold: RegExp;
}

/** The part that main.js loads when it is not enough by itself. */
function findRest(parts: Parts): string {
  const [name] = names(parts.get("main.js") ?? "", DYNAMIC);
  if (name === undefined) throw new Error("main.js loads no other part");
  return name;
}

/**
 * The files of main.js itself; it loads the rest by `import(REST)`.
 *
 * @param cold paths of modules that a start from a recipe does not call
 */
export function splitEntry(
  parts: Parts,
  cold: RegExp,
): Map<string, string> {
  return new Map(
    [...reach(parts, "main.js")].map((name) => [
      name,
      markFunctions(parts.get(name) ?? "", cold)
        .replace(DYNAMIC, `import(${REST})`),
    ]),
  );
}

/** Divides the parts that main.js loads. The entry of `hot` is rest.js. */
export function splitParts(parts: Parts, { warm, cold }: Heat): Split {
  const entry = findRest(parts);
  const hotNames = reach(parts, entry, warm);
  const exported = new Set<string>();
  const rare = new Map<string, string>();
  const prefix = new Map([...hotNames].map((name, i) => [name, `h${i}$`]));
  for (const [name, text] of parts) {
    if (hotNames.has(name)) continue;
    const code = text
      .replace(NAMED, (_, list: string, from: string) => {
        const at = prefix.get(from);
        if (at === undefined) {
          return `import {${list}} from "rustyrun:${from}";`;
        }
        const items = list.split(",").map((it) => it.trim()).filter((it) =>
          it !== ""
        ).map((it) => {
          const [theirs, ours] = it.split(" as ");
          exported.add(
            `export { ${theirs} as ${at}${theirs} } from "./${from}";`,
          );
          return `${at}${theirs} as ${ours ?? theirs}`;
        });
        return `import { ${items.join(", ")} } from "rustyrun:";`;
      })
      .replace(
        /^import "\.\/([\w.-]+)";$/gm,
        (_, from) => prefix.has(from) ? "" : `import "rustyrun:${from}";`,
      )
      .replace(DYNAMIC, (_, from) => `${LOAD}("${from}")`);
    rare.set(name, code);
  }
  const hot = new Map<string, string>();
  for (const name of hotNames) {
    const inside = new Set<string>();
    const text = (parts.get(name) ?? "").replace(DYNAMIC, (_, from) => {
      if (!prefix.has(from)) return `${LOAD}("${from}")`;
      inside.add(from);
      return `Promise.resolve(${prefix.get(from)})`;
    });
    const imports = [...inside].map((from) =>
      `import * as ${prefix.get(from)} from "./${from}";`
    );
    hot.set(name, [...imports, markFunctions(text, cold)].join("\n"));
  }
  hot.set(
    "rest.js",
    [`export { main } from "./${entry}";`, ...exported].join("\n"),
  );
  return { hot, rare };
}

/** An object literal with a getter for each text: V8 looks over what a function
 * that nobody calls returns, but neither makes a string of it nor caches it. */
export function lazyStrings(texts: Iterable<[string, string]>): string {
  const getters = [...texts].map(([name, text]) =>
    `get ${JSON.stringify(name)}(){return ${JSON.stringify(text)}}`
  );
  return `{${getters.join(",")}}`;
}

/**
 * Puts the bundled hot code and the rare parts together.
 *
 * @param code main.js and all that it imports, minified
 */
export function joinParts(code: string, rare: Split["rare"]): string {
  const eager = code.replaceAll(`${EAGER}(`, "(");
  if (rare.size === 0) return eager;
  const parts = lazyStrings(rare);
  return `const __parts=${parts},` +
    `__url=n=>n===""?import.meta.url:"data:text/javascript,"+encodeURIComponent(` +
    `__parts[n].replace(/"rustyrun:([\\w.-]*)"/g,(_,m)=>JSON.stringify(__url(m))));\n` +
    `globalThis.${LOAD}=n=>import(__url(n));\n${eager}`;
}
