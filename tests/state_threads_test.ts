/**
 * A first process whose first thread has ended, while the others change faster
 * than anybody can list them.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { readDirSync } from "../ffi/files.ts";
import { describeProcess, findThread, isAlive } from "../mod/state.ts";
import type { State } from "../mod/state/model.ts";
import { testOn } from "./needs.ts";

/** Each thread makes the next one and ends; the first one is a zombie. */
const RING = `
#include <pthread.h>
#include <unistd.h>
static pthread_attr_t detached;
static void *next(void *arg)
{
	pthread_t thread;
	while (pthread_create(&thread, &detached, next, arg) != 0)
		;
	return 0;
}
int main(void)
{
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	next(0);
	pthread_exit(0);
}
`;

testOn(
  ["cc"],
  "isAlive() of threads that make each other is true",
  async () => {
    const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-ring-" });
    try {
      Deno.writeTextFileSync(`${dir}/ring.c`, RING);
      const made = await new Deno.Command("cc", {
        args: ["-O1", "-pthread", "-o", `${dir}/ring`, `${dir}/ring.c`],
      }).output();
      assertEquals(made.code, 0, new TextDecoder().decode(made.stderr));
      // Killed and reaped at the end of the block, whatever happens.
      await using child = new Deno.Command(`${dir}/ring`).spawn();
      const state = describeProcess(child.pid) as State;
      const stat = `/proc/${child.pid}/stat`;
      while (!Deno.readTextFileSync(stat).includes(") Z ")) {
        await new Promise((done) => setTimeout(done, 1));
      }
      for (let i = 0; i < 300; i++) {
        assertEquals(isAlive(state), true);
        // One that has gone by the time it is looked at is no error.
        readDirSync(`/proc/${child.pid}/task`);
      }
      child.kill("SIGKILL");
      while (isAlive(state)) await new Promise((done) => setTimeout(done, 1));
      assertEquals(findThread(child.pid), undefined);
    } finally {
      Deno.removeSync(dir, { recursive: true });
    }
  },
);
