/**
 * Names of the kernel's numbers: tables that are made when this is loaded, apart
 * from what every command loads.
 *
 * @module
 */

const CAP_NAMES =
  ("CHOWN DAC_OVERRIDE DAC_READ_SEARCH FOWNER FSETID KILL SETGID SETUID " +
    "SETPCAP LINUX_IMMUTABLE NET_BIND_SERVICE NET_BROADCAST NET_ADMIN NET_RAW " +
    "IPC_LOCK IPC_OWNER SYS_MODULE SYS_RAWIO SYS_CHROOT SYS_PTRACE SYS_PACCT " +
    "SYS_ADMIN SYS_BOOT SYS_NICE SYS_RESOURCE SYS_TIME SYS_TTY_CONFIG MKNOD " +
    "LEASE AUDIT_WRITE AUDIT_CONTROL SETFCAP MAC_OVERRIDE MAC_ADMIN SYSLOG " +
    "WAKE_ALARM BLOCK_SUSPEND AUDIT_READ PERFMON BPF CHECKPOINT_RESTORE")
    .split(" ");

/** Name ("CAP_CHOWN") to bit number, capabilities(7), as of 5.9. */
export const CAPS: ReadonlyMap<string, number> = new Map(
  CAP_NAMES.map((name, bit) => [`CAP_${name}`, bit]),
);

/** Every capability that this table knows, as a mask. */
export const CAPS_ALL: bigint = (1n << BigInt(CAP_NAMES.length)) - 1n;

/** getrlimit(2): the same numbers on x86_64 and aarch64. */
export const RLIMITS: ReadonlyMap<string, number> = new Map(
  ("CPU FSIZE DATA STACK CORE RSS NPROC NOFILE MEMLOCK AS LOCKS SIGPENDING " +
    "MSGQUEUE NICE RTPRIO RTTIME").split(" ")
    .map((name, number) => [`RLIMIT_${name}`, number]),
);
