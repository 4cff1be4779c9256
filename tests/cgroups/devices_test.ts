/** Device rules: the same verdict from the words, the v2 program and v1. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { compileDevices } from "../../mod/cgroups/device_program.ts";
import {
  completeList,
  listRules,
  reduceRules,
  writeDefaults,
  writeList,
} from "../../mod/cgroups/devices.ts";
import type { DeviceRule } from "../../mod/cgroups/model.ts";
import { changeList, parseList } from "../../mod/cgroups/update.ts";
import type { Resources } from "../../mod/config/schema.ts";
import { ContainerError } from "../../mod/errors.ts";
import {
  type Access,
  decideByRules,
  DeviceCgroup,
  runProgram,
} from "./device_machine.ts";

const NO_FLAGS = new Map<string, string>();

/** "+c 1:3 rw" allows, "-" denies, "*" is every number. */
function rule(text: string): DeviceRule {
  const [type = "", numbers = "", access = ""] = text.slice(1).split(" ");
  const [major = "", minor = ""] = numbers.split(":");
  const number = (s: string) => s === "*" ? null : Number(s);
  return {
    allow: text.startsWith("+"),
    type: type as DeviceRule["type"],
    major: number(major),
    minor: number(minor),
    access,
  };
}

function v1Of(rules: DeviceRule[]): DeviceCgroup {
  const cgroup = new DeviceCgroup();
  for (const { file, value } of writeList("/d", reduceRules(rules))) {
    cgroup.write(file, value);
  }
  return cgroup;
}

const ACCESSES: Access[] = [];
for (const type of ["b", "c"] as const) {
  for (const major of [1, 5, 8]) {
    for (const minor of [0, 3, 9]) {
      for (const access of ["r", "w", "m", "rw"]) {
        ACCESSES.push({ type, major, minor, access });
      }
    }
  }
}

function checkAll(rules: DeviceRule[], v1?: DeviceCgroup): void {
  const program = compileDevices(rules);
  for (const asked of ACCESSES) {
    const want = decideByRules(rules, asked);
    const where = JSON.stringify({ rules, asked });
    assertEquals(runProgram(program, asked), want, `v2: ${where}`);
    if (v1) assertEquals(v1.decide(asked), want, `v1: ${where}`);
  }
}

const RULES: [name: string, rules: string[]][] = [
  ["nothing", []],
  ["everything", ["-a *:* rwm", "+a *:* rwm"]],
  ["one device", ["-a *:* rwm", "+c 1:3 rwm"]],
  ["one device, read only", ["-a *:* rwm", "+c 1:3 rwm", "-c 1:3 w"]],
  ["all but one", ["+a *:* rwm", "-b 8:0 rwm"]],
  ["all but a major", ["+a *:* rwm", "-b 8:* rw", "-c 5:* m"]],
  ["both types of a number", ["-a *:* rwm", "+a 1:* rw"]],
  ["mknod of all, use of some", ["-a *:* rwm", "+c *:* m", "+c 1:3 rw"]],
  ["rules in two parts", ["-a *:* rwm", "+c 1:* r", "+c 1:3 w"]],
  ["a wildcard taken back", ["-a *:* rwm", "+c 5:* rwm", "-c *:* rwm"]],
  [
    "all, then one type denied but for one device",
    ["-a *:* rwm", "+a *:* rwm", "-c *:* rwm", "+c 1:3 rwm"],
  ],
];

for (const [name, texts] of RULES) {
  Deno.test(`compileDevices() and writeList() decide as the rules say: ${name}`, () => {
    const rules = texts.map(rule);
    checkAll(rules, v1Of(rules));
  });
}

/** A small generator (mulberry32): the same rules in every run. */
function makeRandom(seed: number): (below: number) => number {
  return (below) => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) % below;
  };
}

Deno.test("compileDevices() and reduceRules() decide as 600 random lists say", () => {
  const random = makeRandom(1);
  const pick = <T>(list: readonly T[]): T => list[random(list.length)]!;
  let onV1 = 0;
  for (let i = 0; i < 600; i++) {
    const rules = Array.from({ length: 1 + random(6) }, () => ({
      allow: random(2) === 1,
      type: pick(["a", "b", "c", "c"] as const),
      major: pick([null, 1, 5, 8]),
      minor: pick([null, 0, 3, 9]),
      access: pick(["rwm", "rwm", "r", "w", "m", "rw"]),
    }));
    let v1: DeviceCgroup | undefined;
    try {
      v1 = v1Of(rules);
      onV1++;
    } catch (error) {
      if (!(error instanceof ContainerError)) throw error;
    }
    checkAll(rules, v1);
  }
  assert(onV1 > 300, `v1 took only ${onV1} lists`);
});

