/* What a container looks like from inside, as JSON; and the small programs
 * that the differential test needs on the host. Static, no shell, no libc
 * database: one file is the whole root file system.
 *
 *   payload report [probe=PATH | sys=NR[:ARG...] | exit=N | sleep]...
 *   payload hook FILE [exit=N] [sleep=SECONDS]   appends what a hook sees
 *   payload hold FLAGS                           unshare, print a line, wait for stdin to end
 *   payload recvtty SOCKET                       console socket: prints what the terminal says
 *   payload listener SOCKET                      seccomp listener: prints the message, the fds
 *   payload clean PROGRAM [ARG...]               runs it with every signal at its default
 *   payload pause                                waits for a signal
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "payload.h"
#include "payload_json.h"

extern char **environ;

static void ids(void)
{
	uid_t r, e, s;
	gid_t groups[1024];
	int n;
	json_begin("ids", '{');
	getresuid(&r, &e, &s);
	json_begin("uid", '[');
	json_number(NULL, r), json_number(NULL, e), json_number(NULL, s);
	json_end(']');
	getresgid(&r, &e, &s);
	json_begin("gid", '[');
	json_number(NULL, r), json_number(NULL, e), json_number(NULL, s);
	json_end(']');
	json_begin("groups", '[');
	n = getgroups(1024, groups);
	for (int i = 0; i < n; i++)
		json_number(NULL, groups[i]);
	json_end(']');
	json_file("uid_map", "/proc/self/uid_map");
	json_file("gid_map", "/proc/self/gid_map");
	json_file("setgroups", "/proc/self/setgroups");
	json_end('}');
}

static void capabilities(void)
{
	struct { uint32_t version; int pid; } head = { 0x20080522, 0 };
	struct { uint32_t e, p, i; } data[2] = { { 0, 0, 0 }, { 0, 0, 0 } };
	unsigned long long bounding = 0, ambient = 0;
	syscall(SYS_capget, &head, data);
	for (int c = 0; c < 64; c++) {
		if (prctl(PR_CAPBSET_READ, c, 0, 0, 0) == 1)
			bounding |= 1ULL << c;
		if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, c, 0, 0) == 1)
			ambient |= 1ULL << c;
	}
	json_begin("capabilities", '{');
	json_hex("effective", data[0].e | (unsigned long long)data[1].e << 32);
	json_hex("permitted", data[0].p | (unsigned long long)data[1].p << 32);
	json_hex("inheritable", data[0].i | (unsigned long long)data[1].i << 32);
	json_hex("bounding", bounding);
	json_hex("ambient", ambient);
	json_end('}');
}

static void attributes(void)
{
	struct { uint32_t size, policy; uint64_t flags; int32_t nice; uint32_t priority;
		 uint64_t runtime, deadline, period; uint32_t min, max; } sched;
	unsigned long cpus[16] = { 0 }, nodes[16] = { 0 };
	int signal = 0, mode = 0;
	char name[64];
	json_begin("process", '{');
	json_result("no_new_privs", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	json_result("seccomp", prctl(PR_GET_SECCOMP, 0, 0, 0, 0));
	json_result("securebits", prctl(PR_GET_SECUREBITS, 0, 0, 0, 0));
	json_result("dumpable", prctl(PR_GET_DUMPABLE, 0, 0, 0, 0));
	json_result("keepcaps", prctl(PR_GET_KEEPCAPS, 0, 0, 0, 0));
	json_result("timerslack", prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0));
	prctl(PR_SET_TIMERSLACK, 0, 0, 0, 0);
	json_result("timerslack_default", prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0));
	json_result("thp_disable", prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0));
	json_result("mce_kill", prctl(PR_MCE_KILL_GET, 0, 0, 0, 0));
	/* PR_GET_MEMORY_MERGE, since 6.4. */
	json_result("memory_merge", prctl(68, 0, 0, 0, 0));
	prctl(PR_GET_PDEATHSIG, &signal, 0, 0, 0);
	json_number("pdeathsig", signal);
	signal = 0;
	prctl(PR_GET_CHILD_SUBREAPER, &signal, 0, 0, 0);
	json_number("subreaper", signal);
	prctl(PR_GET_NAME, name, 0, 0, 0);
	json_text("comm", name);
	memset(&sched, 0, sizeof sched);
	sched.size = sizeof sched;
	if (syscall(SYS_sched_getattr, 0, &sched, sizeof sched, 0) == 0) {
		json_begin("scheduler", '{');
		json_number("policy", sched.policy), json_number("flags", (long long)sched.flags);
		json_number("nice", sched.nice), json_number("priority", sched.priority);
		json_number("runtime", (long long)sched.runtime);
		json_number("deadline", (long long)sched.deadline);
		json_number("period", (long long)sched.period);
		json_end('}');
	}
	json_result("ioprio", syscall(SYS_ioprio_get, 1, 0));
	json_result("personality", personality(0xffffffff));
	if (sched_getaffinity(0, sizeof cpus, (cpu_set_t *)cpus) == 0)
		json_hex("affinity", cpus[0]);
	if (syscall(SYS_get_mempolicy, &mode, nodes, 1024, NULL, 0) == 0) {
		json_hex("mempolicy", (unsigned)mode);
		json_hex("mempolicy_nodes", nodes[0]);
	}
	json_file("oom_score_adj", "/proc/self/oom_score_adj");
	json_file("label", "/proc/self/attr/current");
	json_file("label_exec", "/proc/self/attr/exec");
	json_file("coredump_filter", "/proc/self/coredump_filter");
	json_number("umask", umask(0));
	json_end('}');
}

