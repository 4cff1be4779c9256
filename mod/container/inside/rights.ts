/**
 * With whose rights a path of a container is used. What the path itself says is the
 * caller's word, and goes by the caller's rights. A link on its way, or a mount, may
 * be the work of who lives in the container, and so may the names in a volume, and
 * lead to what that may not read or write: behind a link, in a volume, and everywhere
 * in a container that may mount, the rights are those of the container's user, and
 * nobody's where it has had others.
 *
 * @module
 */

import { SyscallError } from "../../../ffi/errno.ts";
import { identifyFile } from "../../../ffi/identity.ts";
import { actAs, type Owner } from "../../../ffi/owner.ts";
import { attempt, fileError } from "./words.ts";

/** A container's root, and its user on the host, whose files are made. */
export interface Root extends Owner {
  /** An O_PATH descriptor. */
  fd: number;
  /** Who lives in it may what the caller may: no link leads to more. */
  strong: boolean;
  /** Others than its user have run in it: a link may be anybody's. */
  others?: boolean;
  /** It has CAP_SYS_ADMIN: no path is the caller's word. */
  mounts?: boolean;
  /** Mounts that show nothing of the host's, by their ids in mountinfo; absent: all
   * do not. */
  own?: ReadonlySet<number>;
}

/** Whom nothing belongs to: what everybody may is left. */
const NOBODY: Owner = { uid: 65534, gid: 65534 };

/** How a path is walked. */
export interface Walk {
  /** The root. */
  fd: number;
  /** Whether links are followed, else they are ELOOP. */
  links: boolean;
  /** Mounts that are not as a link, which is ELOOP; absent: none is. */
  own?: ReadonlySet<number> | undefined;
}

const ELOOP = 40;

/**
 * Refuses what lies in a volume, where that is as a link: a command may have renamed
 * what is in there, or what leads there.
 *
 * @throws {SyscallError} ELOOP
 */
export function refuseVolume(walk: Walk, fd: number): void {
  if (isVolume(walk, fd)) throw new SyscallError("openat2", ELOOP);
}

/** Whether that is so. */
export function isVolume({ own }: Walk, fd: number): boolean {
  return own !== undefined && !own.has(identifyFile(fd).mount);
}

/** Calls with certain rights. */
export type Act = <T>(call: () => T) => T;

/** Calls with the rights there are. */
export const plainly: Act = (call) => call();

/** Whether only ids of the file system were in the way. */
function isRefused(error: unknown): boolean {
  return error instanceof SyscallError &&
    (error.code === "EACCES" || error.code === "EPERM");
}

/** Why the rights are the container's user's. */
const THEIRS = {
  link: {
    why: "it lies behind a symbolic link or in a volume",
    hint:
      "Name the place itself, without a link on the way; use the path on the host for what is in a volume",
  },
  mount: {
    why: "the container may mount",
    hint: "Without CAP_SYS_ADMIN, a path without a link goes by your rights",
  },
};

/**
 * Does something at a path: first as if it held no link, then, where it does,
 * with the rights of the container's user.
 *
 * @param doing what is wanted: 'read "/a" in the container'
 * @param makes what is made is the container's user's
 * @param call may run twice; what is the container's is to be done by `asUser`
 * @throws {ContainerError}
 */
export function eachWay<T>(
  doing: string,
  root: Root,
  makes: boolean,
  call: (walk: Walk, asUser: Act) => T,
): T {
  const { fd, strong } = root;
  const mounts = root.mounts === true && !strong;
  const first: Act = makes ? (it) => actAs(root, it) : plainly;
  return attempt(doing, () => {
    try {
      const walk = { fd, links: strong, own: strong ? undefined : root.own };
      if (!mounts) return first(() => call(walk, plainly));
    } catch (error) {
      const isLink = error instanceof SyscallError && error.code === "ELOOP";
      if (strong || !isLink) throw error;
    }
    try {
      return call(
        { fd, links: true },
        (it) => actAs(root.others ? NOBODY : root, it, { bare: true }),
      );
    } catch (cause) {
      if (!isRefused(cause)) throw cause;
      const { why, hint } = mounts ? THEIRS.mount : THEIRS.link;
      const text = `${why}, and the container's user has no right to`;
      throw fileError(doing, text, "file-access", { hint, cause });
    }
  });
}

/** {@linkcode eachWay} where all that is done is the container's. */
export function within<T>(
  doing: string,
  root: Root,
  makes: boolean,
  call: (walk: Walk) => T,
): T {
  return eachWay(
    doing,
    root,
    makes,
    (walk, asUser) => asUser(() => call(walk)),
  );
}
