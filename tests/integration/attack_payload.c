/*
 * What a hostile program in a container tries, for attack_*_test.ts: it prints
 * a line that begins with "FELL" for whatever worked and should not have.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "attack_devices.h"

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
#endif
#ifndef SYS_open_tree
#define SYS_open_tree 428
#endif
#ifndef SYS_move_mount
#define SYS_move_mount 429
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif
#define EXCHANGE 2u

static double now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Says each thing once: a pipe that is full would stop the attack. */
static void fell(const char *what)
{
	static char said[4096];

	if (strstr(said, what) || strlen(said) + strlen(what) + 2 > sizeof(said))
		return;
	strcat(said, what);
	strcat(said, "\n");
	printf("FELL %s\n", what);
	fflush(stdout);
}

/* The memory of a process that is on its way into the container is the
 * helper's: its name says so. */
static int is_joining(int pid)
{
	char path[64], comm[32] = "";
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/comm", pid);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return 0;
	if (read(fd, comm, sizeof(comm) - 1) < 0)
		comm[0] = 0;
	close(fd);
	return !strncmp(comm, "rustyrun", 8);
}

static void try_file(int pid, const char *name, int flags)
{
	char path[320];
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, flags);
	if (fd < 0)
		return;
	/* It may have become the command meanwhile, which is ours. */
	if (is_joining(pid))
		fell(name);
	close(fd);
}

static void attack_process(int pid)
{
	int pidfd = (int)syscall(SYS_pidfd_open, pid, 0), fd, status;
	pid_t child;

	for (int n = 0; n < 24 && pidfd >= 0; n++) {
		fd = (int)syscall(SYS_pidfd_getfd, pidfd, n, 0);
		if (fd < 0)
			continue;
		if (is_joining(pid))
			fell("pidfd_getfd");
		close(fd);
	}
	if (pidfd >= 0)
		close(pidfd);
	try_file(pid, "root", O_RDONLY | O_DIRECTORY);
	try_file(pid, "cwd", O_RDONLY | O_DIRECTORY);
	try_file(pid, "exe", O_WRONLY);
	try_file(pid, "exe", O_RDONLY);
	try_file(pid, "mem", O_RDWR);
	try_file(pid, "environ", O_RDONLY);
	for (int n = 0; n < 24; n++) {
		char name[16];

		snprintf(name, sizeof(name), "fd/%d", n);
		try_file(pid, name, O_PATH);
	}
	/* In a process of its own: what is traced stays so until that ends. */
	child = fork();
	if (child == 0) {
		if (ptrace(PTRACE_SEIZE, pid, 0, 0) == 0 && is_joining(pid))
			_exit(1);
		_exit(0);
	}
	if (child > 0 && waitpid(child, &status, 0) == child &&
	    WIFEXITED(status) && WEXITSTATUS(status))
		fell("ptrace");
}

/* scan SECONDS: attacks every process of rustyrun's that it can see; makes
 * /tmp/seen at the first. */
static int scan(double seconds)
{
	double end = now() + seconds;
	unsigned long seen = 0;

	while (now() < end && access("/tmp/stop", F_OK) != 0) {
		DIR *proc = opendir("/proc");
		struct dirent *e;

		while (proc && (e = readdir(proc))) {
			int pid = atoi(e->d_name);

			if (pid <= 0 || pid == getpid() || !is_joining(pid))
				continue;
			if (!seen++)
				close(open("/tmp/seen", O_WRONLY | O_CREAT, 0600));
			attack_process(pid);
		}
		if (proc)
			closedir(proc);
	}
	printf("saw %s\n", seen ? "some" : "none");
	return 0;
}

/* swap A B STOP: exchanges two names as fast as it can until STOP is there. */
static int swap(const char *a, const char *b, const char *stop)
{
	unsigned long n = 0;

	while (access(stop, F_OK) != 0) {
		syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, EXCHANGE);
		n++;
	}
	printf("swapped %s\n", n > 100 ? "often" : "seldom");
	return 0;
}

