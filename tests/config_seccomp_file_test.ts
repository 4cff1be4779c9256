/**
 * Profiles of --security-opt seccomp=FILE: what is wrong with one is an error,
 * never a filter with less in it.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { parseSeccompFile } from "../mod/config/seccomp_file.ts";
import { ContainerError } from "../mod/errors.ts";

const ALLOW = '{"defaultAction":"SCMP_ACT_ALLOW"';
const rule = (text: string) => `${ALLOW},"syscalls":[{${text}}]}`;
const MKDIR = '"names":["mkdir"],"action":"SCMP_ACT_ERRNO"';

const REFUSED: [string, string, string][] = [
  ["[]", "it must be an object: found a list", "Write an object: {...}"],
  ["null", "it must be an object: found null", "Write an object: {...}"],
  [
    "{}",
    'defaultAction must be one of "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP", "SCMP_ACT_ERRNO", "SCMP_ACT_TRACE", "SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY": found nothing',
    "Add it: the specification requires this property",
  ],
  [
    rule('"names":"mkdir","action":"SCMP_ACT_ERRNO"'),
    'syscalls[0].names must be a list: found "mkdir"',
    "Write a list: [...]",
  ],
  [
    `${ALLOW},"syscalls":{}}`,
    "syscalls must be a list: found an object",
    "Write a list: [...]",
  ],
  [
    `${ALLOW},"syscalls":["mkdir"]}`,
    'syscalls[0] must be an object: found "mkdir"',
    "Write an object: {...}",
  ],
  [
    rule(`${MKDIR},"args":{}`),
    "syscalls[0].args must be a list: found an object",
    "Write a list: [...]",
  ],
  [
    rule(`${MKDIR},"errnoRet":"1"`),
    'syscalls[0].errnoRet must be an integer from 0 to 4294967295: found "1"',
    "Write the number without quotes",
  ],
  [
    rule(`${MKDIR},"includes":[]`),
    "syscalls[0].includes must be an object: found a list",
    "Write an object: {...}",
  ],
  [
    rule(`${MKDIR},"excludes":{"caps":"CAP_BPF"}`),
    'syscalls[0].excludes.caps must be a list: found "CAP_BPF"',
    "Write a list: [...]",
  ],
  [
    rule(`${MKDIR},"includes":{"minKernel":5.8}`),
    "syscalls[0].includes.minKernel must be a string: found 5.8",
    "Write text in double quotes",
  ],
  [
    `${ALLOW},"archMap":[{"architecture":1}]}`,
    "archMap[0].architecture must be a string: found 1",
    "Write text in double quotes",
  ],
  [
    `${ALLOW},"archMap":[{"subArchitectures":[1]}]}`,
    "archMap[0].subArchitectures[0] must be a string: found 1",
    "Write text in double quotes",
  ],
  // A rule whose conditions do not hold is checked all the same.
  [
    rule('"names":["mkdir"],"action":"no","includes":{"arches":["s390x"]}'),
    'syscalls[0].action must be one of "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_TRAP", "SCMP_ACT_ERRNO", "SCMP_ACT_TRACE", "SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY": found "no"',
    "Write one of these words, as shown",
  ],
  [
    rule('"names":["mkdir"],"action":"SCMP_ACT_NOTIFY"'),
    'syscalls[0].action must not be "SCMP_ACT_NOTIFY" without listenerPath',
    "Write listenerPath: the socket of the agent that answers",
  ],
];

for (const [text, message, hint] of REFUSED) {
  Deno.test(`parseSeccompFile() refuses ${text}`, () => {
    const error = assertThrows(
      () => parseSeccompFile(text, "p.json"),
      ContainerError,
    );
    assertEquals([error.message, error.code, error.hint], [
      `Cannot use the seccomp profile "p.json": ${message}`,
      "seccomp-file-invalid",
      hint,
    ]);
  });
}

Deno.test("parseSeccompFile() names the place where JSON ends", () => {
  const error = assertThrows(
    () => parseSeccompFile("{", "p.json"),
    ContainerError,
  );
  assertEquals(error.code, "json-invalid");
});

for (const name of ["docker", "podman"]) {
  Deno.test(`parseSeccompFile() takes ${name}'s profile`, () => {
    const path = new URL(`seccomp/${name}.json`, import.meta.url);
    const text = Deno.readTextFileSync(path);
    assertEquals(parseSeccompFile(text, name), JSON.parse(text));
  });
}

Deno.test("parseSeccompFile() takes null for what is not there", () => {
  const text = '{"defaultAction":"SCMP_ACT_ALLOW","archMap":null,"syscalls":[' +
    '{"name":"mkdir","names":null,"action":"SCMP_ACT_ERRNO","errnoRet":null,' +
    '"args":null,"includes":null,"excludes":{"caps":null}}]}';
  assertEquals(parseSeccompFile(text, "old"), {
    defaultAction: "SCMP_ACT_ALLOW",
    syscalls: [{ name: "mkdir", action: "SCMP_ACT_ERRNO", excludes: {} }],
  });
});

Deno.test("parseSeccompFile() keeps all 64 bits of an argument", () => {
  const value = 18446744073709551615n;
  const args = `[{"index":0,"value":${value},"op":"SCMP_CMP_EQ"}]`;
  assertEquals(parseSeccompFile(rule(`${MKDIR},"args":${args}`), "p.json"), {
    defaultAction: "SCMP_ACT_ALLOW",
    syscalls: [{
      names: ["mkdir"],
      action: "SCMP_ACT_ERRNO",
      args: [{ index: 0, value, op: "SCMP_CMP_EQ" }],
    }],
  });
});
