/**
 * A container's class of service from create to delete, in a directory tree that
 * stands for resctrl: few machines have the real one. Making a directory in it
 * makes its files, and removing one removes them, as in the kernel.
 *
 * @module
 */

import { assertEquals, assertThrows } from "@std/assert";
import { closeFd, libc, waitProcess } from "../../ffi/libc.ts";
import { readCaller } from "../../mod/caller.ts";
import type { IntelRdt, Spec } from "../../mod/config/schema.ts";
import type { Config } from "../../mod/config/config.ts";
import { createContainer } from "../../mod/container/create.ts";
import { deleteContainer } from "../../mod/container/delete.ts";
import { execProcess } from "../../mod/container/exec.ts";
import { claimContainer } from "../../mod/container/kept/reclaim.ts";
import {
  makeClass,
  undoClass,
  updateClass,
} from "../../mod/container/properties/resctrl.ts";
import { findState } from "../../mod/container/status.ts";
import { ContainerError } from "../../mod/errors.ts";
import { OperationError } from "../../mod/process.ts";
import { errnoName } from "../../ffi/errno.ts";
import { type Facts, gatherFacts } from "../../mod/host.ts";
import { ownOutlet } from "../../mod/outlet.ts";
import type { ClassPlan } from "../../mod/intel_rdt.ts";
import { removeState } from "../../mod/container/kept/removal.ts";
import { writeLeftovers } from "../../mod/state.ts";
import { findLeaks, makeRootfs, takeSnapshot } from "../harness.ts";
import { testOn } from "../needs.ts";
import { makeSpec } from "./caller.ts";

libc();

const { mkdirSync, removeSync } = Deno;

/** A tree with a group "guest". `full`: mkdir in it is ENOSPC. */
function makeTree() {
  const path = Deno.makeTempDirSync({ prefix: "rustyrun-resctrl-" });
  const fill = (group: string, schemata: string) => {
    mkdirSync(`${group}/mon_groups`);
    Deno.writeTextFileSync(`${group}/tasks`, "");
    Deno.writeTextFileSync(`${group}/schemata`, schemata);
  };
  fill(path, "    L3:0=fffff\n");
  mkdirSync(`${path}/guest`);
  fill(`${path}/guest`, "    L3:0=ff\n");
  for (const name of ["L3", "L3_MON"]) {
    mkdirSync(`${path}/info/${name}`, { recursive: true });
  }
  Deno.writeTextFileSync(`${path}/info/last_cmd_status`, "ok\n");
  const tree = {
    path,
    full: false,
    read: (file: string) => Deno.readTextFileSync(`${path}/${file}`),
    write: (file: string, text: string) =>
      Deno.writeTextFileSync(`${path}/${file}`, text),
    /** Empties a group: rmdir(2) in resctrl does not care for its files. */
    bare(group: string) {
      for (const { name } of Deno.readDirSync(`${path}/${group}`)) {
        removeSync(`${path}/${group}/${name}`, { recursive: true });
      }
    },
    /** Groups below the root, and in a group. */
    groups: (group = ".") =>
      [...Deno.readDirSync(`${path}/${group}`)].filter((it) => it.isDirectory)
        .map((it) => it.name).sort(),
    facts(): Facts {
      const resctrl = { known: true, path, resources: ["L3", "L3_MON"] };
      return Object.defineProperty(gatherFacts(readCaller()), "resctrl", {
        value: resctrl,
      });
    },
    [Symbol.dispose]() {
      Object.assign(Deno, { mkdirSync, removeSync });
      removeSync(path, { recursive: true });
    },
  };
  const isGroup = (it: string | URL) => `${it}`.startsWith(`${path}/`);
  Object.assign(Deno, {
    mkdirSync(it: string, options?: Deno.MkdirOptions) {
      if (isGroup(it) && tree.full) {
        throw new Error(`No space left on device (os error 28): mkdir '${it}'`);
      }
      mkdirSync(it, options);
      if (isGroup(it)) fill(it, "    L3:0=fffff\n");
    },
    removeSync: (it: string, options?: Deno.RemoveOptions) =>
      removeSync(it, isGroup(it) ? { recursive: true } : options),
  });
  return tree;
}