/* tty: puts a character into the input of what it has as 0, 1 and 2. */
static int tty(void)
{
	char x = '!';

	for (int fd = 0; fd < 3; fd++) {
		if (ioctl(fd, TIOCSTI, &x) == 0)
			printf("FELL TIOCSTI on %d\n", fd);
		if (ioctl(fd, TIOCSCTTY, 1) == 0)
			printf("FELL TIOCSCTTY on %d\n", fd);
	}
	printf("tried the terminal\n");
	return 0;
}

static void write_to(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	if (write(fd, text, strlen(text)) > 0)
		printf("FELL write %s\n", path);
	close(fd);
}

static void try_devices(void)
{
	static const struct {
		mode_t type;
		unsigned int major, minor;
	} nodes[] = {
		{ S_IFBLK, 254, 0 }, { S_IFBLK, 253, 0 }, { S_IFBLK, 8, 0 },
		{ S_IFBLK, 7, 0 },   { S_IFCHR, 1, 1 },	  { S_IFCHR, 1, 2 },
		{ S_IFCHR, 1, 4 },   { S_IFCHR, 1, 11 },  { S_IFCHR, 10, 237 },
		{ S_IFCHR, 4, 0 },   { S_IFCHR, 4, 64 },  { S_IFCHR, 10, 229 },
	};
	char path[32];

	for (size_t i = 0; i < sizeof(nodes) / sizeof(nodes[0]); i++) {
		int fd;

		snprintf(path, sizeof(path), "/tmp/node%zu", i);
		if (mknod(path, nodes[i].type | 0666,
			  makedev(nodes[i].major, nodes[i].minor)) < 0)
			continue;
		fd = open(path, O_RDWR | O_NONBLOCK);
		/* ENXIO: let through, and no such device. */
		if (fd >= 0 || errno == ENXIO || errno == ENODEV)
			printf("FELL device %u:%u\n", nodes[i].major,
			       nodes[i].minor);
		if (fd >= 0)
			close(fd);
		unlink(path);
	}
}

/* climb: chroot(2) twice leaves a chroot whose directory is not the root of
 * its mount namespace. Prints what is there then. */
static void climb(void)
{
	struct stat st;
	int fd = open("/", O_RDONLY | O_DIRECTORY);

	if (mkdir("/tmp/climb", 0755) < 0 && errno != EEXIST)
		return;
	if (fd < 0 || chroot("/tmp/climb") < 0) {
		printf("climb: no chroot\n");
		return;
	}
	if (fchdir(fd) == 0)
		for (int i = 0; i < 32; i++)
			if (chdir("..") < 0)
				break;
	if (chroot(".") == 0 && stat("/this-is-the-container", &st) < 0)
		printf("FELL chroot\n");
	close(fd);
}

/* surface: everything at once that needs no other process. */
static int surface(void)
{
	static const char *const files[] = {
		"/proc/sys/kernel/core_pattern",
		"/proc/sys/kernel/modprobe",
		"/proc/sys/vm/overcommit_memory",
		"/proc/sys/fs/binfmt_misc/register",
		"/proc/sysrq-trigger",
		"/proc/irq/default_smp_affinity",
		"/sys/kernel/uevent_helper",
		"/sys/kernel/mm/ksm/run",
		"/sys/fs/cgroup/release_agent",
		"/sys/fs/cgroup/memory/release_agent",
		"/sys/fs/cgroup/memory/notify_on_release",
		"/sys/fs/cgroup/memory/memory.limit_in_bytes",
		"/sys/fs/cgroup/devices/devices.allow",
		"/sys/fs/cgroup/cgroup.procs",
		"/sys/fs/cgroup/unified/cgroup.procs",
		"/sys/power/state",
	};
	static const char *const masked[] = { "/proc/kcore", "/proc/keys",
					      "/proc/timer_list",
					      "/proc/sched_debug" };
	char text[64];

	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		write_to(files[i], "1");
	for (size_t i = 0; i < sizeof(masked) / sizeof(masked[0]); i++) {
		int fd = open(masked[i], O_RDONLY);

		if (fd >= 0 && read(fd, text, sizeof(text)) > 0)
			printf("FELL read %s\n", masked[i]);
		if (fd >= 0)
			close(fd);
	}
	if (mount("none", "/tmp", "tmpfs", 0, NULL) == 0)
		printf("FELL mount\n");
	if (umount2("/proc", MNT_DETACH) == 0)
		printf("FELL umount\n");
	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) == 0)
		printf("FELL unshare\n");
	if (syscall(SYS_open_by_handle_at, 0, text, 0) == 0 || errno != EPERM)
		printf("FELL open_by_handle_at %d\n", errno);
	if (syscall(SYS_keyctl, 0, -4, 1) >= 0)
		printf("FELL keyctl\n");
	try_devices();
	for (int fd = 3; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			printf("FELL descriptor %d\n", fd);
	climb();
	printf("tried the surface\n");
	return 0;
}

