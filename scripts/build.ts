/**
 * Compiles c/*.c into dist/rustyrun-helper-<arch>, and c/front*.c into
 * dist/rustyrun-front-<arch>: static, stripped, the same bytes from the same
 * compiler. With musl-gcc they are 90 and 30 KB, with a glibc compiler some 700;
 * both behave alike.
 *
 *     deno task build [--force] [--arch x86_64|aarch64]
 *     deno task build:analyze        -Werror -fanalyzer, keeps nothing
 *
 * CC in the environment names another compiler.
 *
 * @module
 */

/** Architectures that the helper is built for. */
export type Arch = "x86_64" | "aarch64";

/** The repository's root, with a slash at the end. */
export const ROOT = decodeURIComponent(
  new URL("../", import.meta.url).pathname,
);

/** Warnings that the C code is held to. Only `ok` and CI make errors of them:
 * a compiler newer than ours may warn about more, and must still build. */
export const WARNINGS = [
  "-Wall",
  "-Wextra",
  "-Wpedantic",
  "-Wshadow",
  "-Wconversion",
  "-Wstrict-prototypes",
  "-Wmissing-prototypes",
  "-Wvla",
  "-Wformat=2",
];

/** What every compilation of the C code has in common. */
export const DIALECT = ["-std=c11", "-D_GNU_SOURCE"];

const CODE = [
  "-Os",
  "-ffunction-sections",
  "-fdata-sections",
  "-fstack-protector-strong",
  "-fno-ident",
  // The build directory must not show in the bytes.
  `-ffile-prefix-map=${ROOT}=`,
];

const LINK = [
  "-static",
  "-s",
  "-Wl,--gc-sections",
  "-Wl,--build-id=none",
  "-Wl,-z,noexecstack",
  "-Wl,-z,relro",
];

/** Says why a program could not be built, in words for the user. */
export class BuildError extends Error {
  override name = "BuildError";
}

/** The command that installs a C compiler, from the text of /etc/os-release. */
export function describeInstall(osRelease: string, arch: Arch): string {
  const words = (key: string) =>
    new RegExp(`^${key}="?([^"\n]*)`, "m").exec(osRelease)?.[1]?.split(/\s+/) ??
      [];
  const ids = [...words("ID"), ...words("ID_LIKE")];
  const is = (...names: string[]) => names.some((name) => ids.includes(name));
  if (arch !== Deno.build.arch) {
    const cross = `gcc-${arch.replace("_", "-")}-linux-gnu`;
    return is("debian", "ubuntu")
      ? `apt-get install ${cross}`
      : `install a cross compiler (Debian calls it ${cross})`;
  }
  if (is("debian", "ubuntu")) return "apt-get install gcc musl-tools";
  if (is("alpine")) return "apk add gcc musl-dev";
  if (is("fedora", "rhel", "centos")) return "dnf install gcc glibc-static";
  if (is("arch")) return "pacman -S gcc musl";
  if (is("suse", "opensuse")) return "zypper install gcc glibc-devel-static";
  return 'install a C compiler with a static libc ("musl-tools" on Debian)';
}

function findProgram(name: string): string | undefined {
  if (name.includes("/")) return name;
  for (const dir of (Deno.env.get("PATH") ?? "").split(":")) {
    const path = `${dir || "."}/${name}`;
    try {
      const info = Deno.statSync(path);
      if (info.isFile && ((info.mode ?? 0) & 0o111)) return path;
    } catch {
      // The next directory may have it.
    }
  }
  return undefined;
}

/** The compilers to try for an architecture, best first. */
function listCompilers(arch: Arch): string[] {
  const own = Deno.env.get("CC");
  if (arch !== Deno.build.arch) {
    return [`${arch}-linux-musl-gcc`, `${arch}-linux-gnu-gcc`];
  }
  return own ? [own] : ["musl-gcc", "cc", "gcc", "clang"];
}

/** The first compiler of {@linkcode listCompilers} that is installed.
 *
 * @throws {BuildError} when there is none: it names the package to install */
function findCompiler(arch: Arch): string {
  const names = listCompilers(arch);
  for (const name of names) if (findProgram(name)) return name;
  throw new BuildError(
    `Cannot build the helper: no C compiler is installed (looked for ${
      names.join(", ")
    })\n  hint: ${describeInstall(readOsRelease(), arch)}`,
  );
}

function readOsRelease(): string {
  try {
    return Deno.readTextFileSync("/etc/os-release");
  } catch {
    return "";
  }
}

/** The programs of c/. */
const PROGRAMS = ["helper", "front"] as const;
type Program = typeof PROGRAMS[number];

const FRONT = ["c/front.c", "c/front_user.c"];

/** The files that a program is compiled of. */
function sourcesOf(program: Program): string[] {
  return program === "front"
    ? FRONT
    : listSources(".c").filter((path) => !FRONT.includes(path));
}

function listSources(suffix: string): string[] {
  return [...Deno.readDirSync(`${ROOT}c`)].map((entry) => entry.name)
    .filter((name) => name.endsWith(suffix)).map((name) => `c/${name}`).sort();
}

