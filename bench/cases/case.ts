/**
 * What a case is.
 *
 * @module
 */

import type { Field } from "../contenders.ts";
import type { Rounds, Series } from "../measure.ts";
import type { Room } from "../room.ts";

/** What a case works with. */
export interface Bench {
  room: Room;
  field: Field;
  rounds: Rounds;
  /** Smaller crowds: it shows that the bench works, and measures little. */
  quick: boolean;
}

/** One thing that is measured. */
export interface Case {
  /** For --only. */
  name: string;
  /** The heading of its table. */
  title: string;
  /** What each contender does, and in what they differ. */
  job: string;
  run(bench: Bench): Promise<Series[]>;
}