static void relations(void)
{
	json_begin("relations", '{');
	json_number("pid", getpid());
	json_number("ppid", getppid());
	json_number("pgid_is_pid", getpgid(0) == getpid());
	json_number("sid_is_pid", getsid(0) == getpid());
	json_link_target("exe", "/proc/self/exe");
	json_link_target("exe1", "/proc/1/exe");
	json_file("comm1", "/proc/1/comm");
	json_link_target("root", "/proc/self/root");
	json_end('}');
}

static void limits(void)
{
	static const char *const names[] = { "CPU", "FSIZE", "DATA", "STACK", "CORE", "RSS",
		"NPROC", "NOFILE", "MEMLOCK", "AS", "LOCKS", "SIGPENDING", "MSGQUEUE", "NICE",
		"RTPRIO", "RTTIME" };
	json_begin("rlimits", '{');
	for (int i = 0; i < 16; i++) {
		struct rlimit r;
		char s[64];
		getrlimit(i, &r);
		snprintf(s, sizeof s, "%" PRIu64 ":%" PRIu64, (uint64_t)r.rlim_cur,
			 (uint64_t)r.rlim_max);
		json_text(names[i], s);
	}
	json_end('}');
}

static void signals(void)
{
	uint64_t mask = 0, ignored = 0, caught = 0;
	syscall(SYS_rt_sigprocmask, SIG_BLOCK, NULL, &mask, 8);
	for (int i = 1; i <= 64; i++) {
		struct { void *handler; unsigned long flags; void *restorer; uint64_t m; } old;
		if (syscall(SYS_rt_sigaction, i, NULL, &old, 8) != 0)
			continue;
		if (old.handler == (void *)SIG_IGN)
			ignored |= 1ULL << (i - 1);
		else if (old.handler != (void *)SIG_DFL)
			caught |= 1ULL << (i - 1);
	}
	json_begin("signals", '{');
	json_hex("blocked", mask);
	json_hex("ignored", ignored);
	json_hex("caught", caught);
	json_end('}');
}

static void terminal(void)
{
	json_begin("terminal", '[');
	for (int fd = 0; fd < 3; fd++) {
		struct winsize w;
		struct stat st;
		if (!isatty(fd)) {
			json_number(NULL, 0);
			continue;
		}
		json_begin(NULL, '{');
		if (ioctl(fd, TIOCGWINSZ, &w) == 0) {
			json_number("rows", w.ws_row);
			json_number("cols", w.ws_col);
		}
		json_number("foreground", tcgetpgrp(fd) == getpgid(0));
		if (fstat(fd, &st) == 0) {
			json_number("uid", st.st_uid), json_number("gid", st.st_gid);
			json_hex("mode", st.st_mode);
		}
		json_end('}');
	}
	json_end(']');
}

