/**
 * What the figures must come to: ratios to the peers of the same run, and
 * distances from the start of an empty program.
 *
 * @module
 */

import { startAmong } from "./cases/many.ts";
import { type Name, TITLES } from "./contenders.ts";
import { median } from "./measure.ts";
import { findSeries, makeTable, type Report } from "./report.ts";

/** What a figure is compared with. */
interface Bound {
  /** A contender whose figure is the unit. */
  of: Name;
  must?: number;
  aim?: number;
}

/** A figure that must be small beside others. */
interface Goal {
  case: string;
  metric: string;
  who: Name;
  title: string;
  bounds: readonly Bound[];
}

const GOALS: readonly Goal[] = [
  {
    case: "life",
    metric: "life",
    who: "front",
    title: "engine's life",
    bounds: [{ of: "runc", must: 0.3, aim: 0.2 }, { of: "crun", must: 0.6 }],
  },
  {
    case: "exec",
    metric: "exec",
    who: "front",
    title: "exec",
    bounds: [
      { of: "runc", must: 0.25 },
      { of: "crun", must: 0.9, aim: 0.6 },
    ],
  },
  {
    case: "run",
    metric: "run",
    who: "front",
    title: "run",
    bounds: [
      { of: "runc", must: 0.35 },
      { of: "crun", must: 0.6, aim: 0.4 },
    ],
  },
  {
    case: "burst",
    metric: "create",
    who: "front",
    title: "20 creates at once",
    bounds: [{ of: "runc", must: 0.5, aim: 0.35 }],
  },
  {
    case: "podman",
    metric: "run",
    who: "front",
    title: "podman run --rm",
    bounds: [{ of: "runc", must: 0.85, aim: 0.7 }],
  },
  {
    case: "run",
    metric: "run",
    who: "library",
    title: "run",
    bounds: [
      { of: "crun", must: 0.5, aim: 0.35 },
      { of: "floor", aim: 1.1 },
    ],
  },
  {
    case: "run",
    metric: "run",
    who: "pool-bare",
    title: "run",
    bounds: [{ of: "bwrap", must: 0.6, aim: 0.45 }],
  },
];

/** What is cold, and the empty program that starts alike. */
const FLOORS = [
  ["cold", "empty"],
  ["executable", "empty-executable"],
] as const satisfies [Name, Name][];
/** How far the slowest of cold commands may be from that, in milliseconds. */
const COLD = [
  {
    case: "life",
    metrics: ["start", "state", "kill", "delete"],
    must: 4,
    aim: 2,
  },
  { case: "life", metrics: ["create"], must: 19, aim: 13 },
  { case: "run", metrics: ["run"], must: 19, aim: 13 },
  { case: "exec", metrics: ["exec"], must: 19, aim: 13 },
];
/** How much slower the start among many may be. */
const GROWTH = 1.2;
/** Cold create, run and exec beside runc's. */
const COLD_START = 1.5;

/** One line of the table. */
export interface Verdict {
  goal: string;
  figure: string;
  must: string;
  aim: string;
  /** Whether what it must reach is reached; undefined when it only has an aim. */
  met: boolean | undefined;
}

type Cases = Pick<Report, "cases">;

function middle(report: Cases, name: string, metric: string, who: Name) {
  const series = findSeries(report, name, metric, who);
  return series === undefined ? undefined : median(series.values);
}

function judgeRatios(report: Cases): Verdict[] {
  return GOALS.flatMap(({ case: name, metric, who, title, bounds }) => {
    const own = middle(report, name, metric, who);
    return bounds.flatMap(({ of, must, aim }): Verdict[] => {
      const other = middle(report, name, metric, of);
      if (own === undefined || other === undefined) return [];
      const ratio = own / other;
      const unit = `x ${TITLES[of]}`;
      return [{
        goal: `${title}: ${TITLES[who]}`,
        figure: `${ratio.toFixed(2)} ${unit}`,
        must: must === undefined ? "" : `${must} ${unit}`,
        aim: aim === undefined ? "" : `${aim} ${unit}`,
        met: must === undefined ? undefined : ratio <= must,
      }];
    });
  });
}

function judgeCold(report: Cases): Verdict[] {
  return FLOORS.flatMap(([who, empty]) => {
    return COLD.flatMap(({ case: name, metrics, must, aim }): Verdict[] => {
      const floor = middle(report, name, metrics[0]!, empty);
      const all = metrics.map((it) => middle(report, name, it, who));
      if (floor === undefined || all.includes(undefined)) return [];
      const more = Math.max(...all.map((it) => it! - floor));
      const unit = "ms above an empty program";
      return [{
        goal: `${metrics.join(", ")}: ${TITLES[who]}`,
        figure: `${more.toFixed(1)} ${unit}`,
        must: `${must} ${unit}`,
        aim: `${aim} ${unit}`,
        met: more <= must,
      }];
    });
  });
}

function judgeColdBesideRunc(report: Cases): Verdict[] {
  return ([["life", "create"], ["run", "run"], ["exec", "exec"]] as const)
    .flatMap(
      ([name, metric]): Verdict[] => {
        const own = middle(report, name, metric, "cold");
        const runc = middle(report, name, metric, "runc");
        if (own === undefined || runc === undefined) return [];
        return [{
          goal: `${metric}: ${TITLES.cold}`,
          figure: `${(own / runc).toFixed(2)} x runc`,
          must: `${COLD_START} x runc`,
          aim: "",
          met: own / runc <= COLD_START,
        }];
      },
    );
}

function judgeGrowth(report: Cases): Verdict[] {
  const one = middle(report, "alive", startAmong(1), "front");
  const many = middle(report, "alive", startAmong(500), "front");
  if (one === undefined || many === undefined) return [];
  return [{
    goal: `start with 500 alive: ${TITLES.front}`,
    figure: `${(many / one).toFixed(2)} x with 1 alive`,
    must: `${GROWTH} x with 1 alive`,
    aim: "1.0 x with 1 alive",
    met: many / one <= GROWTH,
  }];
}

/** Compares a run with what it must come to; what was not measured is left out. */
export function judge(report: Cases): Verdict[] {
  return [
    ...judgeRatios(report),
    ...judgeCold(report),
    ...judgeColdBesideRunc(report),
    ...judgeGrowth(report),
  ];
}

/** The table of the goals. */
export function goalsTable(report: Cases): string {
  const rows = judge(report).map(({ goal, figure, must, aim, met }) => [
    goal,
    figure,
    must,
    aim,
    met === undefined ? "" : met ? "yes" : "NO",
  ]);
  return makeTable([["goal", "measured", "must", "aim", "met"], ...rows]);
}
