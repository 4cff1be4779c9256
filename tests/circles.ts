/**
 * Circles of files, for the tests of what may import what.
 *
 * @module
 */

/**
 * Finds circles: ways from a file back to itself, also by types alone. They say
 * that the files of it are one file, or that what they share has no place.
 *
 * @returns each as "a -> b -> a"; none only where there is none
 */
export function findCircles(
  arrows: readonly { from: string; to: string }[],
): string[] {
  const ways = Map.groupBy(arrows, ({ from }) => from);
  const done = new Set<string>();
  const circles: string[] = [];
  const walk = (file: string, way: string[]) => {
    const at = way.indexOf(file);
    if (at >= 0) circles.push([...way.slice(at), file].join(" -> "));
    if (at >= 0 || done.has(file)) return;
    for (const { to } of ways.get(file) ?? []) walk(to, [...way, file]);
    done.add(file);
  };
  for (const file of ways.keys()) walk(file, []);
  return circles;
}