static void describe(const char *key, const char *path, int follow)
{
	struct stat st;
	char s[128], target[1024];
	ssize_t n;
	if ((follow ? stat(path, &st) : lstat(path, &st)) != 0) {
		snprintf(s, sizeof s, "errno %d", errno);
	} else if (S_ISLNK(st.st_mode)) {
		n = readlink(path, target, sizeof target - 1);
		target[n < 0 ? 0 : n] = 0;
		snprintf(s, sizeof s, "-> %.100s", target);
	} else if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)) {
		snprintf(s, sizeof s, "%o %u:%u dev %u:%u", st.st_mode, st.st_uid, st.st_gid,
			 major(st.st_rdev), minor(st.st_rdev));
	} else {
		snprintf(s, sizeof s, "%o %u:%u", st.st_mode, st.st_uid, st.st_gid);
	}
	json_text(key, s);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void directory(const char *key, const char *path)
{
	struct dirent **list;
	int n = scandir(path, &list, NULL, by_name);
	if (n < 0) {
		json_result(key, -1);
		return;
	}
	json_begin(key, '{');
	for (int i = 0; i < n; i++) {
		char full[1024];
		if (!strcmp(list[i]->d_name, "..") || list[i]->d_name[0] == 0)
			continue;
		snprintf(full, sizeof full, "%s/%s", path, list[i]->d_name);
		describe(list[i]->d_name, full, 0);
	}
	json_end('}');
}

static void descriptors(void)
{
	json_begin("fds", '{');
	for (int fd = 0; fd < 1024; fd++) {
		char key[16], path[64], target[256], s[400];
		struct stat st;
		int flags = fcntl(fd, F_GETFL);
		ssize_t n;
		if (flags < 0 || fstat(fd, &st) != 0)
			continue;
		snprintf(key, sizeof key, "%d", fd);
		snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
		n = readlink(path, target, sizeof target - 1);
		target[n < 0 ? 0 : n] = 0;
		snprintf(s, sizeof s, "type %o flags %o cloexec %d %s", st.st_mode & S_IFMT,
			 (unsigned)flags & ~(unsigned)(O_LARGEFILE | O_CLOEXEC),
			 fcntl(fd, F_GETFD), target);
		json_text(key, s);
	}
	json_end('}');
}

static void namespaces(void)
{
	static const char *const names[] = { "cgroup", "ipc", "mnt", "net", "pid", "time", "user",
		"uts", "pid_for_children", "time_for_children" };
	json_begin("namespaces", '{');
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char path[64];
		snprintf(path, sizeof path, "/proc/self/ns/%s", names[i]);
		json_link_target(names[i], path);
	}
	json_end('}');
	json_lines("timens_offsets", "/proc/self/timens_offsets");
}

static void keyrings(void)
{
	char s[256] = "";
	json_begin("keyring", '{');
	/* KEYCTL_DESCRIBE = 6 of the session (-3) and the process keyring (-2). */
	if (syscall(SYS_keyctl, 6, -3, s, sizeof s) < 0)
		snprintf(s, sizeof s, "errno %d", errno);
	json_text("session", s);
	json_end('}');
}

static void sysctls(void)
{
	static const char *const names[] = { "kernel/hostname", "kernel/domainname",
		"kernel/msgmax", "kernel/msgmnb", "kernel/msgmni", "kernel/sem", "kernel/shmall",
		"kernel/shmmax", "kernel/shmmni", "kernel/shm_rmid_forced", "fs/mqueue/msg_max",
		"fs/mqueue/msgsize_max", "fs/mqueue/queues_max", "net/ipv4/ip_forward",
		"net/ipv4/ping_group_range", "net/ipv4/ip_unprivileged_port_start",
		"net/ipv4/conf/all/forwarding", "net/ipv4/conf/default/rp_filter",
		"net/core/somaxconn", "user/max_user_namespaces" };
	json_begin("sysctl", '{');
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char path[128];
		snprintf(path, sizeof path, "/proc/sys/%s", names[i]);
		json_file(names[i], path);
	}
	json_end('}');
}

static void network(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct if_nameindex *list = if_nameindex();
	json_begin("network", '{');
	for (struct if_nameindex *i = list; i && i->if_name; i++) {
		struct ifreq r;
		memset(&r, 0, sizeof r);
		strncpy(r.ifr_name, i->if_name, IFNAMSIZ - 1);
		if (ioctl(fd, SIOCGIFFLAGS, &r) == 0)
			json_text(i->if_name, r.ifr_flags & IFF_UP ? "up" : "down");
	}
	json_end('}');
	close(fd);
}

