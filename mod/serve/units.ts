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

/**
 * The units of the warm engine, the same for the system's manager and a
 * user's.
 *
 * @param program the command line of the full program
 */
export function describeUnits(program: readonly string[]): Unit[] {
  // systemd's %t is /run, or XDG_RUNTIME_DIR.
  return [
    {
      name: "rustyrun.socket",
      text: `[Unit]
Description=Calls of rustyrun

[Socket]
ListenSequentialPacket=%t/rustyrun/.serve
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
ExecStart=${[...program, "serve"].map(quote).join(" ")}
# Containers are children of who calls, none of them is the engine's.
KillMode=process
`,
    },
  ];
}
