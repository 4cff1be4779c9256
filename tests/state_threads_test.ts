/**
 * A first process whose first thread has ended, while the others change faster
 * than anybody can list them, or a tracer keeps those that have ended.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { readDirSync } from "../ffi/files.ts";
import { describeProcess, findThread, isAlive } from "../mod/state.ts";
import type { State } from "../mod/state/model.ts";
import { testOn } from "./needs.ts";

/** Each thread makes the next one and ends; the first one is a zombie. */
const RING = `
#include <pthread.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>
static int tids[2], seized[2];
/* One that a child of the process has when it ends: never reaped. */
static void *zombie(void *arg)
{
	int tid = syscall(SYS_gettid);
	char c;
	if (write(tids[1], &tid, sizeof(tid)) < 0 || read(seized[0], &c, 1) < 0)
		_exit(1);
	return arg;
}
static void keep_zombies(int count)
{
	pthread_t thread;
	int tid;
	if (pipe(tids) || pipe(seized))
		_exit(1);
	if (fork() == 0) {
		close(tids[1]);
		for (int i = 0; i < count; i++)
			if (read(tids[0], &tid, sizeof(tid)) != sizeof(tid) ||
			    ptrace(PTRACE_SEIZE, tid, 0, 0))
				_exit(1);
		for (int i = 0; i < count; i++)
			if (write(seized[1], "", 1) != 1)
				_exit(1);
		/* Until the whole process has ended. */
		while (read(tids[0], &tid, sizeof(tid)) > 0)
			;
		_exit(0);
	}
	for (int i = 0; i < count; i++)
		pthread_create(&thread, 0, zombie, 0);
}
static pthread_attr_t detached;
static void *next(void *arg)
{
	pthread_t thread;
	while (pthread_create(&thread, &detached, next, arg) != 0)
		;
	return 0;
}
int main(int argc, char **argv)
{
	if (argc > 1)
		keep_zombies(atoi(argv[1]));
	pthread_attr_init(&detached);
	pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
	next(0);
	pthread_exit(0);
}
`;

const pause = () => new Promise((done) => setTimeout(done, 1));

/** Acts on the pid of a process whose first thread has ended. */
async function withRing(
  args: string[],
  act: (child: Deno.ChildProcess) => Promise<void>,
): Promise<void> {
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-test-ring-" });
  try {
    Deno.writeTextFileSync(`${dir}/ring.c`, RING);
    const made = await new Deno.Command("cc", {
      args: ["-O1", "-pthread", "-o", `${dir}/ring`, `${dir}/ring.c`],
    }).output();
    assertEquals(made.code, 0, new TextDecoder().decode(made.stderr));
    // Killed and reaped at the end of the block, whatever happens.
    await using child = new Deno.Command(`${dir}/ring`, { args }).spawn();
    const stat = `/proc/${child.pid}/stat`;
    while (!Deno.readTextFileSync(stat).includes(") Z ")) await pause();
    await act(child);
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

testOn(
  ["cc"],
  "isAlive() of threads that make each other is true",
  () =>
    withRing([], async (child) => {
      const state = describeProcess(child.pid) as State;
      for (let i = 0; i < 300; i++) {
        assertEquals(isAlive(state), true);
        // One that has gone by the time it is looked at is no error.
        readDirSync(`/proc/${child.pid}/task`);
      }
      child.kill("SIGKILL");
      while (isAlive(state)) await pause();
      assertEquals(findThread(child.pid), undefined);
    }),
);

/** A program that looks once. */
const LOOK = `
import { describeProcess, isAlive } from "${
  import.meta.resolve("../mod/state.ts")
}";
console.log(isAlive(describeProcess(Number(Deno.args[0]))));
`;

testOn(
  ["cc", "strace", "root"],
  "isAlive() looks at few of the threads that a tracer keeps",
  () =>
    withRing(["300"], async (child) => {
      const task = `/proc/${child.pid}/task`;
      const isZombie = (tid: string) => {
        try {
          return Deno.readTextFileSync(`${task}/${tid}/stat`).includes(") Z ");
        } catch {
          return false; // it has ended and was nobody's
        }
      };
      while (readDirSync(task).filter((it) => isZombie(it.name)).length < 300) {
        await pause();
      }
      const file = Deno.makeTempFileSync();
      try {
        Deno.writeTextFileSync(`${file}.ts`, LOOK);
        const { code, stdout } = await new Deno.Command("strace", {
          args: ["-f", "-c", "-o", file, "-e", "trace=openat", Deno.execPath()]
            .concat("run", "-A", "--no-check", `${file}.ts`, `${child.pid}`),
        }).output();
        assertEquals(code, 0);
        assertEquals(new TextDecoder().decode(stdout), "true\n");
        const [, opens] =
          /(\d+)\s+(?:\d+\s+)?openat$/m.exec(Deno.readTextFileSync(file)) ??
            [];
        assert(Number(opens) < 40_000, opens);
      } finally {
        Deno.removeSync(file);
        Deno.removeSync(`${file}.ts`);
      }
    }),
);
