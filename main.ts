// rustyrun: argv in, exit code out.
import { readArguments } from "./mod/caller.ts";
import { main } from "./mod/cli/main.ts";

if (import.meta.main) main(readArguments()).then(Deno.exit);
