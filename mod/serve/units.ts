/**
 * systemd's units for the warm engine: the socket starts the service when a front
 * calls, and the service ends when none does; systemd.socket(5).
 *
 * @module
 */

/** A unit: its file's name, and its text. */
export interface Unit {
  name: string;
  text: string;
}

/** A word of ExecStart=, systemd.syntax(7): "%" and "$" are its own. */
function quote(word: string): string {
  const text = word.replaceAll("\\", "\\\\").replaceAll('"', '\\"')
    .replaceAll("%", "%%").replaceAll("$", "$$$$");
  return /^[\w./:@=+,-]+$/.test(text) ? text : `"${text}"`;
}

/** systemd's %t is /run, or XDG_RUNTIME_DIR. */
const USUAL = "%t/rustyrun/.serve";

/**
 * The units of the warm engine, the same for the system's manager and a
 * user's.
 *
 * @param serve the command line of the engine
 * @param socket where it is; absent: the usual place
 */
export function describeUnits(
  serve: readonly string[],
  socket?: string,
): Unit[] {
  const place = socket?.replaceAll("%", "%%") ?? USUAL;
  return [
    {
      name: "rustyrun.socket",
      text: `[Unit]
Description=Calls of rustyrun

[Socket]
ListenSequentialPacket=${place}
SocketMode=0600
DirectoryMode=0700

[Install]
WantedBy=sockets.target
`,
    },
    {
      name: "rustyrun.service",
      text: `[Unit]
Description=The warm engine of rustyrun
Requires=rustyrun.socket

[Service]
ExecStart=${serve.map(quote).join(" ")}
# Containers are children of who calls, none of them is the engine's.
KillMode=process
`,
    },
  ];
}
