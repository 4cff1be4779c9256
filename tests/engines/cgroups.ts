/**
 * The cgroups of a room, for what is left of them.
 *
 * @module
 */

/** Whether conmon made that cgroup for itself, and podman leaves it. */
export function isConmons(path: string): boolean {
  return path.endsWith("/conmon") ||
    [...Deno.readDirSync(path)].some((entry) => entry.name === "conmon");
}

/** Every path below the cgroup hierarchies with `name` in it. */
export function findCgroups(name: string): string[] {
  const { stdout } = new Deno.Command("find", {
    args: ["/sys/fs/cgroup", "-type", "d", "-path", `*${name}*`],
    stderr: "null",
  }).outputSync();
  return new TextDecoder().decode(stdout).split("\n").filter((line) =>
    line !== ""
  );
}
