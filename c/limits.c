/*
 * What keeps a killed process from its end, in one cgroup: limits, and the freezer.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "limits.h"

bool write_at(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CLOEXEC);
	bool done;

	if (fd < 0)
		return false;
	done = write(fd, text, strlen(text)) >= 0;
	close(fd);
	return done;
}

ssize_t read_at(int dir, const char *name, char *buf, size_t size)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -1;
	n = read(fd, buf, size);
	close(fd);
	return n;
}

/* Takes back what a file of limits holds, a device in each line. One that has been
 * taken back is no longer in the file. */
static void lift_rules(int dir, const char *name, const char *none)
{
	char buf[256], rule[80];
	size_t len;
	ssize_t n;

	for (int i = 0; i < 64; i++) {
		n = read_at(dir, name, buf, sizeof(buf));
		for (len = 0; (ssize_t)len < n && buf[len] != ' '; len++)
			;
		if (n <= 0 || len > 24)
			return;
		memcpy(rule, buf, len);
		memcpy(rule + len, none, strlen(none) + 1);
		if (!write_at(dir, name, rule))
			return;
	}
}

/* Where it is so, nothing is written: a quota, also the same once more, costs as
 * many steps as the machine has cgroups. */
static void lift_to(int dir, const char *name, const char *none)
{
	const size_t len = strlen(none);
	char buf[32];
	ssize_t n = read_at(dir, name, buf, sizeof(buf));

	if (n > 0 && ((size_t)n < len || memcmp(buf, none, len)))
		write_at(dir, name, none);
}

/* Dying takes time on a CPU; and a read that a limit holds up ends before its
 * process does. */
void lift_cgroup(int dir)
{
	lift_to(dir, "cpu.idle", "0");
	lift_to(dir, "cpu.shares", "1024");
	lift_to(dir, "cpu.weight", "100");
	lift_to(dir, "cpu.cfs_quota_us", "-1");
	lift_to(dir, "cpu.max", "max");
	lift_rules(dir, "blkio.throttle.read_bps_device", " 0");
	lift_rules(dir, "blkio.throttle.read_iops_device", " 0");
	lift_rules(dir, "blkio.throttle.write_bps_device", " 0");
	lift_rules(dir, "blkio.throttle.write_iops_device", " 0");
	lift_rules(dir, "io.max", " rbps=max wbps=max riops=max wiops=max");
}

/* Takes over the descriptor. */
static void write_pid(int fd, pid_t pid)
{
	char digits[12];
	size_t n = sizeof(digits);

	if (fd < 0)
		return;
	for (; pid; pid /= 10)
		digits[--n] = (char)('0' + pid % 10);
	/* It has ended already, or whoever waits for it gives it up. */
	if (write(fd, digits + n, sizeof(digits) - n) < 0)
		errno = 0;
	close(fd);
}

void cgroup_take(int dir, pid_t pid)
{
	if (pid > 0)
		write_pid(openat(dir, "cgroup.procs", O_WRONLY | O_CLOEXEC),
			  pid);
}

void cgroup_free(const char *way_out, pid_t pid)
{
	if (way_out && pid > 0)
		write_pid(open(way_out, O_WRONLY | O_CLOEXEC), pid);
}
