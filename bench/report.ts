/**
 * The figures as tables.
 *
 * @module
 */

import { type Absent, type Name, TITLES } from "./contenders.ts";
import type { Load, Machine } from "./machine.ts";
import { mean, median, type Series } from "./measure.ts";

/** What was measured in one case. */
export interface CaseReport {
  name: string;
  title: string;
  job: string;
  load: Load;
  series: Series[];
}

/** All of one run, as it is written to a file. */
export interface Report {
  /** ISO 8601. */
  date: string;
  quick: boolean;
  rounds: number;
  machine: Machine;
  load: Load;
  absent: Absent[];
  cases: CaseReport[];
}

/** Returns the series of a contender; undefined when it did not take part. */
export function findSeries(
  { cases }: Pick<Report, "cases">,
  name: string,
  metric: string,
  contender: Name,
): Series | undefined {
  return cases.find((it) => it.name === name)?.series.find((it) =>
    it.metric === metric && it.contender === contender
  );
}

/** How a table names a contender. */
export function titleOf(contender: string): string {
  return contender in TITLES ? TITLES[contender as Name] : contender;
}

const percent = (share: number) => `${Math.round(share * 100)} %`;

/** What makes figures doubtful; "quiet" when nothing does. */
export function tellLoad({ before, after, others, steal, busy }: Load): string {
  return `${busy ? "BUSY" : "quiet"}: load ${before.toFixed(1)} before, ${
    after.toFixed(1)
  } after; ${percent(others)} of the CPU time was of other work, ${
    percent(steal)
  } stolen`;
}

/** The machine and the versions, on one line. */
export function tellMachine({ machine }: Report): string {
  const { cpu, cores, memoryMiB, kernel, cgroups, versions } = machine;
  const programs = Object.entries(versions).map((it) => it.join(" "));
  return `${cpu}, ${cores} cores, ${
    Math.round(memoryMiB / 1024)
  } GiB; Linux ${kernel}, cgroups ${cgroups}; ${programs.join(", ")}`;
}

/** A table of markdown; every column but the first is of numbers. */
export function makeTable(rows: readonly (readonly string[])[]): string {
  const [head = [], ...body] = rows;
  const widths = head.map((_, i) =>
    Math.max(3, ...rows.map((row) => row[i]!.length))
  );
  const line = (row: readonly string[]) =>
    `| ${
      row.map((cell, i) =>
        i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)
      ).join(" | ")
    } |`;
  const rule = widths.map((width, i) =>
    i === 0 ? "-".repeat(width) : `${"-".repeat(width - 1)}:`
  );
  return [line(head), line(rule), ...body.map(line)].join("\n");
}

/** One figure: fine ones of what is small. */
export function showFigure(value: number): string {
  return value.toFixed(value < 10 ? 2 : value < 100 ? 1 : 0);
}

/** The table of one metric: medians, minima, CPU time, and the medians as
 * multiples of runc's and crun's. */
function metricTable(metric: string, series: readonly Series[]): string {
  const of = (name: Name) => series.find((it) => it.contender === name);
  const peers = (["runc", "crun"] as const).flatMap((name) => {
    const peer = of(name);
    return peer === undefined ? [] : [{ name, value: median(peer.values) }];
  });
  const { unit } = series[0]!;
  const rows = series.map((it) => [
    titleOf(it.contender),
    showFigure(median(it.values)),
    showFigure(Math.min(...it.values)),
    showFigure(mean(it.cpu)),
    ...peers.map(({ value }) => (median(it.values) / value).toFixed(2)),
  ]);
  const head = [
    metric,
    `median ${unit}`,
    `min ${unit}`,
    "CPU ms",
    ...peers.map(({ name }) => `of ${name}`),
  ];
  return makeTable([head, ...rows]);
}

/** The table of several metrics: of each the median, and the minimum in
 * parentheses where there was more than one round. */
function metricsTable(metrics: ReadonlyMap<string, Series[]>): string {
  const all = [...metrics.values()];
  const contenders = new Set(all.flat().map((it) => it.contender));
  const rows = [...contenders].map((contender) => [
    titleOf(contender),
    ...all.map((series) => {
      const one = series.find((it) => it.contender === contender);
      if (one === undefined) return "";
      const middle = showFigure(median(one.values));
      if (one.values.length === 1) return middle;
      return `${middle} (${showFigure(Math.min(...one.values))})`;
    }),
  ]);
  const { unit, values } = all[0]![0]!;
  const head = values.length === 1 ? unit : `median ${unit} (min)`;
  return makeTable([[head, ...metrics.keys()], ...rows]);
}

/** Metric -> its series, ours first. */
function byMetric(series: readonly Series[]): Map<string, Series[]> {
  const order = Object.keys(TITLES);
  const place = ({ contender }: Series) => {
    const at = order.indexOf(contender);
    return at < 0 ? order.length : at;
  };
  const sorted = series.toSorted((a, b) => place(a) - place(b));
  return Map.groupBy(sorted, (it) => it.metric);
}

/** The tables of a case: of each metric one in full, or, where there are many or
 * they are no times, all beside each other and in full that which has the case's
 * own name. */
export function caseTables({ name, series }: CaseReport): string[] {
  const metrics = byMetric(series);
  const beside = metrics.size > 2 || series.some((it) => it.unit !== "ms");
  const full = [...metrics].filter(([metric]) => !beside || metric === name);
  return [
    ...(beside ? [metricsTable(metrics)] : []),
    ...full.map(([metric, its]) => metricTable(metric, its)),
  ];
}

/** Says who does not take part. */
export function tellAbsent({ what, why }: Absent): string {
  return `Left out: ${what}: ${why}.`;
}

/** Prints what is measured, on what, and who does not take part. */
export function printHead(report: Report): void {
  console.log(tellMachine(report));
  for (const it of report.absent) console.log(tellAbsent(it));
}

/** Prints the tables of a case. */
export function printCase(done: CaseReport): void {
  console.log(`\n# ${done.title}\n\n${done.job}\n${tellLoad(done.load)}`);
  for (const table of caseTables(done)) console.log(`\n${table}`);
}
