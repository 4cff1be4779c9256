/**
 * Draws bar charts as SVG: reads a list of {@linkcode Chart} as JSON, writes the
 * picture. It has packages of its own, so that nobody else has to load them.
 *
 *     deno run -A --config bench/chart/deno.json bench/chart/chart.ts <JSON >SVG
 *
 * @module
 */

import { parse, View } from "vega";
import { compile, type TopLevelSpec } from "vega-lite";

/** One small chart; all have the colours of the same names. */
interface Chart {
  title: string;
  bars: { name: string; colour: string; value: number }[];
}

/** The picture in vega-lite's words: two charts beside each other. */
function describePicture(charts: readonly Chart[]): TopLevelSpec {
  const value = { field: "value", type: "quantitative" } as const;
  const nothing = { grid: false, labels: false, ticks: false, domain: false };
  return {
    $schema: "https://vega.github.io/schema/vega-lite/v6.json",
    background: "white",
    padding: 12,
    columns: 2,
    spacing: 24,
    config: { view: { stroke: null }, font: "sans-serif" },
    concat: charts.map(({ title, bars }) => ({
      title: { text: title, anchor: "start", frame: "group", fontSize: 13 },
      width: 240,
      height: { step: 18 },
      data: { values: bars },
      encoding: {
        x: { ...value, title: null, axis: nothing },
        y: {
          field: "name",
          type: "nominal",
          // As they come.
          sort: null,
          title: null,
          axis: { ticks: false, domain: false, labelLimit: 300 },
        },
      },
      layer: [{
        mark: { type: "bar" },
        encoding: {
          color: { field: "colour", type: "nominal", scale: null },
        },
      }, {
        mark: { type: "text", align: "left", dx: 4 },
        encoding: { text: value },
      }],
    })),
  };
}

if (import.meta.main) {
  const charts: Chart[] = await new Response(Deno.stdin.readable).json();
  const { spec } = compile(describePicture(charts));
  const view = new View(parse(spec), { renderer: "none" });
  console.log(await view.toSVG());
  view.finalize();
}