/** A container that is made in this process. */
async function makeRoom(intelRdt: IntelRdt) {
  const before = takeSnapshot();
  const rootfs = makeRootfs();
  const id = `rrtest-rdt-${crypto.randomUUID().slice(0, 8)}`;
  const root = Deno.makeTempDirSync({ prefix: "rustyrun-rdt-" });
  const spec = makeSpec(id, {
    root: { path: rootfs },
    linux: { intelRdt },
  }) as Spec;
  const config = (): Config => ({
    id,
    bundle: rootfs,
    mode: "oci",
    spec: structuredClone(spec),
    rootfs,
    files: [],
    overwrites: [],
    stdin: true,
    init: false,
    noPivot: false,
    noNewKeyring: false,
    preserveFds: 0,
    hostDevices: [],
    cgroupManager: "cgroupfs",
    flags: new Map(),
  });
  const place = { root, caller: readCaller(), outlet: ownOutlet };
  const words = { error: () => "", exit: () => 1 };
  return await Promise.resolve({
    id,
    root,
    create: (facts: Facts) => createContainer(config(), facts, place, () => {}),
    exec(facts: Facts) {
      const pidFile = `${root}/exec.pid`;
      execProcess(
        id,
        {
          process: (own) => ({ ...own, args: ["/bin/true"] }),
          interactive: false,
          detach: true,
          ignorePaused: false,
          cgroups: [],
          preserveFds: 0,
          pidFile,
        },
        facts,
        place,
        words,
        () => {},
      );
      waitProcess(Number(Deno.readTextFileSync(pidFile)));
    },
    delete() {
      const { pid } = findState(root, id);
      deleteContainer(id, true, place, () => {});
      waitProcess(pid);
    },
    async [Symbol.asyncDispose]() {
      Deno.removeSync(root, { recursive: true });
      Deno.removeSync(rootfs, { recursive: true });
      assertEquals(await findLeaks(before, id), []);
    },
  });
}

const NEEDS = ["helper", "busybox", "root"] as const;

testOn(
  NEEDS,
  "create, exec, delete in a class of the container's id",
  async () => {
    using tree = makeTree();
    await using room = await makeRoom({
      l3CacheSchema: "L3:0=f",
      enableMonitoring: true,
    });
    room.create(tree.facts());
    const own = room.id;
    assertEquals(tree.groups(), ["guest", "info", "mon_groups", own]);
    assertEquals(tree.read(`${own}/schemata`), "L3:0=f\n");
    assertEquals(tree.groups(`${own}/mon_groups`), [own]);
    // "0" is whoever writes it.
    const tasks = [`${own}/tasks`, `${own}/mon_groups/${own}/tasks`];
    assertEquals(tasks.map(tree.read), ["0", "0"]);
    for (const it of tasks) tree.write(it, "");
    room.exec(tree.facts());
    assertEquals(tasks.map(tree.read), ["0", "0"]);
    updateClass(findState(room.root, own), ["L3:0=3", undefined]);
    assertEquals(tree.read(`${own}/schemata`), "L3:0=3\n");
    tree.bare(own);
    room.delete();
    assertEquals(tree.groups(), ["guest", "info", "mon_groups"]);
  },
);

testOn(NEEDS, "create, exec, delete in a class that closID names", async () => {
  using tree = makeTree();
  await using room = await makeRoom({
    closID: "guest",
    schemata: ["L3:0=0ff"],
    enableMonitoring: true,
  });
  room.create(tree.facts());
  assertEquals(tree.read("guest/tasks"), "0");
  assertEquals(tree.groups("guest/mon_groups"), [room.id]);
  tree.write("guest/tasks", "");
  room.exec(tree.facts());
  assertEquals(tree.read("guest/tasks"), "0");
  tree.bare(`guest/mon_groups/${room.id}`);
  room.delete();
  assertEquals(tree.groups(), ["guest", "info", "mon_groups"]);
  assertEquals(tree.groups("guest/mon_groups"), []);
});

testOn(
  NEEDS,
  "create makes a class that closID names, and delete leaves it",
  async () => {
    using tree = makeTree();
    await using room = await makeRoom({ closID: "new", schemata: ["L3:0=f"] });
    room.create(tree.facts());
    assertEquals(tree.read("new/schemata"), "L3:0=f\n");
    assertEquals(tree.read("new/tasks"), "0");
    room.delete();
    assertEquals(tree.groups(), ["guest", "info", "mon_groups", "new"]);
  },
);

testOn(NEEDS, "create, delete in the root's class", async () => {
  using tree = makeTree();
  await using room = await makeRoom({ closID: "/" });
  room.create(tree.facts());
  assertEquals(tree.read("tasks"), "0");
  room.delete();
  assertEquals(tree.groups(), ["guest", "info", "mon_groups"]);
});

