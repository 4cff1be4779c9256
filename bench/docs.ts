/**
 * Writes what docs/performance.md shows of a run: the tables between its marks,
 * and the chart.
 *
 * @module
 */

import { BuildError, ROOT } from "../scripts/build.ts";
import { type Name, TITLES } from "./contenders.ts";
import { goalsTable } from "./goals.ts";
import { median } from "./measure.ts";
import {
  caseTables,
  findSeries,
  type Report,
  tellAbsent,
  tellLoad,
  tellMachine,
} from "./report.ts";

const PAGE = `${ROOT}docs/performance.md`;
const PICTURE = `${ROOT}docs/performance.svg`;
const CHART = `${ROOT}bench/chart`;

/** What stands between these lines is the bench's. */
const BEGIN = "<!-- deno task bench --docs writes from here -->";
const END = "<!-- to here -->";

/** Case and metric of each small chart, and its title. */
const SHOWN = [
  ["life", "life", "an engine's life"],
  ["exec", "exec", "exec"],
  ["run", "run", "run"],
  ["docker", "run", "run, Docker's filter"],
  ["burst", "create", "20 creates at once"],
  ["podman", "run", "podman run --rm"],
] as const;

/** Who is shown, from top to bottom, with a colour: ours are of one kind. */
const COLOURS: readonly (readonly [Name, string])[] = [
  ["pool-bare", "#0f3d5c"],
  ["pool", "#1a5f8a"],
  ["library", "#1f77b4"],
  ["front", "#4f9fd0"],
  ["cold", "#9cc9e8"],
  ["crun", "#8c8c8c"],
  ["runc", "#b5b5b5"],
  ["bwrap", "#cfcfcf"],
  ["floor", "#333333"],
];

/** What bench/chart draws. */
function listCharts(report: Report): unknown[] {
  return SHOWN.flatMap(([name, metric, title]) => {
    const bars = COLOURS.flatMap(([contender, colour]) => {
      const series = findSeries(report, name, metric, contender);
      if (series === undefined) return [];
      const value = Math.round(median(series.values) * 10) / 10;
      return [{ name: TITLES[contender], colour, value }];
    });
    return bars.length === 0 ? [] : [{ title: `${title}, ms`, bars }];
  });
}

const CHART_WORDS = ["run", "-A", `--config=${CHART}/deno.json`];

/** Draws charts in a process of its own: its packages are nobody else's.
 *
 * @returns SVG
 * @throws {BuildError} */
async function drawCharts(charts: readonly unknown[]): Promise<string> {
  const child = new Deno.Command(Deno.execPath(), {
    args: [...CHART_WORDS, `${CHART}/chart.ts`],
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
  }).spawn();
  const input = new Response(JSON.stringify(charts)).body!;
  const [, { success, stdout, stderr }] = await Promise.all([
    input.pipeTo(child.stdin),
    child.output(),
  ]);
  const decoder = new TextDecoder();
  if (success) return decoder.decode(stdout);
  throw new BuildError(`Cannot draw the chart:\n${decoder.decode(stderr)}`);
}

/** Sees that the charts can be drawn, before figures are waited for. */
export async function checkCharts(): Promise<void> {
  await drawCharts([{ title: "", bars: [] }]);
}

/** The part of the page that is the bench's. */
export function writeSection(report: Report): string {
  const parts = report.cases.map((it) =>
    [
      `### ${it.title}`,
      it.job + (it.load.busy ? ` **${tellLoad(it.load)}.**` : ""),
      ...caseTables(it),
    ].join("\n\n")
  );
  return [
    `${report.date.slice(0, 10)}; ${tellMachine(report)}. ${
      tellLoad(report.load)
    }. Medians of ${report.rounds} interleaved rounds.`,
    ...report.absent.map((it) => tellAbsent(it)),
    "![Medians of the cases](performance.svg)",
    goalsTable(report),
    ...parts,
  ].join("\n\n");
}

/** Puts the section between the marks of a page.
 *
 * @throws {BuildError} when the page has none */
export function putSection(page: string, section: string): string {
  const begin = page.indexOf(BEGIN);
  const end = page.indexOf(END);
  if (begin < 0 || end < begin) {
    throw new BuildError(`Cannot find "${BEGIN}" and "${END}" in ${PAGE}`);
  }
  const before = page.slice(0, begin + BEGIN.length);
  return `${before}\n\n${section}\n\n${page.slice(end)}`;
}

/** Writes the page and the picture.
 *
 * @throws {BuildError} */
export async function writeDocs(report: Report): Promise<void> {
  const page = Deno.readTextFileSync(PAGE);
  Deno.writeTextFileSync(PAGE, putSection(page, writeSection(report)));
  Deno.writeTextFileSync(PICTURE, await drawCharts(listCharts(report)));
  const { success } = new Deno.Command(Deno.execPath(), {
    args: ["fmt", "-q", PAGE],
    cwd: ROOT,
  }).outputSync();
  if (!success) throw new BuildError(`Cannot format ${PAGE}`);
  console.log(`Wrote ${PAGE} and ${PICTURE}`);
}
