/**
 * The one error that reaches users.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { ContainerError } from "../mod/errors.ts";

Deno.test("ContainerError has 125 and no hint unless told", () => {
  const error = new ContainerError('Cannot use "x": no', { code: "x" });
  assertEquals(
    [error.name, error.message, error.code, error.hint, error.exitCode],
    ["ContainerError", 'Cannot use "x": no', "x", undefined, 125],
  );
  assertEquals("cause" in error, false);
  assertEquals(error.suppressed, []);
});

Deno.test("ContainerError keeps hint, exit code and cause", () => {
  const cause = new Error("below");
  const error = new ContainerError("Cannot run", {
    code: "command-not-found",
    hint: "Look for it",
    exitCode: 127,
    cause,
  });
  assertEquals(
    [error.hint, error.exitCode, error.cause],
    ["Look for it", 127, cause],
  );
});

Deno.test("ContainerError keeps an exit code of 0", () => {
  const error = new ContainerError("Cannot", { code: "x", exitCode: 0 });
  assertEquals(error.exitCode, 0);
});

Deno.test("ContainerError is one object as JSON", () => {
  const error = new ContainerError("Cannot run", {
    code: "x",
    hint: "Do it",
    exitCode: 126,
    cause: new Error("not shown"),
  });
  assertEquals(
    JSON.stringify(error),
    '{"error":"Cannot run","code":"x","hint":"Do it","exitCode":126}',
  );
});

Deno.test("ContainerError leaves a hint that is not there out of JSON", () => {
  const error = new ContainerError("Cannot run", { code: "x" });
  assertEquals(
    JSON.stringify(error),
    '{"error":"Cannot run","code":"x","exitCode":125}',
  );
});

Deno.test("ContainerError has a list of suppressed failures of its own", () => {
  const [a, b] = [1, 2].map(() => new ContainerError("Cannot", { code: "x" }));
  a!.suppressed.push(new Error("clean-up"));
  assertEquals(b!.suppressed, []);
});
