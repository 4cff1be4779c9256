/**
 * Writes mod/seccomp/numbers.ts: the system call numbers of x86_64, i386, x32,
 * aarch64 and arm, as text that is cheap to parse.
 *
 *     deno run -RW scripts/seccomp_tables.ts X_SYS_UNIX_DIRECTORY VERSION
 *
 * The directory is `unix` of the Go module golang.org/x/sys (its zsysnum files
 * are made from the kernel's own tables); x32's private numbers come from
 * /usr/include/x86_64-linux-gnu/asm/unistd_x32.h (linux-libc-dev).
 *
 * @module
 */

import { describeFileError } from "../mod/errors.ts";

/** Not system calls, though the headers have an __NR_ for them. */
const NOT_CALLS = ["arch_specific_syscall", "syscall_mask"];

/** x86_64 calls newer than linux-libc-dev 6.1 that the kernel's
 * syscall_64.tbl gives to the "64" ABI alone. */
const ONLY_64 = ["uretprobe", "uprobe", "map_shadow_stack"];

/** arch/arm/include/uapi/asm/unistd.h: __ARM_NR_BASE and the calls above it. */
const ARM_PRIVATE: [string, number][] = [
  ["breakpoint", 0xf0001],
  ["cacheflush", 0xf0002],
  ["usr26", 0xf0003],
  ["usr32", 0xf0004],
  ["set_tls", 0xf0005],
  ["get_tls", 0xf0006],
];

type Table = Map<string, number>;

const [directory, version] = Deno.args;
if (!directory || !version) {
  console.error("usage: seccomp_tables.ts X_SYS_UNIX_DIRECTORY VERSION");
  Deno.exit(2);
}

function readTable(goarch: string): Table {
  const path = `${directory}/zsysnum_linux_${goarch}.go`;
  let text: string;
  try {
    text = Deno.readTextFileSync(path);
  } catch (error) {
    console.error(`Cannot read "${path}": ${describeFileError(error)}`);
    Deno.exit(1);
  }
  const table: Table = new Map();
  for (const [, name, number] of text.matchAll(/^\s+SYS_(\w+)\s*=\s*(\d+)/gm)) {
    const lower = name!.toLowerCase();
    if (!NOT_CALLS.includes(lower)) table.set(lower, Number(number));
  }
  return table;
}

/** In the order of the numbers, which compile.ts relies on: a number sets the
 * counter, a name takes it and adds one. */
function pack(entries: Iterable<[string, number]>): string {
  let next = 0;
  const words: string[] = [];
  for (const [name, number] of [...entries].sort((a, b) => a[1] - b[1])) {
    if (number !== next) words.push(String(number));
    words.push(name);
    next = number + 1;
  }
  return words.join(" ");
}

/** A text in pieces, joined by the compiler of the bundle. */
function constant(name: string, doc: string, text: string): string {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ")) {
    if (line.length + word.length > 72) {
      lines.push(line + " ");
      line = "";
    }
    line += (line ? " " : "") + word;
  }
  lines.push(line);
  return `/** ${doc} */\nexport const ${name} =\n  ${
    lines.map((line) => JSON.stringify(line)).join(" +\n  ")
  };\n`;
}

const x64 = readTable("amd64");
const i386 = readTable("386");
const arm64 = readTable("arm64");
const arm = readTable("arm");

const header = Deno.readTextFileSync(
  "/usr/include/x86_64-linux-gnu/asm/unistd_x32.h",
);
const x32: Table = new Map();
for (
  const [, name, number] of header.matchAll(
    /#define __NR_(\w+) \(__X32_SYSCALL_BIT \+ (\d+)\)/g,
  )
) x32.set(name!, Number(number));
const lastKnown = Math.max(...[...x32.values()].filter((n) => n < 512));
const absent = [...x64].filter(([name, number]) =>
  !x32.has(name) && (number <= lastKnown || ONLY_64.includes(name))
).map(([name]) => name);

const shared = [...x64].filter(([name, number]) =>
  number >= 424 &&
  [i386, arm64].every((table) => table.get(name) === number)
);
const shared32 = [...i386].filter(([name, number]) =>
  number >= 403 && arm.get(name) === number &&
  !shared.some(([other]) => other === name)
);
const armAbsent = [...shared, ...shared32].map(([name]) => name)
  .filter((name) => !arm.has(name));
const own = (table: Table, ...others: [string, number][][]) =>
  pack(
    [...table].filter(([name]) =>
      !others.some((list) => list.some(([other]) => other === name))
    ),
  );

Deno.writeTextFileSync(
  new URL("../mod/seccomp/numbers.ts", import.meta.url),
  `/**
 * System call numbers, written by scripts/seccomp_tables.ts: from
 * golang.org/x/sys ${version}, x32's own from linux-libc-dev.
 * In each text a number sets the counter, a name takes its value and adds one.
 *
 * @module
 */

` + [
    constant(
      "SHARED",
      "Calls with one number everywhere (but ARM_ABSENT).",
      pack(shared),
    ),
    constant(
      "SHARED_32",
      "Calls with one number on i386 and arm.",
      pack(shared32),
    ),
    constant("X86_64", "The rest of x86_64.", own(x64, shared)),
    constant("I386", "The rest of i386.", own(i386, shared, shared32)),
    constant(
      "X32",
      "x32's private numbers, without bit 30.",
      pack([...x32].filter(([, number]) => number >= 512)),
    ),
    constant(
      "X32_ABSENT",
      "Calls of x86_64 that x32 has not.",
      absent.join(" "),
    ),
    constant("AARCH64", "The rest of aarch64.", own(arm64, shared)),
    constant("ARM", "The rest of arm (EABI).", own(arm, shared, shared32)),
    constant(
      "ARM_PRIVATE",
      "arm's private numbers (__ARM_NR_BASE).",
      pack(ARM_PRIVATE),
    ),
    constant(
      "ARM_ABSENT",
      "Shared calls that arm has not.",
      armAbsent.join(" "),
    ),
  ].join("\n"),
);
