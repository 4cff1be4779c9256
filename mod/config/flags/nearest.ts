/**
 * The nearest known word to a mistyped one.
 *
 * @module
 */

/** Returns the number of letters to insert, delete, replace or swap with their
 * neighbour to get from `a` to `b` (optimal string alignment distance). */
export function editDistance(a: string, b: string): number {
  let before: number[] = [];
  let last = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      const same = a[i - 1] === b[j - 1] ? 0 : 1;
      let least = Math.min(
        last[j]! + 1,
        row[j - 1]! + 1,
        last[j - 1]! + same,
      );
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) {
        least = Math.min(least, before[j - 2]! + 1);
      }
      row.push(least);
    }
    before = last;
    last = row;
  }
  return last[b.length]!;
}

/** "--cpu" is nearer to "--cpus" than to "--cpu-shares". */
function isBefore(a: string, b: string): boolean {
  return a.length === b.length ? a < b : a.length < b.length;
}

/** Returns the word of `known` that `word` was most likely meant to be:
 * fewest edits, or the shortest that it begins; undefined when none is near. A slip of
 * the fingers changes one letter in four at most: what differs by more is
 * another word ("rmi" is not "run"). */
export function findNearest(
  word: string,
  known: Iterable<string>,
): string | undefined {
  let best: string | undefined;
  let least = Math.min(3, Math.floor(word.length / 4));
  for (const candidate of known) {
    const begins = word.length >= 3 && candidate.startsWith(word);
    const distance = begins ? 0 : editDistance(word, candidate);
    if (
      distance < least ||
      (distance === least && (best === undefined || isBefore(candidate, best)))
    ) {
      least = distance;
      best = candidate;
    }
  }
  return best;
}
