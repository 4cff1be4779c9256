/**
 * Completion scripts for bash, zsh and fish, made from the flag table.
 *
 * @module
 */

import { ContainerError } from "../errors.ts";
import { type Completion, type Flag, readRow } from "./flag_row.ts";
import { globalFlags, listCommands } from "./flags.ts";

/** A command with its flags read. */
interface Entry {
  name: string;
  summary: string;
  complete: Completion | undefined;
  flags: Flag[];
}

function listEntries(): Entry[] {
  const help = readRow({ row: "-h, --help", help: "Show help", more: {} });
  return listCommands().filter((c) => !c.hidden).map((command) => ({
    name: command.name,
    summary: command.summary,
    // After `run` comes a program of the container, which is not here.
    complete: command.name === "help"
      ? listCommands().map((c) => c.name)
      : command.complete,
    flags: [...command.flags().map(readRow).filter((f) => !f.hidden), help],
  }));
}

function listGlobals(): Flag[] {
  return globalFlags().map(readRow).filter((f) => !f.hidden);
}

/** Returns the words a flag is typed as: "-e", "--env". */
function listWords(flag: Flag): string[] {
  return [
    ...(flag.short ? [`-${flag.short}`] : []),
    ...[flag.name, ...flag.aliases].map((n) => `--${n}`),
  ];
}

/** Returns whether the next word is the flag's value. */
function takesWord(flag: Flag): boolean {
  return flag.type === "string" || flag.type === "list";
}

/** Returns `text` as one word of a POSIX shell. */
function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Returns the global flags that take the next word, as a `case` pattern. */
function globalPattern(): string {
  return listGlobals().filter(takesWord).flatMap(listWords).join("|");
}

function bashAction(complete: Completion | undefined): string {
  switch (complete) {
    case undefined:
      return "return";
    case "dir":
      return 'compopt -o filenames; COMPREPLY=($(compgen -d -- "$cur"))';
    case "file":
      return 'compopt -o filenames; COMPREPLY=($(compgen -f -- "$cur"))';
    case "container":
      return 'COMPREPLY=($(compgen -W "$(rustyrun list -q 2>/dev/null)" -- "$cur"))';
    default:
      return `COMPREPLY=($(compgen -W ${quote(complete.join(" "))} -- "$cur"))`;
  }
}

function formatBash(): string {
  const entries = listEntries();
  const values = (name: string, flags: readonly Flag[]) =>
    flags.filter((f) => f.value !== "").map((flag) =>
      `    ${listWords(flag).map((w) => quote(`${name} ${w}`)).join("|")}) ${
        bashAction(flag.complete)
      }; return 0;;`
    );
  const words = (flags: readonly Flag[]) =>
    quote(flags.flatMap(listWords).join(" "));
  return `# bash completion for rustyrun: source <(rustyrun completions bash)

# Completes the value of a flag; fails when the flag takes none.
_rustyrun_value() {
  case "$1 $2" in
${values("", listGlobals()).join("\n")}
${entries.flatMap((e) => values(e.name, e.flags)).join("\n")}
  esac
  return 1
}

_rustyrun() {
  local cur=\${COMP_WORDS[COMP_CWORD]} command='' flag='' i
  COMPREPLY=()
  for ((i = 1; i < COMP_CWORD; i++)); do
    case \${COMP_WORDS[i]} in
      ${globalPattern()}) ((i++)); [[ \${COMP_WORDS[i]} == = ]] && ((i++)) ;;
      ${
    listGlobals().filter((f) => !takesWord(f)).flatMap(listWords).join("|")
  }) ;;
      -*) command=run; break ;;
      *) command=\${COMP_WORDS[i]}; break ;;
    esac
  done
  # bash splits --flag=value at the "=".
  if [[ $cur == = ]]; then
    cur='' flag=\${COMP_WORDS[COMP_CWORD-1]}
  elif [[ \${COMP_WORDS[COMP_CWORD-1]} == = ]]; then
    flag=\${COMP_WORDS[COMP_CWORD-2]}
  else
    flag=\${COMP_WORDS[COMP_CWORD-1]}
    case "$command $flag" in
      ${
    entries.flatMap((e) =>
      e.flags.filter((f) => f.type === "optional").flatMap((f) =>
        listWords(f).map((w) => quote(`${e.name} ${w}`))
      )
    ).join("|")
  }) flag='' ;;
    esac
  fi
  if [[ $flag == -* ]] && _rustyrun_value "$command" "$flag"; then
    return
  fi
  case $command in
    '')
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W ${words(listGlobals())} -- "$cur"))
      else
        COMPREPLY=($(compgen -W ${
    quote(entries.map((e) => e.name).join(" "))
  } -- "$cur"))
      fi ;;
${
    entries.map((e) =>
      `    ${e.name})
      if [[ $cur == -* ]]; then
        COMPREPLY=($(compgen -W ${words(e.flags)} -- "$cur"))
      else
        ${bashAction(e.complete)}
      fi ;;`
    ).join("\n")
  }
  esac
}
complete -F _rustyrun rustyrun
`;
}

function zshAction(complete: Completion | undefined): string {
  switch (complete) {
    case undefined:
      return " ";
    case "dir":
      return "_directories";
    case "file":
      return "_files";
    case "container":
      return "_rustyrun_containers";
    default:
      return `(${complete.map((c) => c.replaceAll(":", "\\:")).join(" ")})`;
  }
}

