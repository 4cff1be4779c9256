/**
 * Interleaved rounds: in each one every contender does each job once, in an order
 * that is drawn anew, so that a busy moment hits all of them alike.
 *
 * @module
 */

import type { Sample, Starter } from "./starter.ts";

/** One contender's figures for one thing that was measured. */
export interface Series {
  /** Name of the case: "life". */
  case: string;
  /** What was measured in it: "create". */
  metric: string;
  /** Who. */
  contender: string;
  unit: "ms" | "KiB";
  /** One for each round. */
  values: number[];
  /** Milliseconds of CPU, of all that worked for it; empty where it was not
   * measured. */
  cpu: number[];
}

/** Does the job once. */
export type Act = () => Promise<Record<string, Sample>>;

/** How often. */
export interface Rounds {
  count: number;
  /** Rounds before those that count: they fill caches and warm engines. */
  before: number;
}

/** The middle value; the mean of the two in the middle of an even number. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  return sorted.length % 2
    ? sorted[middle]!
    : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** The mean; NaN of nothing. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, it) => sum + it, 0) / values.length;
}

/** An order by chance. */
function shuffle<T>(list: readonly T[]): T[] {
  const left = [...list];
  return list.map(() =>
    left.splice(Math.floor(Math.random() * left.length), 1)[0]!
  );
}

/** Shows how far a case is, on a terminal. */
function showProgress(name: string, round: number, count: number): void {
  if (!Deno.stderr.isTerminal()) return;
  const text = round === count ? "" : `${name}: round ${round + 1} of ${count}`;
  Deno.stderr.writeSync(new TextEncoder().encode(`\r\x1b[K${text}`));
}

/**
 * Measures a case.
 *
 * @param acts contender -> what it does
 * @returns a series for each contender and each metric
 * @throws {Interrupted}
 */
export async function interleave(
  name: string,
  acts: ReadonlyMap<string, Act>,
  rounds: Rounds,
  starter: Starter,
): Promise<Series[]> {
  const found = new Map<string, Series>();
  const keep = (contender: string, metric: string, { ms, cpu }: Sample) => {
    const key = `${contender} ${metric}`;
    let series = found.get(key);
    if (series === undefined) {
      series = {
        case: name,
        metric,
        contender,
        unit: "ms",
        values: [],
        cpu: [],
      };
      found.set(key, series);
    }
    series.values.push(ms);
    series.cpu.push(cpu);
  };
  const total = rounds.before + rounds.count;
  for (let round = 0; round < total; round++) {
    showProgress(name, round, total);
    for (const [contender, act] of shuffle([...acts])) {
      const samples = await act();
      await starter.check();
      if (round < rounds.before) continue;
      for (const [metric, sample] of Object.entries(samples)) {
        keep(contender, metric, sample);
      }
    }
  }
  showProgress(name, total, total);
  return [...found.values()];
}