/* One line of /proc/self/mountinfo: where, and its options. */
struct line {
	char path[256];
	char options[256];
};

static struct line lines[512];

static size_t read_mounts(void)
{
	FILE *f = fopen("/proc/self/mountinfo", "r");
	char text[4096];
	size_t n = 0;

	while (f && n < 512 && fgets(text, sizeof(text), f))
		if (sscanf(text, "%*s %*s %*s %*s %255s %255s", lines[n].path,
			   lines[n].options) == 2)
			n++;
	if (f)
		fclose(f);
	return n;
}

static int has_option(const char *options, const char *word)
{
	size_t len = strlen(word);

	for (const char *p = options; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
		if (!strncmp(p, word, len) && (p[len] == ',' || !p[len]))
			return 1;
	return 0;
}

static void fell_at(const char *what, const char *path)
{
	char text[512];

	snprintf(text, sizeof(text), "%s %s", what, path);
	fell(text);
}

static int set_attr(int fd, const char *path, unsigned int flags, uint64_t set,
		    uint64_t clear)
{
	uint64_t attr[4] = { set, clear, 0, 0 };

	return (int)syscall(SYS_mount_setattr, fd, path, flags, attr,
			    sizeof(attr));
}

static const struct {
	const char *word;
	unsigned long flag;
	uint64_t attr;
} forbidden[] = {
	{ "ro", MS_RDONLY, 1 },
	{ "nosuid", MS_NOSUID, 2 },
	{ "nodev", MS_NODEV, 4 },
	{ "noexec", MS_NOEXEC, 8 },
};

#define FORBIDDEN (sizeof(forbidden) / sizeof(forbidden[0]))
#define ATIME_MASK 0x70u
#define NOATIME 0x10u
#define CLONE_TREE 1u
#define EMPTY 0x1000u
#define ALL_BELOW 0x8000u

/* What the host has forbidden on a mount: is it allowed now? Each as mount(2),
 * as mount_setattr(2), and on a copy that lies nowhere. */
static void try_flags(const struct line *m)
{
	unsigned long now = has_option(m->options, "noatime") ? MS_NOATIME :
								MS_RELATIME;
	uint64_t atime = NOATIME;
	int copy;

	for (size_t i = 0; i < FORBIDDEN; i++)
		if (has_option(m->options, forbidden[i].word))
			now |= forbidden[i].flag;
	for (size_t i = 0; i < FORBIDDEN; i++) {
		if (!has_option(m->options, forbidden[i].word))
			continue;
		if (mount(NULL, m->path, NULL,
			  MS_REMOUNT | MS_BIND | (now & ~forbidden[i].flag),
			  NULL) == 0)
			fell_at("remount", m->path);
		if (set_attr(AT_FDCWD, m->path, 0, 0, forbidden[i].attr) == 0)
			fell_at("mount_setattr", m->path);
		copy = (int)syscall(SYS_open_tree, AT_FDCWD, m->path,
				    CLONE_TREE | ALL_BELOW);
		if (copy >= 0 &&
		    set_attr(copy, "", EMPTY, 0, forbidden[i].attr) == 0)
			fell_at("mount_setattr of a copy", m->path);
		close(copy);
	}
	/* Another kind of access time than the one that is there. */
	if (now & MS_NOATIME) {
		atime = 0;
		now = (now & ~(unsigned long)MS_NOATIME) | MS_RELATIME;
	} else {
		now = (now & ~(unsigned long)MS_RELATIME) | MS_NOATIME;
	}
	if (mount(NULL, m->path, NULL, MS_REMOUNT | MS_BIND | now, NULL) == 0)
		fell_at("remount of the access time", m->path);
	if (set_attr(AT_FDCWD, m->path, 0, atime, ATIME_MASK) == 0)
		fell_at("mount_setattr of the access time", m->path);
}

/* A mount that covers something: can it be taken away, or looked below? */
static void try_cover(const struct line *m, const char *above)
{
	const char *place = access("/tmp", F_OK) == 0 ? "/tmp" : "/";
	int fd, to = open(place, O_PATH | O_DIRECTORY);

	if (umount2(m->path, 0) == 0)
		fell_at("umount", m->path);
	if (umount2(m->path, MNT_DETACH) == 0)
		fell_at("umount -l", m->path);
	fd = (int)syscall(SYS_open_tree, AT_FDCWD, m->path, 0);
	if (syscall(SYS_move_mount, fd, "", to, "", 4 | 0x40) == 0)
		fell_at("move_mount", m->path);
	close(fd);
	if (mount(m->path, place, NULL, MS_MOVE, NULL) == 0)
		fell_at("mount --move", m->path);
	fd = (int)syscall(SYS_open_tree, AT_FDCWD, above, CLONE_TREE);
	if (fd >= 0)
		fell_at("open_tree of what it lies in", m->path);
	close(fd);
	if (mount(above, place, NULL, MS_BIND, NULL) == 0)
		fell_at("bind of what it lies in", m->path);
	close(to);
}

/* Whether a mount is meant: DIR stands for it and all below it, =DIR for it
 * alone. */
static int is_meant(const char *path, const char *dir)
{
	size_t len = strlen(dir);

	if (*dir == '=')
		return !strcmp(path, dir + 1);
	return !strncmp(path, dir, len) && (!path[len] || path[len] == '/');
}

static size_t try_mounts(char **dirs)
{
	size_t n = read_mounts(), tried = 0;

	for (size_t i = 0; i < n; i++)
		for (char **dir = dirs; *dir; dir++) {
			if (!is_meant(lines[i].path, *dir))
				continue;
			try_flags(&lines[i]);
			if (**dir != '=' && strcmp(lines[i].path, *dir))
				try_cover(&lines[i], *dir);
			tried++;
		}
	printf("tried %zu\n", tried);
	return n;
}

/* mounts DIR...: undoes what the host has mounted on and below each DIR, there
 * and in a copy of the mount namespace whose root is the first one. */
static int mounts(char **dirs)
{
	size_t n;

	try_mounts(dirs);
	if (unshare(CLONE_NEWNS) < 0)
		printf("FELL short: no mount namespace\n");
	n = try_mounts(dirs);
	if (chdir(dirs[0]) == 0 && syscall(SYS_pivot_root, ".", ".") == 0 &&
	    umount2(".", MNT_DETACH) == 0) {
		size_t len = strlen(dirs[0]), turned = 0;

		for (size_t i = 0; i < n; i++) {
			struct line *m = &lines[i];

			if (!is_meant(m->path, dirs[0]) || !m->path[len])
				continue;
			memmove(m->path, m->path + len, strlen(m->path + len) + 1);
			try_cover(m, "/");
			turned++;
		}
		printf("turned %zu\n", turned);
	}
	return 0;
}

/* bare DIR...: unmounts whatever can be unmounted there; nothing may be left to
 * see. */
static int bare(char **dirs)
{
	for (; *dirs; dirs++) {
		struct dirent *e;
		DIR *dir;

		while (umount2(*dirs, MNT_DETACH) == 0)
			;
		dir = opendir(*dirs);
		while (dir && (e = readdir(dir)))
			if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
				fell_at(e->d_name, *dirs);
		if (dir)
			closedir(dir);
		printf("bared %s\n", *dirs);
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "scan") && argc == 3)
		return scan(atof(argv[2]));
	if (!strcmp(what, "swap") && argc == 5)
		return swap(argv[2], argv[3], argv[4]);
	if (!strcmp(what, "tty"))
		return tty();
	if (!strcmp(what, "surface"))
		return surface();
	if (!strcmp(what, "mounts") && argc > 2)
		return mounts(argv + 2);
	if (!strcmp(what, "devices"))
		return devices(argv + 2);
	if (!strcmp(what, "bare") && argc > 2)
		return bare(argv + 2);
	return 2;
}
