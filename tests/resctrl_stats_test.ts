/**
 * What events say of a class of service, from a directory tree that stands for
 * resctrl.
 *
 * @module
 */

import { assertEquals } from "@std/assert";
import { formatStats } from "../mod/cgroups/stats.ts";
import { readClassStats } from "../mod/container/properties/resctrl_stats.ts";

const FILES: Record<string, string> = {
  "schemata": "    MB:0=100\n    L3:0=fffff\n",
  "info/L3/cbm_mask": "fffff\n",
  "info/L3/min_cbm_bits": "1\n",
  "info/L3/num_closids": "16\n",
  "info/MB/bandwidth_gran": "10\n",
  "info/MB/delay_linear": "1\n",
  "info/MB/min_bandwidth": "10\n",
  "info/MB/num_closids": "8\n",
  "guest/schemata": "    MB:0=20\n    L3:0=ff\n",
  "guest/mon_data/mon_L3_00/llc_occupancy": "65536\n",
  "guest/mon_data/mon_L3_00/mbm_total_bytes": "9007199254740993\n",
  "guest/mon_data/mon_L3_00/mbm_local_bytes": "12\n",
  "guest/mon_data/mon_L3_01/llc_occupancy": "Unavailable\n",
  "guest/mon_data/mon_L3_01/mbm_total_bytes": "7\n",
  "guest/mon_groups/box/mon_data/mon_L3_00/llc_occupancy": "5\n",
};

/** `intel_rdt` of a container in "guest", with these lists of tasks. */
function read(tasks: string[], files = FILES): unknown {
  const mount = Deno.makeTempDirSync({ prefix: "rustyrun-resctrl-" });
  try {
    for (const [path, text] of Object.entries(files)) {
      const dir = `${mount}/${path}`.replace(/\/[^/]*$/, "");
      Deno.mkdirSync(dir, { recursive: true });
      Deno.writeTextFileSync(`${mount}/${path}`, text);
    }
    const group = `${mount}/guest`;
    const found = readClassStats({
      mount,
      group,
      tasks: tasks.map((it) => `${group}/${it}`),
      remove: [],
    });
    // As events print it: a counter has more digits than a number.
    return formatStats(found.intel_rdt);
  } finally {
    Deno.removeSync(mount, { recursive: true });
  }
}

const SCHEMA =
  '"l3_cache_info":{"cbm_mask":"fffff","min_cbm_bits":1,"num_closids":16},' +
  '"l3_cache_schema_root":"L3:0=fffff","l3_cache_schema":"L3:0=ff",' +
  '"mem_bw_info":{"bandwidth_gran":10,"delay_linear":1,"min_bandwidth":10,"num_closids":8},' +
  '"mem_bw_schema_root":"MB:0=100","mem_bw_schema":"MB:0=20",' +
  '"schemata":["MB:0=20","L3:0=ff"]';

Deno.test("readClassStats() has what the class has and uses", () => {
  assertEquals(
    read(["tasks"]),
    `{${SCHEMA},"mbm_stats":[{"mbm_total_bytes":9007199254740993,"mbm_local_bytes":12},{"mbm_total_bytes":7}],"cmt_stats":[{"llc_occupancy":65536}]}`,
  );
});

Deno.test("readClassStats() counts the container alone in its MON group", () => {
  assertEquals(
    read(["tasks", "mon_groups/box/tasks"]),
    `{${SCHEMA},"cmt_stats":[{"llc_occupancy":5}]}`,
  );
});

Deno.test("readClassStats() of a group that is gone has no more of it", () => {
  assertEquals(
    read(["tasks"], { "schemata": "L3:0=f\n" }),
    '{"l3_cache_schema_root":"L3:0=f"}',
  );
});

Deno.test("readClassStats() of a container without a class is empty", () => {
  assertEquals(readClassStats(undefined), {});
});
