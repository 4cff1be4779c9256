/*
 * Operations on namespaces: made, joined, named, and the devices of a network
 * namespace.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "calls.h"
#include "namespaces.h"
#include "proc.h"
#include "stage.h"

static void run_link_up(const char *name)
{
	struct ifreq req = { 0 };
	int fd;

	if (strlen(name) >= sizeof(req.ifr_name))
		fail(ENAMETOOLONG, name);
	memcpy(req.ifr_name, name, strlen(name));
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	check(fd, "socket");
	check(ioctl(fd, SIOCGIFFLAGS, &req), name);
	req.ifr_flags |= IFF_UP;
	check(ioctl(fd, SIOCSIFFLAGS, &req), name);
	close(fd);
}

/* Sends one rtnetlink message about a device of this namespace. The host does
 * not know the device's index here: it goes where struct ifinfomsg and struct
 * ifaddrmsg both have it. */
static void run_netlink(const struct op *op)
{
	static unsigned char message[4096];
	const size_t index_at = 20, size = op->a[1].len;
	unsigned int index = if_nametoindex(op->a[0].p);
	int32_t answer[64] = { 0 };
	ssize_t n;
	int fd;

	if (!index)
		fail(errno, op->a[0].p);
	if (size < index_at + sizeof(index) || size > sizeof(message))
		fail(EINVAL, op->a[0].p);
	memcpy(message, op->a[1].p, size);
	memcpy(message + index_at, &index, sizeof(index));
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, 0);
	check(fd, "socket");
	check(send(fd, message, size, 0), op->a[0].p);
	n = recv(fd, answer, sizeof(answer), 0);
	check(n, op->a[0].p);
	/* NLMSG_ERROR: the head's 16 bytes, then -errno; 0 is the ack. */
	if (n >= 20 && (answer[1] & 0xffff) == 2 && answer[4])
		fail(-answer[4], op->a[0].p);
	close(fd);
}

static void write_map(pid_t pid, const char *tail, const struct arg *map)
{
	char path[32];
	int fd = open(proc_path(path, pid, tail), O_WRONLY | O_CLOEXEC);

	check(fd, path);
	check(write(fd, map->p, map->len), path);
	close(fd);
}

/* A user namespace that exists only for its id maps (idmapped mounts): a
 * process is made in it, and goes as soon as its namespace is held. */
static void run_userns(const struct op *op)
{
	char path[32], byte;
	int hold[2], fd;
	pid_t pid;

	check(pipe2(hold, O_CLOEXEC), "pipe2");
	pid = clone_child(CLONE_NEWUSER, -1, NULL);
	check(pid, "clone3");
	if (pid == 0) {
		close(hold[1]);
		_exit(read(hold[0], &byte, 1) != 0);
	}
	write_map(pid, "/uid_map", &op->a[1]);
	write_map(pid, "/gid_map", &op->a[2]);
	fd = open(proc_path(path, pid, "/ns/user"), O_RDONLY | O_CLOEXEC);
	check(fd, path);
	close(hold[0]);
	close(hold[1]);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	slot_set(op->a[0].n, fd);
}

int run_namespace_op(const struct op *op)
{
	const struct arg *a = op->a;

	switch (op->code) {
	case OP_UNSHARE:
		check(unshare((int)narrow(a[0].n)), NULL);
		return 1;
	case OP_SETNS:
		check(setns(slot_fd(a[0].n), (int)narrow(a[1].n)), NULL);
		return 1;
	case OP_USERNS:
		run_userns(op);
		return 1;
	case OP_HOSTNAME:
		check(sethostname(a[0].p, a[0].len), NULL);
		return 1;
	case OP_DOMAINNAME:
		check(setdomainname(a[0].p, a[0].len), NULL);
		return 1;
	case OP_LINK_UP:
		run_link_up(a[0].p);
		return 1;
	case OP_NETLINK:
		run_netlink(op);
		return 1;
	}
	return 0;
}