function modified(path: string): number {
  try {
    return Deno.statSync(path).mtime?.getTime() ?? 0;
  } catch {
    return 0;
  }
}

function compile(compiler: string, args: string[], arch: Arch): void {
  const { success, stderr } = new Deno.Command(compiler, {
    args,
    cwd: ROOT,
    // Messages in English; nothing of the caller's language or date gets in.
    env: { LC_ALL: "C", SOURCE_DATE_EPOCH: "0" },
  }).outputSync();
  const text = new TextDecoder().decode(stderr).trimEnd();
  if (success) {
    if (text) console.error(text);
    return;
  }
  if (
    /cannot find -lc\b|no such file.*\b(stdio|stddef|errno)\.h|(stdio|errno|unistd)\.h: No such file/
      .test(text)
  ) {
    throw new BuildError(
      `Cannot build the helper: "${compiler}" is installed without a static C library\n  hint: ${
        describeInstall(readOsRelease(), arch)
      }`,
    );
  }
  throw new BuildError(
    `Cannot build the helper: "${compiler}" failed\n${text}`,
  );
}

/** Where a program of an architecture is put. */
export function programPath(
  program: Program,
  arch: Arch = Deno.build.arch as Arch,
): string {
  return `${ROOT}dist/rustyrun-${program}-${arch}`;
}

/**
 * Compiles the helper and the front, each unless the one in dist/ is newer than
 * its sources.
 *
 * @returns the paths of those that were compiled
 * @throws {BuildError} when there is no compiler, or it refuses the code
 */
export function buildPrograms(
  { arch = Deno.build.arch as Arch, force = false } = {},
): string[] {
  return PROGRAMS.filter((it) => buildProgram(it, arch, force))
    .map((it) => programPath(it, arch));
}

/** @returns false when it is fresh */
function buildProgram(program: Program, arch: Arch, force: boolean): boolean {
  const out = programPath(program, arch);
  const sources = sourcesOf(program);
  const inputs = [...sources, ...listSources(".h"), "scripts/build.ts"];
  const newest = Math.max(...inputs.map((path) => modified(ROOT + path)));
  if (!force && modified(out) > newest) return false;
  const compiler = findCompiler(arch);
  Deno.mkdirSync(`${ROOT}dist`, { recursive: true });
  const part = `${out}.${Deno.pid}`;
  try {
    compile(
      compiler,
      [...DIALECT, ...CODE, ...WARNINGS, ...sources, ...LINK, "-o", part],
      arch,
    );
    // Whatever the umask: others may run it, nobody else may write it.
    Deno.chmodSync(part, 0o755);
    Deno.renameSync(part, out);
  } finally {
    try {
      Deno.removeSync(part);
    } catch {
      // Renamed, or never made.
    }
  }
  console.log(
    `Built ${out.slice(ROOT.length)}: ${
      Math.ceil(Deno.statSync(out).size / 1024)
    } KiB, by ${compiler}`,
  );
  return true;
}

/**
 * Compiles every C file with warnings as errors: with gcc's analyzer, and once
 * more with musl-gcc, whose headers differ. Keeps nothing.
 *
 * @throws {BuildError} when a compiler objects
 */
function analyzeHelper(): void {
  const arch = Deno.build.arch as Arch;
  const sources = listSources(".c").map((path) => ROOT + path);
  const dir = Deno.makeTempDirSync({ prefix: "rustyrun-analyze-" });
  try {
    for (
      const [compiler, extra] of [["gcc", ["-fanalyzer"]], [
        "musl-gcc",
        [],
      ]] as const
    ) {
      if (!findProgram(compiler)) {
        if (compiler === "gcc") findCompiler(arch);
        console.error(`Skipped ${compiler}: it is not installed`);
        continue;
      }
      for (const source of sources) {
        compile(compiler, [
          ...DIALECT,
          ...CODE,
          ...WARNINGS,
          "-Werror",
          ...extra,
          "-c",
          source,
          "-o",
          `${dir}/out.o`,
        ], arch);
      }
      console.log(
        `Checked ${sources.length} C files: ${[compiler, ...extra].join(" ")}`,
      );
    }
  } finally {
    Deno.removeSync(dir, { recursive: true });
  }
}

function main(args: string[]): void {
  let arch = Deno.build.arch as Arch;
  let force = false;
  let analyze = false;
  for (let i = 0; i < args.length; i++) {
    const arg = args[i];
    if (arg === "--force") force = true;
    else if (arg === "--analyze") analyze = true;
    else if (
      arg === "--arch" &&
      (args[i + 1] === "x86_64" || args[i + 1] === "aarch64")
    ) {
      arch = args[++i] as Arch;
    } else {
      throw new BuildError(
        `Cannot build the helper: unknown argument "${arg}"\n  hint: deno task build [--force] [--arch x86_64|aarch64]`,
      );
    }
  }
  if (analyze) analyzeHelper();
  else if (buildPrograms({ arch, force }).length === 0) {
    console.log(`dist/rustyrun-*-${arch} are newer than their sources`);
  }
}

if (import.meta.main) {
  try {
    main(Deno.args);
  } catch (error) {
    if (!(error instanceof BuildError)) throw error;
    console.error(error.message);
    Deno.exit(1);
  }
}
