/**
 * The upper layer of a throw-away root, handed over to the host: what the
 * container writes can be looked at there while nobody else can reach it.
 *
 * @module
 */

import { O, O_BY_ARCH, RESOLVE } from "../../../ffi/constants.ts";
import type { Config } from "../../config/config.ts";
import { hasUserNamespace } from "../../config/namespaces.ts";
import type { Facts } from "../../host.ts";
import type { MountHost } from "../../mounts/model.ts";
import type { Phased } from "../../plan.ts";
import { FD_TAG, type KeptUpper } from "../model.ts";

const from = "ephemeral";
const { DIRECTORY, NOFOLLOW } =
  O_BY_ARCH[Deno.build.arch === "aarch64" ? "aarch64" : "x86_64"];

/** Plans to hand it over, once it is made; nothing where there is none, or where
 * there are several. */
export function planKeptUpper(
  config: Config,
  { top, veils }: Pick<MountHost, "top" | "veils">,
  { inUserns }: Pick<Facts, "inUserns">,
): { phased: Phased; kept: KeptUpper | undefined } {
  const { ephemeral, spec, files, overwrites } = config;
  if (ephemeral === undefined) return { phased: {}, kept: undefined };
  // A layer for each directory: there is none over all of it.
  if (top !== undefined) return { phased: {}, kept: undefined };
  return {
    phased: {
      root: [
        {
          do: "open",
          into: "changes",
          at: "layers",
          path: "upper",
          flags: O.PATH | DIRECTORY | NOFOLLOW | O.CLOEXEC,
          mode: 0,
          resolve: RESOLVE.BENEATH | RESOLVE.NO_SYMLINKS,
          why: "find the directory that takes what is written",
          from,
        },
        {
          do: "sendFd",
          slot: "changes",
          tag: FD_TAG.upper,
          why: "let the host list what has changed",
          from,
        },
      ],
    },
    kept: {
      attributes: hasUserNamespace(config) || inUserns ? "user" : "trusted",
      own: [
        ...spec.mounts?.map((it) => it.destination) ?? [],
        ...files.map((it) => it.path),
        ...veils.filter((it) => it.kind === "way").map((it) => it.path),
      ],
      hidden: [...veils.filter((it) => it.kind !== "way"), ...overwrites]
        .map((it) => it.path),
    },
  };
}
