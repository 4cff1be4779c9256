/**
 * The one key that callers write in more than one way. Go takes a key in any
 * case, and so runc does: its own users write `pagesize`, and not what the
 * specification has.
 *
 * @module
 */

/** Writes `pageSize` and its unit in linux.resources as the specification does,
 * where they are there in another case.
 *
 * @param resources of a config.json that nobody has checked; it is changed */
export function spellPageSizes(resources: unknown): void {
  const { hugepageLimits } = (resources ?? {}) as Record<string, unknown>;
  if (!Array.isArray(hugepageLimits)) return;
  for (const limit of hugepageLimits) {
    if (typeof limit !== "object" || limit === null) continue;
    const key = "pageSize" in limit
      ? "pageSize"
      : Object.keys(limit).find((it) => it.toLowerCase() === "pagesize");
    const value = key === undefined ? undefined : limit[key];
    if (typeof value === "string") limit.pageSize = value.toUpperCase();
  }
}