/** Returns the `_arguments` specifications of a flag. */
function formatZshFlag(flag: Flag): string[] {
  const escape = (s: string) => s.replace(/[\][:\\]/g, "\\$&");
  const words = listWords(flag);
  const help = `[${escape(flag.help)}]`;
  const value = `:${escape(flag.value)}:${zshAction(flag.complete)}`;
  return words.map((word) => {
    const long = word.startsWith("--");
    const again = flag.type === "list" ? "*" : "";
    if (flag.type === "boolean") return quote(`${word}${help}`);
    if (flag.type === "optional") return quote(`${word}=-${help}:${value}`);
    return quote(`${again}${word}${long ? "=" : "+"}${help}${value}`);
  });
}

function formatZsh(): string {
  const list = (flags: readonly Flag[]) =>
    flags.flatMap(formatZshFlag).join(" \\\n        ");
  const entries = listEntries();
  return `#compdef rustyrun
# zsh completion for rustyrun: rustyrun completions zsh > "\${fpath[1]}/_rustyrun"

_rustyrun_containers() {
  local -a ids
  ids=(\${(f)"$(rustyrun list -q 2>/dev/null)"})
  _describe container ids
}

_rustyrun_commands() {
  local -a commands
  commands=(
    ${
    entries.map((e) => quote(`${e.name}:${e.summary.replaceAll(":", "\\:")}`))
      .join("\n    ")
  }
  )
  _describe command commands
}

_rustyrun() {
  local curcontext="$curcontext" state line
  typeset -A opt_args
  # With no command word and a flag of run first, it means run.
  local i=2
  while (( i < CURRENT )); do
    case $words[i] in
      ${globalPattern()}) (( i += 2 )); continue ;;
      ${
    listGlobals().flatMap(listWords).join("|")
  }|--*=*) (( i++ )); continue ;;
      -*) words=("\${(@)words[1,i-1]}" run "\${(@)words[i,-1]}"); (( CURRENT++ )) ;;
    esac
    break
  done
  _arguments -C -S \\
    ${list(listGlobals())} \\
    '1:command:_rustyrun_commands' \\
    '*::argument:->command' && return
  [[ $state == command ]] || return
  case $words[1] in
${
    entries.map((e) => {
      const rest = e.name === "run"
        ? "'*::argument:_files'"
        : e.complete === undefined
        ? ""
        : quote(`*:argument:${zshAction(e.complete)}`);
      return `    ${e.name})
      _arguments -S \\
        ${list(e.flags)}${rest ? ` \\\n        ${rest}` : ""}
      ;;`;
    }).join("\n")
  }
  esac
}

if [[ $funcstack[1] == _rustyrun ]]; then
  _rustyrun "$@"
else
  compdef _rustyrun rustyrun
fi
`;
}

/** Returns `text` as one word of fish. */
function quoteFish(text: string): string {
  return `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
}

function fishAction(complete: Completion | undefined): string {
  switch (complete) {
    case undefined:
      return " -x";
    case "dir":
      return " -x -a '(__fish_complete_directories)'";
    case "file":
      return " -r -F";
    case "container":
      return " -x -a '(rustyrun list -q 2>/dev/null)'";
    default:
      return ` -x -a ${quoteFish(complete.join(" "))}`;
  }
}

function formatFishFlag(condition: string, flag: Flag): string {
  const names = [
    ...(flag.short ? [`-s ${flag.short}`] : []),
    ...[flag.name, ...flag.aliases].map((n) => `-l ${n}`),
  ].join(" ");
  const value = takesWord(flag) ? fishAction(flag.complete) : "";
  return `complete -c rustyrun -n ${quoteFish(condition)} ${names}${value} -d ${
    quoteFish(flag.help)
  }`;
}

function formatFish(): string {
  const entries = listEntries();
  const quoted = (flags: readonly Flag[]) =>
    flags.flatMap(listWords).map(quoteFish).join(" ");
  return `# fish completion for rustyrun: rustyrun completions fish | source

# Prints the command on the line; nothing when there is none yet.
function __rustyrun_command
  set -l words (commandline -opc)
  set -e words[1]
  set -l skip 0
  for word in $words
    if test $skip = 1
      set skip 0
      continue
    end
    switch $word
      case ${quoted(listGlobals().filter(takesWord))}
        set skip 1
      case ${quoted(listGlobals().filter((f) => !takesWord(f)))}
      case '-*'
        echo run
        return
      case '*'
        echo $word
        return
    end
  end
end

function __rustyrun_is
  test (count (__rustyrun_command)) = 1; and test (__rustyrun_command) = $argv[1]
end

function __rustyrun_none
  test (count (__rustyrun_command)) = 0
end

complete -c rustyrun -f
${
    entries.map((e) =>
      `complete -c rustyrun -n __rustyrun_none -a ${e.name} -d ${
        quoteFish(e.summary)
      }`
    ).join("\n")
  }
${listGlobals().map((f) => formatFishFlag("__rustyrun_none", f)).join("\n")}
${
    entries.flatMap((e) => [
      ...e.flags.map((f) => formatFishFlag(`__rustyrun_is ${e.name}`, f)),
      ...(e.complete === undefined ? [] : [
        `complete -c rustyrun -n '__rustyrun_is ${e.name}'${
          fishAction(e.complete)
        }`,
      ]),
    ]).join("\n")
  }
`;
}

/**
 * Returns the completion script for a shell.
 *
 * @throws {ContainerError} for a shell that there is none for
 */
export function formatCompletions(shell: string): string {
  switch (shell) {
    case "bash":
      return formatBash();
    case "zsh":
      return formatZsh();
    case "fish":
      return formatFish();
  }
  throw new ContainerError(
    `Cannot print completions for "${shell}": there are none`,
    {
      code: "unknown-shell",
      hint: "The shells are: bash, zsh, fish",
      exitCode: 1,
    },
  );
}
