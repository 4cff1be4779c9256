/**
 * errno: names, the kernel's words, and the error that a failed call throws.
 * Numbers of asm-generic, the same on x86_64 and aarch64; errno(3).
 *
 * @module
 */

const NAMES = ("OK EPERM ENOENT ESRCH EINTR EIO ENXIO E2BIG ENOEXEC EBADF " +
  "ECHILD EAGAIN ENOMEM EACCES EFAULT ENOTBLK EBUSY EEXIST EXDEV ENODEV " +
  "ENOTDIR EISDIR EINVAL ENFILE EMFILE ENOTTY ETXTBSY EFBIG ENOSPC ESPIPE " +
  "EROFS EMLINK EPIPE EDOM ERANGE EDEADLK ENAMETOOLONG ENOLCK ENOSYS " +
  "ENOTEMPTY ELOOP").split(" ");

const LATER: Record<number, string> = {
  61: "ENODATA",
  62: "ETIME",
  71: "EPROTO",
  75: "EOVERFLOW",
  80: "ELIBBAD",
  83: "ELIBEXEC",
  84: "EILSEQ",
  87: "EUSERS",
  88: "ENOTSOCK",
  90: "EMSGSIZE",
  93: "EPROTONOSUPPORT",
  95: "EOPNOTSUPP",
  97: "EAFNOSUPPORT",
  98: "EADDRINUSE",
  104: "ECONNRESET",
  105: "ENOBUFS",
  107: "ENOTCONN",
  109: "ETOOMANYREFS",
  110: "ETIMEDOUT",
  111: "ECONNREFUSED",
  116: "ESTALE",
  122: "EDQUOT",
  125: "ECANCELED",
  126: "ENOKEY",
  130: "EOWNERDEAD",
};

const WORDS: Record<string, string> = {
  EPERM: "operation not permitted",
  ENOENT: "no such file or directory",
  ESRCH: "no such process",
  EIO: "input/output error",
  ENXIO: "no such device or address",
  E2BIG: "argument list too long",
  ENOEXEC: "exec format error",
  EBADF: "bad file descriptor",
  ECHILD: "no child processes",
  EINTR: "interrupted system call",
  EFAULT: "bad address",
  EDEADLK: "resource deadlock avoided",
  ENOLCK: "no locks available",
  ENODATA: "no data available",
  EMSGSIZE: "message too long",
  ENOTSOCK: "socket operation on non-socket",
  EAGAIN: "resource temporarily unavailable",
  ENOMEM: "cannot allocate memory",
  EACCES: "permission denied",
  EBUSY: "device or resource busy",
  EEXIST: "file exists",
  EXDEV: "invalid cross-device link",
  ENODEV: "no such device",
  ENOTBLK: "block device required",
  ENOTTY: "inappropriate ioctl for device",
  ENOTDIR: "not a directory",
  EISDIR: "is a directory",
  EINVAL: "invalid argument",
  EMFILE: "too many open files",
  ENFILE: "too many open files in system",
  ETXTBSY: "text file busy",
  EFBIG: "file too large",
  ENOSPC: "no space left on device",
  EROFS: "read-only file system",
  ESPIPE: "illegal seek",
  EMLINK: "too many links",
  EPIPE: "broken pipe",
  ERANGE: "numerical result out of range",
  ENAMETOOLONG: "file name too long",
  ENOSYS: "function not implemented",
  ENOTEMPTY: "directory not empty",
  ELOOP: "too many levels of symbolic links",
  EOVERFLOW: "value too large for defined data type",
  EUSERS: "too many users",
  ELIBBAD: "accessing a corrupted shared library",
  EPROTONOSUPPORT: "protocol not supported",
  EOPNOTSUPP: "operation not supported",
  EAFNOSUPPORT: "address family not supported by protocol",
  EADDRINUSE: "address already in use",
  ECONNRESET: "connection reset by peer",
  ENOBUFS: "no buffer space available",
  ENOTCONN: "transport endpoint is not connected",
  ETOOMANYREFS: "too many references: cannot splice",
  ETIMEDOUT: "timed out",
  ECONNREFUSED: "connection refused",
  ESTALE: "stale file handle",
  EDQUOT: "disk quota exceeded",
  ECANCELED: "operation canceled",
  ENOKEY: "required key not available",
};

/** The errno's name: 13 -> "EACCES"; an unknown one -> "errno 4711". */
export function errnoName(errno: number): string {
  return NAMES[errno] ?? LATER[errno] ?? `errno ${errno}`;
}

/** The errno's name ("EBUSY") of an error that Deno threw; "" for another. Deno
 * has a code for the common ones; the message has the number of the others. */
export function errnoOf(error: unknown): string {
  const { code, message } = (error ?? {}) as {
    code?: string;
    message?: string;
  };
  // Deno's name for the same number.
  if (code === "ENOTSUP") return "EOPNOTSUPP";
  if (typeof code === "string") return code;
  const number = /\(os error ([0-9]+)\)/.exec(message ?? "")?.[1];
  return number === undefined ? "" : errnoName(Number(number));
}

/** Whether what Deno threw for a file of a process in /proc says that the process
 * has gone: before the file was opened (ENOENT), or read (ESRCH). */
export function isGone(error: unknown): boolean {
  return error instanceof Deno.errors.NotFound || errnoOf(error) === "ESRCH";
}

/** The errno's words as strerror(3) has them, lower case; the name where
 * there are none. */
export function errnoText(errno: number): string {
  const name = errnoName(errno);
  return WORDS[name] ?? name;
}

/** Name and words: "EACCES (permission denied)"; an unknown one is "errno 4711". */
export function describeErrno(errno: number): string {
  const [name, words] = [errnoName(errno), errnoText(errno)];
  return name === words ? name : `${name} (${words})`;
}

/** errno's number by name; 0 for an unknown one. */
export function errnoNumber(name: string): number {
  const at = NAMES.indexOf(name);
  if (at > 0) return at;
  for (const [number, it] of Object.entries(LATER)) {
    if (it === name) return Number(number);
  }
  return 0;
}

/** A system call that failed. */
export class SyscallError extends Error {
  override name = "SyscallError";
  /** The call: "memfd_create". */
  readonly call: string;
  readonly errno: number;

  constructor(call: string, errno: number) {
    super(`${call}: ${describeErrno(errno)}`);
    this.call = call;
    this.errno = errno;
  }

  /** errno's name: "EACCES". */
  get code(): string {
    return errnoName(this.errno);
  }
}
