// rustyrun: a caller in, an exit code out.
import { readCaller } from "./mod/caller.ts";
import { main } from "./mod/cli/main.ts";
import { ownOutlet } from "./mod/outlet.ts";

if (import.meta.main) {
  main({ caller: readCaller(), outlet: ownOutlet }).then(Deno.exit);
}
