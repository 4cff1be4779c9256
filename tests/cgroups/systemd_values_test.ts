/**
 * What a container's unit is given: annotations, limits, devices.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import type { DeviceRule } from "../../mod/cgroups/model.ts";
import { readAnnotations } from "../../mod/cgroups/systemd/annotations.ts";
import {
  deviceProperties,
  limitProperties,
  readDeviceNames,
} from "../../mod/cgroups/systemd/properties.ts";
import { ContainerError } from "../../mod/errors.ts";

const prefix = (name: string) => `org.systemd.property.${name}`;

for (
  const [name, text, signature, value, wantName] of [
    ["TimeoutStopUSec", "uint64 5000000", "t", 5000000, undefined],
    [
      "CollectMode",
      "'inactive-or-failed'",
      "s",
      "inactive-or-failed",
      undefined,
    ],
    ["After", "['foo.service', \"b\"]", "as", ["foo.service", "b"], undefined],
    ["KillSignal", "15", "i", 15, undefined],
    ["KillSignal", "-0x10", "i", -16, undefined],
    ["KillSignal", "017", "i", 15, undefined],
    ["SendSIGHUP", " true ", "b", true, undefined],
    ["Wants", "@as []", "as", [], undefined],
    ["Weight", "byte 255", "y", 255, undefined],
    ["Weight", "1.5", "d", 1.5, undefined],
    ["Weight", "double 2", "d", 2, undefined],
    [
      "Weight",
      "uint64 18446744073709551615",
      "t",
      0xffffffffffffffffn,
      undefined,
    ],
    ["Description", "'a\\'b\\n\\u00e9'", "s", "a'b\né", undefined],
    ["Conditions", "[('a', true), ('b', false)]", "a(sb)", [["a", true], [
      "b",
      false,
    ]], undefined],
    ["Path", "objectpath '/a'", "o", "/a", undefined],
    ["TimeoutStopSec", "uint64 5", "t", 5000000, "TimeoutStopUSec"],
    ["TimeoutStopSec", "1.5", "t", 1500000, "TimeoutStopUSec"],
    ["WatchdogSec", "int32 2", "t", 2000000, "WatchdogUSec"],
    ["ABSec", "3", "i", 3, undefined],
  ] as const
) {
  Deno.test(`readAnnotations() reads ${name}=${text}`, () => {
    assertEquals(readAnnotations({ other: "x", [prefix(name)]: text }), [{
      name: wantName ?? name,
      signature,
      value: value as string,
      from: `annotations.${prefix(name)}`,
    }]);
  });
}

for (
  const [name, text, why] of [
    [
      "ab",
      "1",
      "a property's name has three letters or more, and nothing else",
    ],
    [
      "After-1",
      "1",
      "a property's name has three letters or more, and nothing else",
    ],
    ["KillSignal", "", "there is no value"],
    ["KillSignal", "fifteen", '"fifteen" is no value'],
    ["KillSignal", "1 2", '"2" is left over'],
    ["KillSignal", "2147483648", "2147483648 is out of range for type i"],
    ["KillSignal", "byte 256", "256 is out of range for type y"],
    ["KillSignal", "uint64 -1", "-1 is out of range for type t"],
    ["KillSignal", "uint64 'a'", '"a" is a text'],
    ["KillSignal", "uint64 1.5", '"1.5" is not of type t'],
    ["After", "'a", "a ' is missing"],
    ["After", "['a' 'b']", 'a "," or "]" is missing'],
    ["After", "['a', 1]", '"1" is not of type s'],
    ["After", "[]", "an empty list needs its type: @as []"],
    ["After", "['a'", 'a "," or "]" is missing'],
    ["TimeoutStopSec", "'5'", "it is not a number of seconds"],
    ["TimeoutStopSec", "-1", "-1 seconds are out of range"],
  ] as const
) {
  Deno.test(`readAnnotations() refuses ${name}=${text}`, () => {
    const error = assertThrows(
      () => readAnnotations({ [prefix(name)]: text }),
      ContainerError,
    );
    assertEquals(
      [error.message, error.code],
      [
        `Cannot use the annotation "${
          prefix(name)
        }" with the value "${text}": ${why}`,
        "systemd-property",
      ],
    );
  });
}

const write = (file: string, value: string) => ({
  file: `/sys/fs/cgroup/a.scope/${file}`,
  value,
  why: "",
  from: "key",
  controller: "any",
  version: 2 as const,
});

for (
  const [writes, want] of [
    [["memory.max 67108864"], { MemoryMax: 67108864 }],
    [["memory.max max", "memory.swap.max 0"], {
      MemoryMax: 2n ** 64n - 1n,
      MemorySwapMax: 0,
    }],
    [["memory.high 5", "memory.low 4", "memory.min 3"], {
      MemoryHigh: 5,
      MemoryLow: 4,
      MemoryMin: 3,
    }],
    [["cpu.weight 59", "pids.max 7"], { CPUWeight: 59, TasksMax: 7 }],
    [["cpu.idle 1"], { CPUWeight: 0 }],
    [["cpu.max 15500 50000"], {
      CPUQuotaPeriodUSec: 50000,
      CPUQuotaPerSecUSec: 310000,
    }],
    // A part of a percent is rounded up.
    [["cpu.max 33333 100000"], {
      CPUQuotaPeriodUSec: 100000,
      CPUQuotaPerSecUSec: 340000,
    }],
    [["cpu.max max 100000"], {
      CPUQuotaPeriodUSec: 100000,
      CPUQuotaPerSecUSec: 2n ** 64n - 1n,
    }],
    [["cpu.cfs_period_us 50000", "cpu.cfs_quota_us 25000"], {
      CPUQuotaPeriodUSec: 50000,
      CPUQuotaPerSecUSec: 500000,
    }],
    [["cpuset.cpus 0-2,9", "cpuset.mems 0"], {
      AllowedCPUs: [7, 2],
      AllowedMemoryNodes: [1],
    }],
    [["memory.limit_in_bytes -1", "cpu.shares 512"], {
      MemoryLimit: 2n ** 64n - 1n,
      CPUShares: 512,
    }],
    // systemd has no property for them, or not in this form.
    [["io.max 8:0 rbps=1", "hugetlb.2MB.max 0", "memory.oom.group 1"], {}],
  ] as [string[], Record<string, unknown>][]
) {
  Deno.test(`limitProperties() of ${writes.join(", ")}`, () => {
    const properties = limitProperties(writes.map((it) => {
      const at = it.indexOf(" ");
      return write(it.slice(0, at), it.slice(at + 1));
    }));
    assertEquals(
      Object.fromEntries(properties.map((it) => [it.name, it.value])),
      want,
    );
  });
}

const NAMES = readDeviceNames(
  "Character devices:\n  1 mem\n  5 /dev/tty\n136 pts\n\nBlock devices:\n  8 sd\n254 virtblk\n",
);

const rule = (text: string): DeviceRule => {
  const [allow, type, numbers = "", access = "rwm"] = text.split(" ");
  const [major, minor] = numbers.split(":").map((it) =>
    it === "*" ? null : Number(it)
  );
  return {
    allow: allow === "+",
    type: type as "a",
    major: major!,
    minor: minor!,
    access,
  };
};

for (
  const [rules, policy, want, lost] of [
    [
      ["- a *:*", "+ c 1:3", "+ c 136:*", "+ c *:* m", "+ b 254:* r"],
      "strict",
      [
        ["/dev/char/1:3", "rwm"],
        ["char-pts", "rwm"],
        ["char-*", "m"],
        ["block-virtblk", "r"],
      ],
      [],
    ],
    [["- a *:*", "+ c 77:*"], "strict", [], [77]],
    [
      ["- a *:*", "+ c 1:3 r", "+ c 1:3 w"],
      "strict",
      [["/dev/char/1:3", "rw"]],
      [],
    ],
    [
      ["- a *:*", "+ c 1:3", "- c 1:3 w"],
      "strict",
      [["/dev/char/1:3", "rm"]],
      [],
    ],
    [["- a *:*", "+ c 1:3", "- c 1:3"], "strict", [], []],
    // A hole in what is allowed is our own program's.
    [["- a *:*", "+ c 1:*", "- c 1:3"], "strict", [["char-mem", "rwm"]], []],
    [
      ["+ c 1:3", "- a *:*", "+ b 8:0"],
      "strict",
      [["/dev/block/8:0", "rwm"]],
      [],
    ],
    [["- a *:*", "+ a 8:0 r"], "strict", [["/dev/block/8:0", "r"], [
      "/dev/char/8:0",
      "r",
    ]], []],
    [["- a *:*", "+ a *:*", "- c 1:3"], "auto", undefined, []],
  ] as [string[], string, [string, string][] | undefined, number[]][]
) {
  Deno.test(`deviceProperties() of ${rules.join(", ")}`, () => {
    const missing: (number | null)[] = [];
    const properties = deviceProperties(
      rules.map(rule),
      NAMES,
      ({ major }) => missing.push(major),
    );
    assertEquals(
      properties.map(({ name, value }) => [name, value]),
      [
        ["DevicePolicy", policy],
        ["DeviceAllow", []],
        ...want === undefined ? [] : [["DeviceAllow", want]],
      ],
    );
    assertEquals(missing, lost);
  });
}
