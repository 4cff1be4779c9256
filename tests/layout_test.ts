/**
 * The twins agree: mod/plan.ts with c/plan.h, c/kernel.h and ffi/constants.ts
 * with the kernel's headers, on x86_64 and (by a cross compiler and qemu-user)
 * on aarch64.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import {
  AT,
  CLONE,
  IOPRIO_CLASS,
  MAGIC,
  MOUNT_ATTR,
  MPOL,
  MS,
  O,
  O_BY_ARCH,
  OPEN_TREE_CLONE,
  PERSONALITY,
  PR,
  RESOLVE,
  S_IF,
  SCHED,
  SCHED_FLAG,
} from "../ffi/constants.ts";
import { CAPS, RLIMITS } from "../ffi/names.ts";
import { signalName } from "../mod/signals.ts";
import { COVER, OPS, REMOVE } from "../mod/plan.ts";
import { REPORT, REPORT_SIZE } from "../mod/plan/report.ts";
import {
  PLAN_LIST,
  PLAN_MAGIC,
  PLAN_MAX,
  PLAN_SLOTS,
  PLAN_VERSION,
} from "../mod/plan/encode.ts";
import {
  ANSWER_SIZE,
  FRONT_FDS,
  FRONT_FIRST_MS,
  FRONT_INLINE,
  FRONT_MAGIC,
  FRONT_MARK,
  FRONT_NONCE,
  FRONT_PACKET,
  FRONT_PROGRAM,
  FRONT_QUEUED_MS,
  FRONT_SOCKET,
  FRONT_STRINGS,
  FRONT_VERSION,
  FRONT_WORDS,
  PLACE_HEAD,
  RECORD_SIZE,
  REQUEST_SIZE,
  STREAM_KINDS,
  TAKE_SIZE,
  VERB,
} from "../mod/serve/protocol.ts";
import { type Arch, DIALECT, WARNINGS } from "../scripts/build.ts";
import { type Need, testOn } from "./needs.ts";

const HERE = `${import.meta.dirname}`;

/** Compiles a C program for an architecture and returns the lines it prints. */
function runC(arch: Arch, source: string): string[] {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-layout-" });
  try {
    const cross = arch !== Deno.build.arch;
    const compiled = new Deno.Command(cross ? `${arch}-linux-gnu-gcc` : "cc", {
      args: [
        ...DIALECT,
        ...WARNINGS,
        "-Werror",
        "-static",
        source,
        "-o",
        `${dir}/a.out`,
      ],
    }).outputSync();
    assertEquals(new TextDecoder().decode(compiled.stderr), "");
    const ran = new Deno.Command(
      cross ? `qemu-${arch}-static` : `${dir}/a.out`,
      { args: cross ? [`${dir}/a.out`] : [] },
    ).outputSync();
    assertEquals(ran.code, 0);
    return new TextDecoder().decode(ran.stdout).trimEnd().split("\n");
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

/** sendFd -> SEND_FD */
function cName(name: string): string {
  return name.replace(/[A-Z]/g, (c) => `_${c}`).toUpperCase();
}

/** Every number of ffi/constants.ts by its name in the kernel's headers. */
function listConstants(arch: Arch): [string, number][] {
  const prefixed = (prefix: string, table: Record<string, number>) =>
    Object.entries(table).map(([name, value]): [string, number] => [
      prefix + name,
      value,
    ]);
  const { ATIME, RELATIME, ...attr } = MOUNT_ATTR;
  const { SCHED_OTHER, ...sched } = SCHED;
  return [
    ...prefixed("CLONE_", CLONE),
    ...prefixed("MS_", MS),
    ...prefixed("MOUNT_ATTR_", attr),
    ["MOUNT_ATTR__ATIME", ATIME],
    ["MOUNT_ATTR_RELATIME", RELATIME],
    ["OPEN_TREE_CLONE", OPEN_TREE_CLONE],
    ...prefixed("AT_", AT),
    ...prefixed("RESOLVE_", RESOLVE),
    ...prefixed("O_", O),
    ...prefixed("O_", O_BY_ARCH[arch]),
    ...prefixed("S_IF", S_IF),
    ...prefixed("PR_", PR),
    ...CAPS,
    ...RLIMITS,
    ...Array.from(
      { length: 31 },
      (_, at): [string, number] => [signalName(at + 1), at + 1],
    ),
    ...prefixed("", sched),
    // sched(7)'s name; the kernel's headers call it so.
    ["SCHED_NORMAL", SCHED_OTHER],
    ...prefixed("", SCHED_FLAG),
    ...prefixed("", IOPRIO_CLASS),
    ...prefixed("", MPOL),
    ["PER_LINUX", PERSONALITY.LINUX],
    ["PER_LINUX32", PERSONALITY.LINUX32],
    ...Object.entries(MAGIC).map(([name, value]): [string, number] => [
      ["CGROUP", "CGROUP2", "DEVPTS", "RDTGROUP", "OVERLAYFS", "FUSE"].includes(
          name,
        )
        ? `${name}_SUPER_MAGIC`
        : name === "PROC"
        ? "PROC_SUPER_MAGIC"
        : `${name}_MAGIC`,
      value,
    ]),
  ];
}

/** Names that some headers have as enumerators, which #ifdef does not see, and
 * names that only newer headers have. */
const ENUMERATORS = /^(MPOL|IOPRIO_CLASS|PER)_/;
const NEWER = new Set([
  "MPOL_WEIGHTED_INTERLEAVE", // linux/mempolicy.h, 6.9
  "SCHED_ISO", // reserved: a comment in linux/sched.h
]);

/** A program that prints the constants of a list as this machine's headers
 * have them. */
function printConstants(names: readonly string[]): string {
  const lines = names.filter((name) => !NEWER.has(name)).map((name) => {
    const print =
      `printf("%s %lld\\n", "${name}", (long long)(unsigned int)${name});`;
    return ENUMERATORS.test(name)
      ? print
      : `#ifdef ${name}\n${print}\n#else\nputs("${name} missing");\n#endif`;
  });
  return `#include <stdio.h>
#include <asm/signal.h>
#include <linux/capability.h>
#include <linux/fcntl.h>
#include <linux/ioprio.h>
#include <linux/magic.h>
#include <linux/mempolicy.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/personality.h>
#include <linux/prctl.h>
#include <linux/resource.h>
#include <linux/sched.h>
#include <sys/stat.h>
int main(void)
{
${lines.join("\n")}
return 0;
}
`;
}

const MACHINES: [Arch, Need[]][] = Deno.build.arch === "x86_64"
  ? [["x86_64", ["cc"]], ["aarch64", ["aarch64"]]]
  : [["aarch64", ["cc"]]];

for (const [arch, needs] of MACHINES) {
  testOn(needs, `plan.ts has the operations of c/plan.h (${arch})`, () => {
    const lines = runC(arch, `${HERE}/c/layout.c`);
    assertEquals(
      Object.entries(OPS).map(([name, { code, args }]) =>
        `op ${cName(name)} ${code} ${args.map((arg) => arg.at(-1)).join("")}`
          .trimEnd()
      ),
      lines.filter((line) => line.startsWith("op ")).map((l) => l.trimEnd()),
    );
  });

  testOn(needs, `plan.ts has the layout of c/plan.h (${arch})`, () => {
    const lines = runC(arch, `${HERE}/c/layout.c`)
      .filter((line) => !/^(op|kernel) |\bfront_|^FRONT_/.test(line));
    const widest = Math.max(
      ...Object.values(OPS).map(({ args }) => args.length),
    );
    const c = lines.find((line) => line.startsWith("PLAN_ARGS "));
    assertEquals(widest <= Number(c?.split(" ")[1]), true, c ?? "");
    assertEquals(lines.filter((line) => line !== c), [
      `PLAN_MAGIC ${PLAN_MAGIC}`,
      `PLAN_VERSION ${PLAN_VERSION}`,
      `PLAN_MAX ${PLAN_MAX}`,
      `PLAN_SLOTS ${PLAN_SLOTS}`,
      `PLAN_LIST ${PLAN_LIST}`,
      ...Object.entries(COVER).map(([name, value]) =>
        `COVER_${cName(name)} ${value}`
      ),
      ...Object.entries(REPORT).map(([name, value]) =>
        `REPORT_${cName(name)} ${value}`
      ),
      ...Object.entries(REMOVE).map(([name, value]) =>
        `REMOVE_${cName(name)} ${value}`
      ),
      // What encodePlan() writes and decodeReport() reads, by hand.
      "sizeof plan_head 24",
      "struct plan_head.magic 0 8",
      "struct plan_head.version 8 4",
      "struct plan_head.size 12 4",
      "struct plan_head.ops 16 4",
      "struct plan_head.fds 20 4",
      "sizeof plan_record 8",
      "struct plan_record.code 0 2",
      "struct plan_record.size 4 4",
      `sizeof report ${REPORT_SIZE}`,
      "struct report.kind 0 4",
      "struct report.index 4 4",
      "struct report.err 8 4",
      "struct report.detail 12 4",
      "struct report.text 16 256",
    ]);
  });

  testOn(
    needs,
    `mod/serve/protocol.ts has the layout of c/front.h (${arch})`,
    () => {
      const lines = runC(arch, `${HERE}/c/layout.c`)
        .filter((line) => /\bfront_|^FRONT_/.test(line));
      assertEquals(lines, [
        `FRONT_MAGIC ${FRONT_MAGIC}`,
        `FRONT_VERSION ${FRONT_VERSION}`,
        `FRONT_PACKET ${FRONT_PACKET}`,
        `FRONT_INLINE ${FRONT_INLINE}`,
        `FRONT_STRINGS ${FRONT_STRINGS}`,
        `FRONT_FDS ${FRONT_FDS}`,
        `FRONT_WORDS ${FRONT_WORDS}`,
        `FRONT_NONCE ${FRONT_NONCE}`,
        `FRONT_FIRST_MS ${FRONT_FIRST_MS}`,
        `FRONT_QUEUED_MS ${FRONT_QUEUED_MS}`,
        `FRONT_PROGRAM ${FRONT_PROGRAM}`,
        `FRONT_SOCKET ${FRONT_SOCKET}`,
        `FRONT_MARK ${FRONT_MARK}`,
        ...Object.entries(VERB).map(([name, value]) =>
          `FRONT_${cName(name)} ${value}`
        ),
        ...STREAM_KINDS.map((name, value) =>
          `FRONT_STREAM_${cName(name)} ${value}`
        ),
        // What protocol.ts reads and writes, by hand.
        `sizeof front_request ${REQUEST_SIZE}`,
        "struct front_request.magic 0 8",
        "struct front_request.version 8 4",
        "struct front_request.size 12 4",
        "struct front_request.program 16 4",
        "struct front_request.words 20 4",
        "struct front_request.variables 24 4",
        "struct front_request.umask 28 4",
        "struct front_request.stream 32 12",
        "struct front_request.personality 44 4",
        "struct front_request.memory_policy 48 4",
        "struct front_request.securebits 52 4",
        "struct front_request.no_huge_pages 56 4",
        "struct front_request.timer_slack 64 8",
        "struct front_request.files 72 16",
        `sizeof front_record ${RECORD_SIZE}`,
        "struct front_record.verb 0 4",
        "struct front_record.size 4 4",
        "struct front_record.a 8 4",
        "struct front_record.b 12 4",
        `sizeof front_take ${TAKE_SIZE}`,
        `struct front_take.record 0 ${RECORD_SIZE}`,
        `struct front_take.nonce ${RECORD_SIZE} ${4 * FRONT_NONCE}`,
        `sizeof front_answer ${ANSWER_SIZE}`,
        "struct front_answer.verb 0 4",
        "struct front_answer.result 4 4",
        "struct front_answer.count 8 4",
        `struct front_answer.number 12 ${4 * FRONT_FDS}`,
        "struct front_place.mark 0 16",
        "struct front_place.program 16 4",
        "struct front_place.size 20 4",
        "struct front_place.patience 24 4",
        `struct front_place.socket ${PLACE_HEAD} ${FRONT_SOCKET}`,
        `struct front_place.words ${
          PLACE_HEAD + FRONT_SOCKET
        } ${FRONT_PROGRAM}`,
      ]);
    },
  );

  testOn(needs, `c/kernel.h equals the kernel's headers (${arch})`, () => {
    const rows = runC(arch, `${HERE}/c/layout.c`)
      .filter((line) => line.startsWith("kernel "))
      .map((line) => line.split(" "));
    assertEquals(rows.length > 50, true);
    assertEquals(rows.filter(([, , ours, theirs]) => ours !== theirs), []);
  });

  testOn(needs, `constants.ts equals the kernel's headers (${arch})`, () => {
    const ours = listConstants(arch).filter(([name]) => !NEWER.has(name));
    const file = Deno.makeTempFileSync({ suffix: ".c" });
    try {
      Deno.writeTextFileSync(file, printConstants(ours.map(([name]) => name)));
      assertEquals(
        runC(arch, file),
        ours.map(([name, value]) => `${name} ${value}`),
      );
    } finally {
      Deno.removeSync(file);
    }
  });
}
