/**
 * Signals by name and number: the whole table of signal(7) and `kill -l`.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { ContainerError } from "../mod/errors.ts";
import { parseSignal, signalName } from "../mod/signals.ts";

/** signal(7), "Signal numbering for standard signals", x86 and ARM. */
const STANDARD: [number, string][] = [
  [1, "HUP"],
  [2, "INT"],
  [3, "QUIT"],
  [4, "ILL"],
  [5, "TRAP"],
  [6, "ABRT"],
  [7, "BUS"],
  [8, "FPE"],
  [9, "KILL"],
  [10, "USR1"],
  [11, "SEGV"],
  [12, "USR2"],
  [13, "PIPE"],
  [14, "ALRM"],
  [15, "TERM"],
  [16, "STKFLT"],
  [17, "CHLD"],
  [18, "CONT"],
  [19, "STOP"],
  [20, "TSTP"],
  [21, "TTIN"],
  [22, "TTOU"],
  [23, "URG"],
  [24, "XCPU"],
  [25, "XFSZ"],
  [26, "VTALRM"],
  [27, "PROF"],
  [28, "WINCH"],
  [29, "IO"],
  [30, "PWR"],
  [31, "SYS"],
];

for (const [number, name] of STANDARD) {
  Deno.test(`parseSignal() and signalName() know SIG${name}`, () => {
    assertEquals(signalName(number), `SIG${name}`);
    for (
      const text of [
        name,
        `SIG${name}`,
        name.toLowerCase(),
        `sig${name.toLowerCase()}`,
        String(number),
      ]
    ) assertEquals(parseSignal(text), number, text);
  });
}

for (let step = 0; step <= 30; step++) {
  Deno.test(`parseSignal() counts ${step} up from RTMIN and down from RTMAX`, () => {
    assertEquals(parseSignal(`RTMIN+${step}`), 34 + step);
    assertEquals(parseSignal(`sigrtmin+${step}`), 34 + step);
    assertEquals(parseSignal(`SIGRTMAX-${step}`), 64 - step);
    assertEquals(parseSignal(String(34 + step)), 34 + step);
    assertEquals(
      signalName(34 + step),
      step === 0 ? "SIGRTMIN" : `SIGRTMIN+${step}`,
    );
    assertEquals(parseSignal(signalName(34 + step)), 34 + step);
  });
}

for (
  const [text, number] of [
    ["RTMIN", 34],
    ["SIGRTMAX", 64],
    ["POLL", 29],
    ["SIGIOT", 6],
    ["0", 0],
    ["09", 9],
    ["32", 32],
    ["33", 33],
  ] as const
) {
  Deno.test(`parseSignal() reads ${text}`, () => {
    assertEquals(parseSignal(text), number);
  });
}

for (
  const text of [
    "",
    " ",
    " 9",
    "9 ",
    "-9",
    "+9",
    "9.0",
    "0x9",
    "1e1",
    "65",
    "128",
    "999",
    "1000",
    "SIG",
    "SIG9",
    "SIGSIGKILL",
    "KILLER",
    "RTMIN+31",
    "RTMIN-1",
    "RTMAX+1",
    "RTMAX-31",
    "RTMIN+",
    "RTMIN+-1",
    "RTMIN+100",
    "CLD",
    "__proto__",
    "TERM\n",
  ]
) {
  Deno.test(`parseSignal() throws on ${JSON.stringify(text)}`, () => {
    const error = assertThrows(() => parseSignal(text), ContainerError);
    assertEquals(error.toJSON(), {
      error: `Cannot send the signal "${text}": unknown signal`,
      code: "signal-unknown",
      hint: text === "-9"
        ? "Write it without the dash: 9"
        : "Give a number, or a name as in kill -l: TERM, SIGKILL, RTMIN+3",
      exitCode: 1,
    });
  });
}

for (
  const [number, name] of [
    [0, "signal 0"],
    [32, "signal 32"],
    [33, "signal 33"],
    [65, "signal 65"],
    [-1, "signal -1"],
  ] as const
) {
  Deno.test(`signalName() has no name for ${number}`, () => {
    assertEquals(signalName(number), name);
  });
}
