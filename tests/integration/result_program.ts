/**
 * Runs commands by the library, for result_same_test.ts: takes a root file system
 * and the options of each as JSON, and prints the results without what they wrote.
 *
 * @module
 */

import { Sandbox } from "../../mod/mod.ts";

const [rootfs = "", cases = ""] = Deno.args;
const results = [];
for (const options of JSON.parse(cases)) {
  const {
    stdout: _,
    stderr: __,
    stdoutBytes: ___,
    stderrBytes: ____,
    ...rest
  } = await Sandbox.run({ rootfs, ...options });
  results.push(rest);
}
console.log(JSON.stringify(results));