testOn(NEEDS, "create leaves no class when it fails", async () => {
  using tree = makeTree();
  const failing: Partial<IntelRdt>[] = [
    { enableMonitoring: true },
    { closID: "new", schemata: ["L3:0=f"] },
  ];
  for (const intelRdt of failing) {
    await using room = await makeRoom(intelRdt);
    const facts = tree.facts();
    // The first process fails after the class was made.
    const { mkdirSync } = Deno;
    Deno.mkdirSync = (path, options) => {
      mkdirSync(path, options);
      if (`${path}`.startsWith(tree.path)) Deno.removeSync(`${path}/tasks`);
    };
    const error = assertThrows(() => room.create(facts), OperationError);
    Deno.mkdirSync = mkdirSync;
    assertEquals(errnoName(error.errno), "ENOENT");
    assertEquals(tree.groups(), ["guest", "info", "mon_groups"]);
  }
});

testOn(
  NEEDS,
  "create says that the processor has no more classes",
  async () => {
    using tree = makeTree();
    await using room = await makeRoom({});
    tree.full = true;
    const error = assertThrows(() => room.create(tree.facts()), ContainerError);
    assertEquals([error.message, error.code, error.hint], [
      `Cannot make "${tree.path}/${room.id}" (linux.intelRdt): No space left on device (os error 28): mkdir '${tree.path}/${room.id}'`,
      "resctrl-full",
      `The processor has no more classes: cat ${tree.path}/info/*/num_closids, ls ${tree.path}`,
    ]);
  },
);

testOn(
  NEEDS,
  "claimContainer() removes the groups of a create that was killed",
  async () => {
    using tree = makeTree();
    await using room = await makeRoom({});
    const killed = claimContainer(room.root, room.id);
    const own = `${tree.path}/${room.id}`;
    mkdirSync(own);
    writeLeftovers(killed, {
      cgroups: [],
      parents: [],
      fresh: false,
      resctrl: { mount: tree.path, remove: [own] },
    });
    closeFd(killed.fd);
    const next = claimContainer(room.root, room.id);
    assertEquals(tree.groups(), ["guest", "info", "mon_groups"]);
    removeState(next);
    closeFd(next.fd);
  },
);

const planOf = (path: string): ClassPlan => ({
  mount: path,
  group: `${path}/guest`,
  exists: true,
  named: true,
  lines: ["L3:0=zz"],
  tasks: [],
  remove: [],
});

Deno.test("makeClass() gives the kernel's own words for a schemata it refuses", () => {
  using tree = makeTree();
  tree.write("info/last_cmd_status", "Non-hex character in the mask zz\n");
  // As root a mode refuses nothing.
  Deno.removeSync(`${tree.path}/guest/schemata`);
  const error = assertThrows(
    () => makeClass(planOf(tree.path)),
    ContainerError,
  );
  assertEquals([error.message, error.code, error.hint], [
    `Cannot write "L3:0=zz" to "${tree.path}/guest/schemata" (linux.intelRdt): Non-hex character in the mask zz: No such file or directory (os error 2): writefile '${tree.path}/guest/schemata'`,
    "resctrl",
    `cat ${tree.path}/schemata shows what the machine has`,
  ]);
});

Deno.test("makeClass() takes no class that somebody makes at that moment", () => {
  using tree = makeTree();
  const plan = { ...planOf(tree.path), exists: false };
  const error = assertThrows(() => makeClass(plan), ContainerError);
  assertEquals(
    error.message,
    `Cannot make "${tree.path}/guest" (linux.intelRdt): somebody else just did`,
  );
  assertEquals(tree.groups(), ["guest", "info", "mon_groups"]);
});

Deno.test("undoClass() leaves a named class that somebody has joined", () => {
  using tree = makeTree();
  const plan = { ...planOf(tree.path), made: [`${tree.path}/guest`] };
  tree.write("guest/tasks", "77\n");
  undoClass(plan, undefined);
  assertEquals(tree.groups(), ["guest", "info", "mon_groups"]);
  tree.write("guest/tasks", "");
  undoClass(plan, undefined);
  assertEquals(tree.groups(), ["info", "mon_groups"]);
});

Deno.test("updateClass() of a container without one says so", () => {
  const error = assertThrows(
    () => updateClass({ id: "box" }, ["L3:0=f"]),
    ContainerError,
  );
  assertEquals([error.message, error.hint], [
    'Cannot change the Intel RDT schema of "box": it has no class of service',
    "Only a config.json with linux.intelRdt gives it one",
  ]);
});
