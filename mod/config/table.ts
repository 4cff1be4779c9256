/**
 * The shape of config.json as data for ./check.ts, made from ./schema.ts by
 * scripts/generate_config_table.ts: change the schema, then run that.
 *
 * A type is one entry of TYPES: text, flag, [3, lowest, highest] an integer,
 * [4, prefix, words] one of some words, [5, type] a list, [6, type] a map,
 * [7, how many of the properties are required, name, type, name, type, ...]
 * an object, the required ones first. `type` is an index into TYPES.
 *
 * @module
 */
// deno-fmt-ignore-file

/** An entry of the table. */
export type Row = readonly (number | bigint | string)[];

/** All types that the schema has. */
export const TYPES: readonly Row[] = [
[1],
[2],
[7,1,"path",0,"readonly",1],
[3,0,4294967295],
[7,2,"height",3,"width",3],
[5,3],
[7,0,"uid",3,"gid",3,"umask",3,"additionalGids",5],
[5,0],
[7,0,"bounding",7,"effective",7,"inheritable",7,"permitted",7,"ambient",7],
[3,0n,18446744073709551615n],
[7,3,"type",0,"hard",9,"soft",9],
[5,10],
[3,-2147483648,2147483647],
[4,"SCHED_","OTHER FIFO RR BATCH ISO IDLE DEADLINE"],
[4,"SCHED_FLAG_","RESET_ON_FORK RECLAIM DL_OVERRUN KEEP_POLICY KEEP_PARAMS UTIL_CLAMP_MIN UTIL_CLAMP_MAX"],
[5,14],
[7,1,"policy",13,"nice",12,"priority",12,"flags",15,"runtime",9,"deadline",9,"period",9],
[4,"IOPRIO_CLASS_","RT BE IDLE"],
[7,1,"class",17,"priority",12],
[7,0,"initial",0,"final",0],
[7,1,"cwd",0,"terminal",1,"consoleSize",4,"user",6,"args",7,"env",7,"capabilities",8,"rlimits",11,"noNewPrivileges",1,"apparmorProfile",0,"oomScoreAdj",12,"selinuxLabel",0,"scheduler",16,"ioPriority",18,"execCPUAffinity",19],
[7,3,"containerID",3,"hostID",3,"size",3],
[5,21],
[7,1,"destination",0,"type",0,"source",0,"options",7,"uidMappings",22,"gidMappings",22],
[5,23],
[7,1,"path",0,"args",7,"env",7,"timeout",12],
[5,25],
[7,0,"prestart",26,"createRuntime",26,"createContainer",26,"startContainer",26,"poststart",26,"poststop",26],
[6,0],
[4,"","pid network mount ipc uts user cgroup time"],
[7,1,"type",29,"path",0],
[5,30],
[3,-9223372036854775808n,9223372036854775807n],
[7,0,"secs",32,"nanosecs",3],
[6,33],
[7,2,"type",0,"path",0,"major",32,"minor",32,"fileMode",3,"uid",3,"gid",3],
[5,35],
[7,0,"name",0],
[6,37],
[7,1,"allow",1,"type",0,"major",32,"minor",32,"access",0],
[5,39],
[7,0,"limit",32,"reservation",32,"swap",32,"kernel",32,"kernelTCP",32,"swappiness",9,"disableOOMKiller",1,"useHierarchy",1,"checkBeforeUpdate",1],
[7,0,"shares",9,"quota",32,"burst",9,"period",9,"realtimeRuntime",32,"realtimePeriod",9,"cpus",0,"mems",0,"idle",32],
[7,0,"limit",32],
[3,0,65535],
[7,2,"major",32,"minor",32,"weight",44,"leafWeight",44],
[5,45],
[7,3,"major",32,"minor",32,"rate",9],
[5,47],
[7,0,"weight",44,"leafWeight",44,"weightDevice",46,"throttleReadBpsDevice",48,"throttleWriteBpsDevice",48,"throttleReadIOPSDevice",48,"throttleWriteIOPSDevice",48],
[7,2,"pageSize",0,"limit",9],
[5,50],
[7,2,"name",0,"priority",3],
[5,52],
[7,0,"classID",3,"priorities",53],
[7,0,"hcaHandles",3,"hcaObjects",3],
[6,55],
[7,0,"devices",40,"memory",41,"cpu",42,"pids",43,"blockIO",49,"hugepageLimits",51,"network",54,"rdma",56,"unified",28],
[4,"SCMP_ACT_","KILL KILL_PROCESS KILL_THREAD TRAP ERRNO TRACE ALLOW LOG NOTIFY"],
[4,"SCMP_ARCH_","X86 X86_64 X32 ARM AARCH64 MIPS MIPS64 MIPS64N32 MIPSEL MIPSEL64 MIPSEL64N32 PPC PPC64 PPC64LE S390 S390X PARISC PARISC64 RISCV64 LOONGARCH64 M68K SH SHEB"],
[5,59],
[4,"SECCOMP_FILTER_FLAG_","TSYNC LOG SPEC_ALLOW WAIT_KILLABLE_RECV"],
[5,61],
[4,"SCMP_CMP_","NE LT LE EQ GE GT MASKED_EQ"],
[7,3,"index",3,"value",9,"op",63,"valueTwo",9],
[5,64],
[7,2,"names",7,"action",58,"errnoRet",3,"args",65],
[5,66],
[7,1,"defaultAction",58,"defaultErrnoRet",3,"architectures",60,"flags",62,"listenerPath",0,"listenerMetadata",0,"syscalls",67],
[7,0,"closID",0,"schemata",7,"l3CacheSchema",0,"memBwSchema",0,"enableMonitoring",1],
[4,"MPOL_","DEFAULT BIND INTERLEAVE WEIGHTED_INTERLEAVE PREFERRED PREFERRED_MANY LOCAL"],
[4,"MPOL_F_","NUMA_BALANCING RELATIVE_NODES STATIC_NODES"],
[5,71],
[7,1,"mode",70,"nodes",0,"flags",72],
[4,"","LINUX LINUX32"],
[7,1,"domain",74,"flags",7],
[7,0,"namespaces",31,"uidMappings",22,"gidMappings",22,"timeOffsets",34,"devices",36,"netDevices",38,"cgroupsPath",0,"resources",57,"rootfsPropagation",0,"maskedPaths",7,"readonlyPaths",7,"mountLabel",0,"sysctl",28,"seccomp",68,"intelRdt",69,"memoryPolicy",73,"personality",75],
[7,2,"ociVersion",0,"root",2,"process",20,"hostname",0,"domainname",0,"mounts",24,"hooks",27,"annotations",28,"linux",76],
];
/** Where spec is in TYPES. */
export const SPEC = 77;
/** Where process is in TYPES. */
export const PROCESS = 20;
/** Where resources is in TYPES. */
export const RESOURCES = 57;
/** Where seccomp is in TYPES. */
export const SECCOMP = 68;
