/**
 * Explains a container before there is one: the plan in words, each step with
 * its reason and the flag or key that it came from.
 *
 * @module
 */

import type { CgroupPlan, UnitPlan, UnitValue } from "./cgroups.ts";
import type { Config } from "./config/config.ts";
import { findOrigin } from "./config/flags/use.ts";
import type { ClassPlan } from "./intel_rdt.ts";
import { describeOp, type Held, remember } from "./explain/describe.ts";
import {
  CHAPTERS,
  FILE_SYSTEMS,
  KERNEL_FILES,
  KNOWN_DEVICES,
} from "./explain/steps.ts";
import type { Op, Phase } from "./plan.ts";
import type { Step } from "./container/model.ts";

export { describeOp };

/** One line of an explanation. */
export interface Explained {
  /** The step of the plan, or "cgroup" for what the host does itself. */
  step: Phase | "cgroup";
  /** What is done, near the kernel's words. */
  action: string;
  /** Why. */
  why: string;
  /** The config key, absent for what every container gets. */
  from?: string;
  /** The flag as typed, where one set the key. */
  flag?: string;
}

/** Why an operation is there; for what the kernel makes, what that is. */
function reasonOf(op: Op): string {
  const known = op.do === "mask" || op.do === "readonly"
    ? KERNEL_FILES[op.path.replace(/\/cpu\d+\//, "/cpu*/")]
    : op.do === "fsmount"
    ? FILE_SYSTEMS[op.fstype]
    : undefined;
  return known === undefined ? op.why : `${op.why}: ${known}`;
}

const ACCESS: Record<string, string> = {
  r: "reading",
  w: "writing",
  m: "making its node",
};

/** What a rule of a devices cgroup says: "c 1:3 rwm" to devices.allow. */
function readDeviceRule(file: string, value: string): string {
  const allow = file.endsWith(".allow");
  const [type, number = "", access = ""] = value.split(" ");
  if (type === "a") {
    return allow ? "allow every device" : "deny every device, to begin with";
  }
  const known = KNOWN_DEVICES[`${type} ${number}`];
  const kind = type === "b" ? "block" : "character";
  const what = known ??
    (number === "*:*"
      ? `every ${kind} device`
      : `the ${kind} device ${number}`);
  const how = access === "rwm"
    ? ""
    : `: ${[...access].map((it) => ACCESS[it] ?? it).join(" and ")} only`;
  return `${allow ? "allow" : "deny"} ${what}${how}`;
}

/** What the controllers are for that count nothing: cgroups(7). */
const NOT_COUNTED: Record<string, string> = {
  cpuset: "say on which CPUs and memory nodes the container may run",
  devices: "say which devices the container may use",
  freezer: "stop the container for a while: rustyrun pause",
  net_cls: "mark the container's network packets",
  net_prio: "give the container's network packets a priority",
};

/** A value as systemctl set-property would nearly have it. */
function showValue(value: UnitValue): string {
  return typeof value === "object"
    ? `[${value.map(showValue).join(" ")}]`
    : String(value);
}

/** What systemd is asked for. */
function explainUnit(unit: UnitPlan | undefined): Omit<Explained, "step">[] {
  if (unit === undefined) return [];
  const { name, slice, buses, properties } = unit;
  return [
    {
      action: `StartTransientUnit ${name} in ${slice}`,
      why: `have a cgroup of ${
        buses.kind === "user" ? "the user's" : "the machine's"
      } systemd, with this process in it to begin with`,
      from: "linux.cgroupsPath",
    },
    ...properties.map(({ name, value, from }) => ({
      action: `${name}=${showValue(value)}`,
      why: from === undefined
        ? "what every container's unit has"
        : "tell systemd, which writes it again whenever it is reloaded",
      ...(from === undefined ? {} : { from }),
    })),
  ];
}

/** What the host itself does for the container's cgroups. */
function explainCgroup(cgroup: CgroupPlan): Omit<Explained, "step">[] {
  const devices = "linux.resources.devices";
  const { unit } = cgroup;
  const lines = explainUnit(unit);
  lines.push(...cgroup.dirs.map((dir) => {
    const what = dir.controllers.filter((it) => !it.startsWith("name="));
    return {
      action: dir.systemd ? `have ${dir.path} of systemd` : `mkdir ${dir.path}`,
      why: what.length === 0
        ? "hold the container's processes together"
        : (what.length === 1 ? NOT_COUNTED[what[0]!] : undefined) ??
          `count what the container uses: ${what.join(", ")}`,
    };
  }));
  for (const { file, value } of cgroup.devices?.writes ?? []) {
    lines.push({
      action: `write "${value}" to ${file}`,
      why: readDeviceRule(file, value),
      from: devices,
    });
  }
  const { program, dir, rules } = cgroup.devices ?? { program: [], rules: [] };
  if (program.length > 0) {
    lines.push({
      action: `bpf(BPF_PROG_TYPE_CGROUP_DEVICE) on ${dir}`,
      why:
        `allow only the listed devices, by the number of rules: ${rules.length}`,
      from: devices,
    });
  }
  for (const { file, value, why, from } of cgroup.writes) {
    lines.push({ action: `write "${value}" to ${file}`, why, from });
  }
  for (const why of cgroup.notes) lines.push({ action: "leave out", why });
  return lines;
}

/** What the host itself does for the container's class of service. */
function explainClass(plan: ClassPlan): Omit<Explained, "step">[] {
  const from = "linux.intelRdt";
  const make = (path: string, why: string) => ({
    action: `mkdir ${path}`,
    why,
    from,
  });
  const file = `${plan.group}/schemata`;
  return [
    ...plan.exists
      ? []
      : [make(plan.group, "have a share of the processor's caches and bus")],
    ...plan.lines.map((line) => ({
      action: `write "${line}" to ${file}`,
      why: "say which share",
      from,
    })),
    ...plan.monitor === undefined
      ? []
      : [make(plan.monitor, "count what the container uses of them")],
  ];
}

/** The whole explanation, in the order in which things happen.
 *
 * @param warnings what of the capabilities is not granted */
export function explainPlan(
  steps: readonly Step[],
  cgroup: CgroupPlan,
  config: Config,
  resctrl?: ClassPlan,
  warnings: readonly string[] = [],
): Explained[] {
  const made = [
    ...explainCgroup(cgroup),
    ...resctrl === undefined ? [] : explainClass(resctrl),
  ];
  const lines: Explained[] = made.map((it) => ({ step: "cgroup", ...it }));
  const slots: Held = new Map();
  for (const [step, ops] of steps) {
    for (const op of ops) {
      lines.push({
        step,
        action: describeOp(op, config, slots),
        why: reasonOf(op),
        ...(op.from === undefined ? {} : { from: op.from }),
      });
      remember(op, slots);
    }
    if (ops.some((op) => op.from === "process.capabilities")) {
      const from = "process.capabilities";
      lines.push(
        ...warnings.map((why) => ({ step, action: "leave out", why, from })),
      );
    }
  }
  return lines.map((it) => {
    if (it.from === undefined) return it;
    const flag = findOrigin(config.flags, it.from);
    if (flag !== undefined) return { ...it, flag };
    // The files that rustyrun itself writes: nobody asked for them by a key.
    const { from, ...rest } = it;
    return from.startsWith("files") ? rest : it;
  });
}

const WIDTH = 76;

/** Breaks a text into lines of at most {@linkcode WIDTH} columns. */
function fold(text: string): string {
  let line = "";
  let all = "";
  for (const word of text.split(" ")) {
    if (line !== "" && line.length + 1 + word.length > WIDTH) {
      all += `  ${line}\n`;
      line = "";
    }
    line += line === "" ? word : ` ${word}`;
  }
  return `${all}  ${line}\n`;
}

/** The explanation as text for a person. */
export function formatExplanation(lines: readonly Explained[]): string {
  let text = "";
  let step: string | undefined;
  let number = 0;
  for (const line of lines) {
    if (line.step !== step) {
      step = line.step;
      const { title, lesson } = CHAPTERS[line.step];
      text += `${text === "" ? "" : "\n"}${title}\n${fold(lesson)}`;
    }
    const origin = line.flag ?? line.from;
    text += `${
      String(++number).padStart(4)
    }  ${line.action}\n      ${line.why}${
      origin === undefined ? "" : `  [${origin}]`
    }\n`;
  }
  return text;
}
