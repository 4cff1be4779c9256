/** Tests that mod/config/table.ts is what the generator makes of the schema. */

import { assertEquals, assertStringIncludes } from "@std/assert";
import { generateTable } from "../scripts/generate_config_table.ts";

const TABLE = new URL("../mod/config/table.ts", import.meta.url);

Deno.test("generateTable() makes the table that is checked in", () => {
  assertEquals(
    Deno.readTextFileSync(TABLE),
    generateTable(),
    "run: deno run -A scripts/generate_config_table.ts",
  );
});

Deno.test("generateTable() makes a table below 10 KB", () => {
  const { size } = Deno.statSync(TABLE);
  assertEquals(size < 10240, true, `it has ${size} bytes`);
});

Deno.test("mod/ imports schema.ts and zod as types only", () => {
  const walk = (dir: URL) => {
    for (const entry of Deno.readDirSync(dir)) {
      const url = new URL(entry.name, dir);
      if (entry.isDirectory) {
        walk(new URL(`${entry.name}/`, dir));
        continue;
      }
      if (!entry.name.endsWith(".ts") || entry.name === "schema.ts") continue;
      const text = Deno.readTextFileSync(url);
      for (
        const statement of text.matchAll(
          /^(?:import|export)\b[^;]*?from\s+"[^"]*(?:schema\.ts|zod)";/gm,
        )
      ) {
        assertStringIncludes(statement[0].slice(0, 12), " type", url.pathname);
      }
    }
  };
  walk(new URL("../mod/", import.meta.url));
});