const DEFAULTS: [Access["type"], number, number, string, boolean][] = [
  ["c", 1, 3, "rw", true],
  ["c", 1, 5, "rw", true],
  ["c", 1, 7, "rw", true],
  ["c", 1, 8, "rw", true],
  ["c", 1, 9, "rw", true],
  ["c", 5, 0, "rw", true],
  ["c", 5, 2, "rw", true],
  ["c", 10, 200, "rw", true],
  ["c", 136, 77, "rw", true],
  ["c", 1, 1, "m", true],
  ["c", 1, 1, "r", false],
  ["b", 8, 0, "m", true],
  ["b", 8, 0, "r", false],
  ["b", 1, 3, "r", false],
  ["c", 10, 229, "r", false],
];

Deno.test("listRules() gives every container the same default devices", () => {
  for (const friendly of [true, false]) {
    const rules = listRules(undefined, friendly, NO_FLAGS);
    const program = compileDevices(rules);
    const v1 = v1Of(rules);
    const console = ["c", 5, 1, "rw", friendly] as const;
    for (const [type, major, minor, access, want] of [...DEFAULTS, console]) {
      const asked = { type, major, minor, access };
      assertEquals(runProgram(program, asked), want, JSON.stringify(asked));
      assertEquals(v1.decide(asked), want, JSON.stringify(asked));
    }
  }
});

Deno.test("listRules() lets no configuration take the defaults away", () => {
  const rules = listRules(
    [{ allow: false, type: "c", major: 1, minor: 3, access: "rwm" }],
    false,
    NO_FLAGS,
  );
  const asked = { type: "c" as const, major: 1, minor: 3, access: "rw" };
  assertEquals(runProgram(compileDevices(rules), asked), true);
});

Deno.test("writeDefaults() writes what writeList() would", () => {
  for (const friendly of [true, false]) {
    const rules = listRules(undefined, friendly, NO_FLAGS);
    assertEquals(
      writeDefaults("/d", rules),
      writeList("/d", reduceRules(rules)),
    );
  }
});

Deno.test("writeList() writes one line for a privileged container", () => {
  const rules = listRules([{ allow: true, access: "rwm" }], false, NO_FLAGS);
  assertEquals(writeList("/d", reduceRules(rules)), [
    { file: "/d/devices.allow", value: "a" },
  ]);
});

const REFUSALS: {
  name: string;
  devices: NonNullable<Resources["devices"]>;
  message: string;
  hint?: string;
}[] = [
  {
    name: "a type that is none",
    devices: [{ allow: true, type: "p" }],
    message:
      'Cannot apply linux.resources.devices[0].type "p": it must be "a", "b" or "c"',
  },
  {
    name: "an access that is none",
    devices: [{ allow: true, type: "c", access: "rx" }],
    message:
      'Cannot apply linux.resources.devices[0].access "rx": it may only hold r, w and m',
  },
  {
    name: "a number that is none",
    devices: [{ allow: true, type: "c", major: -2 }],
    message:
      'Cannot apply linux.resources.devices[0].major "-2": it must be between 0 and 4294967295, or -1',
  },
  {
    name: "a hole in a wildcard on v1",
    devices: [
      { allow: true, type: "b", access: "rw" },
      { allow: false, type: "b", major: 8, access: "rwm" },
      { allow: true, type: "b", major: 8, minor: 1, access: "r" },
      { allow: false, type: "c", major: 200, access: "rw" },
      { allow: true, type: "c", minor: 7, access: "r" },
      { allow: false, type: "c", major: 200, access: "r" },
    ],
    message:
      'Cannot apply linux.resources.devices[1] "b 8:* rwm": cgroup v1 cannot deny a part of the earlier rule "b *:* rw"',
    hint: "Write the earlier rule without that part",
  },
];

for (const { name, devices, message, hint } of REFUSALS) {
  Deno.test(`listRules() and reduceRules() refuse ${name}`, () => {
    const error = assertThrows(
      () => reduceRules(listRules(devices, false, NO_FLAGS)),
      ContainerError,
    );
    assertEquals(error.message, message);
    assertEquals(error.hint, hint);
  });
}

Deno.test("completeList() drops what wider exceptions say, and takes over what they let open", () => {
  const list = reduceRules([
    rule("-a *:* rwm"),
    rule("+c *:* m"),
    rule("+c 1:3 m"),
    rule("+c 1:5 rw"),
    rule("+b 8:* r"),
    rule("+b 8:20 w"),
  ]);
  assertEquals([...completeList(list)], [
    ["c *:*", "m"],
    ["c 1:5", "rw"],
    ["b 8:*", "r"],
    ["b 8:20", "rw"],
  ]);
});

Deno.test("changeList() allows what is new before it denies what is gone", () => {
  const now = parseList("c *:* m\nb *:* m\nc 1:3 rwm\nc 10:229 rwm\n");
  const next = reduceRules(
    ["-a *:* rwm", "+c *:* m", "+b *:* m", "+c 1:3 rm", "+c 1:5 rw"].map(rule),
  );
  assertEquals(changeList("/d", now, next), [
    { file: "/d/devices.allow", value: "c 1:3 rm" },
    { file: "/d/devices.allow", value: "c 1:5 rw" },
    { file: "/d/devices.deny", value: "c 1:3 w" },
    { file: "/d/devices.deny", value: "c 10:229 rwm" },
  ]);
});