/* What one path allows: kind, reading, writing. */
static void probe(const char *path)
{
	char buf[256];
	struct statfs fs;
	struct stat st;
	int fd;
	json_begin(path, '{');
	describe("what", path, 1);
	if (statfs(path, &fs) == 0)
		json_hex("filesystem", (unsigned long)fs.f_type);
	if (stat(path, &st) == 0 && S_ISDIR(st.st_mode)) {
		char test[1024];
		directory("entries", path);
		snprintf(test, sizeof test, "%s/.rustyrun-probe", path);
		fd = open(test, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
		json_result("create", fd < 0 ? -1 : 0);
		if (fd >= 0)
			unlink(test);
	} else {
		ssize_t n = slurp(path, buf, 65);
		if (n < 0)
			json_result("read", -1);
		else
			json_number("read", n);
		fd = open(path, O_WRONLY | O_CLOEXEC | O_NONBLOCK);
		json_result("write", fd < 0 ? -1 : 0);
	}
	if (fd >= 0)
		close(fd);
	json_end('}');
}

/* One system call with numbers as arguments: what a seccomp filter answers. */
static void attempt(const char *words)
{
	long a[7] = { 0 };
	char *rest = (char *)words;
	for (int i = 0; i < 7 && *rest; i++) {
		a[i] = strtol(rest, &rest, 0);
		if (*rest == ':')
			rest++;
	}
	json_result(words, syscall(a[0], a[1], a[2], a[3], a[4], a[5], a[6]));
}

static int report(int argc, char **argv)
{
	char cwd[4096];
	struct utsname uts;
	int code = 0, wait = 0;
	json_start(stdout);
	json_begin("argv", '[');
	for (int i = 0; i < argc; i++)
		json_text(NULL, argv[i]);
	json_end(']');
	json_begin("env", '[');
	for (char **e = environ; *e; e++)
		json_text(NULL, *e);
	json_end(']');
	json_text("cwd", getcwd(cwd, sizeof cwd));
	descriptors(), ids(), capabilities(), relations(), limits(), signals(), terminal();
	uname(&uts);
	json_text("hostname", uts.nodename);
	json_text("domainname", uts.domainname);
	json_text("machine", uts.machine);
	attributes(), namespaces(), keyrings(), network();
	json_lines("cgroup", "/proc/self/cgroup");
	json_lines("mounts", "/proc/self/mountinfo");
	sysctls();
	directory("root", "/");
	directory("dev", "/dev");
	directory("dev_pts", "/dev/pts");
	json_begin("probes", '{');
	for (int i = 2; i < argc; i++)
		if (!strncmp(argv[i], "probe=", 6))
			probe(argv[i] + 6);
	json_end('}');
	json_begin("syscalls", '{');
	for (int i = 2; i < argc; i++) {
		if (!strncmp(argv[i], "sys=", 4))
			attempt(argv[i] + 4);
		else if (!strncmp(argv[i], "exit=", 5))
			code = atoi(argv[i] + 5);
		else if (!strcmp(argv[i], "sleep"))
			wait = 1;
	}
	json_end('}');
	json_finish();
	if (wait)
		pause();
	return code;
}

static int hook(int argc, char **argv)
{
	static char buf[1 << 16];
	ssize_t n = 0, m;
	char cwd[4096];
	FILE *out;
	int code = 0, seconds = 0;
	while ((m = read(0, buf + n, sizeof buf - 1 - (size_t)n)) > 0)
		n += m;
	if (!(out = fopen(argv[2], "ae")))
		return 99;
	for (int i = 3; i < argc; i++) {
		if (!strncmp(argv[i], "exit=", 5))
			code = atoi(argv[i] + 5);
		else if (!strncmp(argv[i], "sleep=", 6))
			seconds = atoi(argv[i] + 6);
	}
	json_start(out);
	json_begin("argv", '[');
	for (int i = 0; i < argc; i++)
		json_text(NULL, argv[i]);
	json_end(']');
	json_begin("env", '[');
	for (char **e = environ; *e; e++)
		json_text(NULL, *e);
	json_end(']');
	json_text("cwd", getcwd(cwd, sizeof cwd));
	json_bytes("stdin", buf, (size_t)n);
	json_number("pid1", getpid() == 1);
	namespaces();
	ids(), signals();
	json_finish();
	fclose(out);
	if (seconds)
		sleep((unsigned)seconds);
	return code;
}

static void stop(int signal)
{
	_exit(signal == SIGTERM ? 0 : 1);
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "report";
	if (!strcmp(what, "report"))
		return report(argc, argv);
	if (!strcmp(what, "hook") && argc > 2)
		return hook(argc, argv);
	if (!strcmp(what, "recvtty") && argc > 2)
		return recvtty(argv[2]);
	if (!strcmp(what, "listener") && argc > 2)
		return listener(argv[2]);
	if (!strcmp(what, "hold") && argc > 2)
		return hold(argv[2]);
	if (!strcmp(what, "clean") && argc > 2)
		return clean(argv + 2);
	if (!strcmp(what, "pause")) {
		signal(SIGTERM, stop);
		pause();
		return 0;
	}
	fprintf(stderr, "payload: unknown word: %s\n", what);
	return 64;
}
