/**
 * Thousands of calls of the warm engine: what a worker holds and weighs after them.
 *
 * RUSTYRUN_CALLS is how many, 10,000 unless it says so.
 *
 * @module
 */

import { assert, assertEquals } from "@std/assert";
import { findLeaks, runToEnd, takeSnapshot } from "../harness.ts";
import { testOn } from "../needs.ts";
import { waitFor } from "../wait.ts";
import { describeWorker, WarmRoom } from "../warm_room.ts";
import { makeBundle } from "./warm_bundle.ts";

const CALLS = Number(Deno.env.get("RUSTYRUN_CALLS") ?? 10_000);
/** Megabytes that V8 has for what lives: it needs 9. On a busy machine, where the
 * threads that collect garbage have no turn, it would let its heap grow as it
 * likes (57 MB were seen, and 37 without others). With these a worker weighs 36 at
 * the most; one that holds 2 KB of each call fills them, and ends. */
const HEAP_MB = 28, HEAVY_MB = 48;
/** How often the workers are looked at. */
const LOOKS = 10;
const ID = `rrmany-${Deno.pid}`;

/** A shell that calls: one process for all of them. Most tell a state, as an
 * engine's do; in every hundred there is a whole life, and what fails. Where the
 * machine is so busy that no worker is free in time, the call is cold, which fails
 * here before it has done anything, and is called again. */
const SCRIPT = `front=$1 root=$2 bundle=$3 id=$4 left=$5
call() {
	want=$1
	shift
	for try in 1 2 3; do
		"$front" --root "$root" "$@" >/dev/null
		got=$?
		left=$((left - 1))
		case $want-$got in
		0-0 | 3-3 | fail-[1-9]*) return ;;
		esac
	done
	echo "$*: $got" >&2
	exit 99
}
while [ "$left" -gt 0 ]; do
	call 0 create --bundle "$bundle" "$id"
	call fail create --bundle "$bundle" "$id"
	call 0 start "$id"
	call 3 exec "$id" sh -c 'exit 3'
	call fail exec "$id" /nothing
	call fail exec --user nobody-there "$id" true
	call 0 pause "$id"
	call 0 resume "$id"
	call 0 list
	states=40
	while [ "$states" -gt 0 ]; do
		call 0 state "$id"
		call fail state nobody
		states=$((states - 1))
	done
	call 0 kill "$id" KILL
	call 0 delete --force "$id"
	call fail delete "$id"
	call 3 run --bundle "$bundle/short" "$id"
	call fail run --bundle /nowhere "$id"
	call fail run --rootfs /nowhere -- true
	call fail run --rootfs / --memory odd -- true
	call 0 features
	call 0 --version
	call fail kill nobody
done`;

/** Kilobytes of memory that is no file's; proc_pid_status(5). */
function weigh(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)![1]);
}

testOn(
  ["root", "busybox"],
  `warm: after ${CALLS} calls of all kinds a worker weighs less than ${HEAVY_MB} MB, and holds nothing`,
  async () => {
    const before = takeSnapshot();
    await using room = await WarmRoom.open(`--max-old-space-size=${HEAP_MB}`);
    using bundle = makeBundle("sleep 100000");
    using short = makeBundle("exit 3");
    Deno.symlinkSync(short.dir, `${bundle.dir}/short`);
    const workers = room.workers();
    // One that has just begun may still hold what it gives up.
    const fresh = workers.map((it) => describeWorker(it).split("\n"));
    const more = () =>
      workers.flatMap((pid, at) =>
        describeWorker(pid).split("\n").filter((it) => !fresh[at]!.includes(it))
      );
    const weights: number[][] = [];
    let cold = 0;
    for (let i = 0; i < LOOKS; i++) {
      const { code, stderr } = await runToEnd([
        "env",
        "DENO_V8_FLAGS=--no-cold-start",
        "sh",
        "-c",
        SCRIPT,
        "sh",
        room.front,
        room.root,
        bundle.dir,
        ID,
        String(CALLS / LOOKS),
      ]);
      assertEquals(code, 0, stderr.slice(-500));
      cold += stderr.match(/V8 did not recognize/g)?.length ?? 0;
      assertEquals(await waitFor(more, (it) => it.length === 0), []);
      weights.push(room.workers().map(weigh));
    }
    assert(cold < CALLS / 10, `${cold} were cold`);
    // None was too heavy, so none had to end. There may be a third: a call comes
    // before the last one is quite over.
    assertEquals(room.workers().slice(0, workers.length), workers);
    const said = weights.map(String).join(" ");
    for (const it of weights.flat()) assert(it < HEAVY_MB << 10, said);
    assertEquals(await findLeaks(before, ID), []);
  },
);
