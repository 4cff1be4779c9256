/*
 * Operations on the terminal, credentials, and the end of a plan: what turns
 * the child stage into the container's first process.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include "calls.h"
#include "forget.h"
#include "init.h"
#include "kernel.h"
#include "process.h"
#include "stage.h"
#include "vector.h"

/* makedev(5, 2), Documentation/admin-guide/devices.txt */
#define PTMX_DEV 0x502

static void run_pty(const struct op *op)
{
	const struct arg *a = op->a;
	struct winsize size = { .ws_row = (unsigned short)a[3].n,
				.ws_col = (unsigned short)a[4].n };
	int unlock = 0, master, peer;
	struct stat st;

	/* Nothing that the container has mounted over it. */
	master = open_at2(slot_fd(a[2].n), "ptmx",
			  O_RDWR | O_NOCTTY | O_NOFOLLOW, 0,
			  K_RESOLVE_BENEATH | K_RESOLVE_NO_XDEV |
				  K_RESOLVE_NO_SYMLINKS);
	check(master, "ptmx");
	check(fstat(master, &st), "ptmx");
	if (!S_ISCHR(st.st_mode) || st.st_rdev != PTMX_DEV)
		fail(ENODEV, "ptmx");
	check(ioctl(master, TIOCSPTLCK, &unlock), "TIOCSPTLCK");
	peer = ioctl(master, K_TIOCGPTPEER,
		     O_RDWR | O_NOCTTY | O_CLOEXEC);
	check(peer, "TIOCGPTPEER");
	if (size.ws_row || size.ws_col)
		check(ioctl(master, TIOCSWINSZ, &size), "TIOCSWINSZ");
	slot_set(a[0].n, master);
	slot_set(a[1].n, peer);
}

/* Behind the standard streams: what a program of the host finds by its number.
 * Whatever else has that number moves above them all. */
#define DUP_MAX 31

static int move_up(int fd)
{
	int up = fcntl(fd, F_DUPFD_CLOEXEC, DUP_MAX + 1);

	check(up, "fcntl");
	return up;
}

static void make_room(int to)
{
	for (int i = 0; i < PLAN_SLOTS; i++)
		if (child.slot[i] == to)
			child.slot[i] = move_up(to);
	if (child.channel == to)
		child.channel = move_up(to);
}

/* dup2 onto the same number keeps CLOEXEC: it is cleared by hand then. */
static void run_dup(const struct op *op)
{
	int fd = slot_fd(op->a[0].n), to = (int)narrow(op->a[1].n);

	if (to < 0 || to > DUP_MAX)
		fail(EBADF, NULL);
	if (to > 2 && fd != to)
		make_room(to);
	if (fd == to)
		check(fcntl(fd, F_SETFD, 0), "fcntl");
	else
		check(dup2(fd, to), "dup2");
}

/* The possessor's rights stay; the container's user may search and link. */
static void set_key_rights(long key)
{
	char text[512];
	uint32_t rights = 0;
	long n;
	int field = 0;

	n = syscall(SYS_keyctl, K_KEYCTL_DESCRIBE, key, text, sizeof(text));
	check(n, "KEYCTL_DESCRIBE");
	/* It says how much there is, and gives nothing of what does not fit. */
	if (n > (long)sizeof(text))
		fail(ENAMETOOLONG, "KEYCTL_DESCRIBE");
	/* "type;uid;gid;rights in hex;description" */
	for (const char *p = text; p < text + n && *p && field < 4; p++) {
		if (*p == ';')
			field++;
		else if (field == 3 && *p >= '0' && *p <= '9')
			rights = rights * 16 + (uint32_t)(*p - '0');
		else if (field == 3 && *p >= 'a' && *p <= 'f')
			rights = rights * 16 + (uint32_t)(*p - 'a' + 10);
	}
	check(syscall(SYS_keyctl, K_KEYCTL_SETPERM, key, rights | 0x080000u),
	      "KEYCTL_SETPERM");
}

static void run_keyring(const char *name)
{
	long key = syscall(SYS_keyctl, K_KEYCTL_JOIN_SESSION_KEYRING, name);

	/* A kernel without keys has none to leak. */
	if (key < 0 && errno == ENOSYS)
		return;
	check(key, name);
	set_key_rights(key);
}

static void run_cap_drop(uint64_t keep)
{
	for (unsigned long cap = 0; cap < 64; cap++) {
		if (prctl(K_PR_CAPBSET_READ, cap) < 0)
			return;
		if (!(keep >> cap & 1))
			check(prctl(K_PR_CAPBSET_DROP, cap),
			      "PR_CAPBSET_DROP");
	}
}

static void run_cap_set(const struct op *op)
{
	struct k_cap_header head = { .version = K_CAPABILITY_VERSION_3 };
	struct k_cap_data data[2];

	for (int i = 0; i < 2; i++) {
		data[i].effective = (uint32_t)(op->a[0].n >> (32 * i));
		data[i].permitted = (uint32_t)(op->a[1].n >> (32 * i));
		data[i].inheritable = (uint32_t)(op->a[2].n >> (32 * i));
	}
	check(syscall(SYS_capset, &head, data), "capset");
}

static void run_cap_ambient(uint64_t set)
{
	check(prctl(K_PR_CAP_AMBIENT, K_PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0),
	      "PR_CAP_AMBIENT_CLEAR_ALL");
	for (unsigned long cap = 0; cap < 64; cap++)
		if (set >> cap & 1)
			check(prctl(K_PR_CAP_AMBIENT, K_PR_CAP_AMBIENT_RAISE,
				    cap, 0, 0),
			      "PR_CAP_AMBIENT_RAISE");
}

/* No magic link: /proc/self/fd/N leads to what is still open of the host
 * (CVE-2024-21626), and a directory made there would stay. */
static int open_directory(int at, const char *path)
{
	return open_at2(at, path, O_PATH | O_DIRECTORY, 0,
			K_RESOLVE_NO_MAGICLINKS);
}

/* Opens a directory, making what is missing on the way. */
static int make_directories(const char *path)
{
	int at = open_directory(AT_FDCWD, "/"), next;
	char name[256];
	size_t n;

	for (; at >= 0; path += n) {
		path += strspn(path, "/");
		n = strcspn(path, "/");
		if (!n)
			break;
		if (n >= sizeof(name))
			fail(ENAMETOOLONG, path);
		memcpy(name, path, n);
		name[n] = 0;
		next = open_directory(at, name);
		if (next < 0 && errno == ENOENT) {
			if (mkdirat(at, name, 0755) < 0 && errno != EEXIST)
				fail(errno, path);
			next = open_directory(at, name);
		}
		close(at);
		at = next;
	}
	return at;
}

/* flags 1: make it; 2: another try comes later, as the container's user; 4: by
 * name, for a filter may know no newer call by then, and the first try has
 * refused magic links; 8: no rights are no error when an earlier try by name got
 * there. The kernel marks a directory outside the root as "(unreachable)". */
static void run_chdir(const char *path, int64_t flags)
{
	static char now[4096 + 64];
	static int there;
	int fd = -1;
	long r;

	/* A filter that forbids the check forbids the last try, too. */
	if (flags & 8 && there && syscall(SYS_getcwd, now, sizeof(now)) < 0)
		return;
	if (flags & 4) {
		r = chdir(path);
	} else {
		fd = open_directory(AT_FDCWD, path);
		if (fd < 0 && errno == ENOENT && flags & 1)
			fd = make_directories(path);
		r = fd < 0 ? -1 : fchdir(fd);
	}
	if (r < 0 && (errno == EACCES || errno == EPERM) &&
	    (flags & 2 || (flags & 8 && there))) {
		close(fd);
		return;
	}
	check(r, path);
	there |= (flags & 4) != 0;
	if (fd >= 0)
		close(fd);
	check(syscall(SYS_getcwd, now, sizeof(now)), "getcwd");
	if (now[0] != '/')
		fail(ENOENT, "the directory is outside the root");
}

/* Asks with the rights that execve(2) will have; access(2) asks with those of
 * the real ids, and without the capabilities of who is not root. A filter that
 * does not know the newer call leaves the older. */
static int may_execute(const char *path)
{
	long r = syscall(SYS_faccessat2, AT_FDCWD, path, X_OK, AT_EACCESS);

	if (r < 0 && (errno == ENOSYS || errno == EPERM))
		r = access(path, X_OK);
	return (int)r;
}

/* The first candidate that may be executed; of the failures the one that says
 * most: a directory, then no permission, then nothing there. */
static void run_find_exec(const struct arg *list)
{
	const char *p = list->p, *worst = NULL;
	int err = ENOENT, now;
	struct stat st;

	for (uint32_t i = 0; i < list->count; i++, p += strlen(p) + 1) {
		if (stat(p, &st) < 0)
			/* In PATH a part that is no directory is passed over. */
			now = errno == ENOTDIR && list->count > 1 ? ENOENT :
								    errno;
		else if (S_ISDIR(st.st_mode))
			now = EISDIR;
		else if (!S_ISREG(st.st_mode) || may_execute(p) < 0)
			now = EACCES;
		else {
			child.exec = p;
			return;
		}
		if (!worst || (err == ENOENT && now != ENOENT)) {
			worst = p;
			err = now;
		}
	}
	fail(err, worst);
}

_Noreturn static void end_by(int sig)
{
	_exit(128 + sig);
}

/* As pid 1 of its namespace a process gets no signal that it has no handler for:
 * one that waits for `start` ends by those that end a process anywhere else. */
static void end_by_signals(void)
{
	static const int ends[] = { SIGHUP, SIGINT, SIGQUIT, SIGTERM };
	const struct sigaction act = { .sa_handler = end_by };

	for (unsigned int i = 0; i < sizeof(ends) / sizeof(*ends); i++)
		check(sigaction(ends[i], &act, NULL), "sigaction");
}

/* From here on the fifo is the report channel: `start` reads it. It is full, so
 * that the first packet waits until `start` has taken what fills it: a write
 * takes no other descriptor, and no system call that a filter may not know. */
static void run_wait_start(const struct op *op)
{
	int fd = slot_fd(op->a[0].n);

	report(REPORT_WAITING, 0, 0, NULL, -1);
	close(child.channel);
	child.channel = fd;
	child.slot[op->a[0].n] = -1;
	if (report(REPORT_WAITING, 0, 0, NULL, -1) < 0)
		_exit(125);
	say_progress("start");
}

static void run_seccomp(const struct op *op)
{
	struct k_sock_fprog prog = {
		.len = (uint16_t)(op->a[0].len / sizeof(struct k_sock_filter)),
		.filter = (struct k_sock_filter *)(uintptr_t)op->a[0].p,
	};
	long fd;

	if (op->a[0].len > 4096 * sizeof(struct k_sock_filter))
		fail(E2BIG, NULL);
	/* Half an instruction at the end is a filter that was cut. */
	if (op->a[0].len % sizeof(struct k_sock_filter))
		fail(EINVAL, NULL);
	fd = syscall(SYS_seccomp, K_SECCOMP_SET_MODE_FILTER,
		     narrow(op->a[1].n), &prog);
	check(fd, "seccomp");
	if (op->a[2].n >= 0)
		slot_set(op->a[2].n, (int)fd);
}

/* CLOEXEC is not enough: execve through a directory's descriptor that has the
 * flag still succeeds (CVE-2024-21626's class), so they are really closed. What
 * `wait-start` needs stays until it has run. */
static void run_close_fds(const struct op *op)
{
	unsigned int first = 3 + (unsigned int)op->a[0].n;
	unsigned int at = first, stay[2] = { (unsigned int)child.channel };
	int count = 1;

	if (op->a[0].n < 0 || op->a[0].n > PRESERVED_MAX || stay[0] < first)
		fail(EBADF, NULL);
	if (op->a[1].n >= 0) {
		stay[count++] = (unsigned int)slot_fd(op->a[1].n);
		if (stay[1] < stay[0]) {
			stay[0] = stay[1];
			stay[1] = (unsigned int)child.channel;
		}
	}
	for (int i = 0; i < count; i++) {
		if (stay[i] > at)
			check(syscall(SYS_close_range, at, stay[i] - 1, 0),
			      "close_range");
		at = stay[i] + 1;
	}
	check(syscall(SYS_close_range, at, ~0u, 0), "close_range");
	for (unsigned int fd = 3; fd < first; fd++)
		check(fcntl((int)fd, F_SETFD, 0), "preserved descriptor");
	forget_done();
}

static void exec_now(const struct op *op)
{
	if (!child.exec)
		fail(EINVAL, NULL);
	report(REPORT_ABOUT_TO_EXEC, 0, 0, NULL, -1);
	exec_lists(child.exec, &op->a[0], &op->a[1]);
	fail(errno, child.exec);
}

/* The state on a hook's stdin ends in `"pid":`; the pid is only known here. */
static void write_pid(int fd, pid_t pid)
{
	char text[16];
	size_t n = sizeof(text);

	text[--n] = '}';
	for (unsigned int v = (unsigned int)pid; v; v /= 10)
		text[--n] = (char)('0' + v % 10);
	if (write(fd, text + n, sizeof(text) - n) < 0)
		_exit(125);
}

/* A hook inside the container's namespaces. stdin is a file, so that a hook
 * which does not read it blocks nobody. */
_Noreturn static void hook_main(const struct op *op)
{
	int fd = (int)syscall(SYS_memfd_create, "hook", K_MFD_NOEXEC_SEAL);
	uint32_t at = 0;
	ssize_t n;

	/* A kernel that does not know the flag wants none. */
	if (fd < 0 && errno == EINVAL)
		fd = (int)syscall(SYS_memfd_create, "hook", 0u);
	while (at < op->a[3].len) {
		n = write(fd, op->a[3].p + at, op->a[3].len - at);
		if (n <= 0)
			_exit(125);
		at += (uint32_t)n;
	}
	write_pid(fd, getppid());
	/* Its children go with it when its time is over. */
	setsid();
	if (lseek(fd, 0, SEEK_SET) < 0 || dup2(fd, 0) < 0 ||
	    (op->a[5].n >= 0 && fchdir(slot_fd(op->a[5].n)) < 0))
		_exit(125);
	syscall(SYS_close_range, 3u, ~0u, 0);
	default_signals();
	exec_lists(op->a[0].p, &op->a[1], &op->a[2]);
	_exit(errno == ENOENT ? 127 : 126);
}

/* Waits for a hook; 0 timeout: as long as it takes. */
static void run_spawn(const struct op *op)
{
	int64_t left;
	int status = 0;
	pid_t pid, got;

	if (op->a[4].n < 0 || op->a[4].n > INT32_MAX)
		fail(EINVAL, "a hook's timeout");
	check(may_execute(op->a[0].p), op->a[0].p);
	left = op->a[4].n * 10;
	pid = clone_child(0, -1, NULL);
	check(pid, "clone3");
	if (pid == 0)
		hook_main(op);
	while ((got = waitpid(pid, &status, op->a[4].n ? WNOHANG : 0)) <= 0) {
		if (got < 0 && errno != EINTR)
			fail(errno, op->a[0].p);
		if (op->a[4].n && left-- <= 0) {
			kill(-pid, SIGKILL);
			kill(pid, SIGKILL);
			waitpid(pid, &status, 0);
			fail(ETIMEDOUT, op->a[0].p);
		}
		if (op->a[4].n)
			usleep(100000);
	}
	if (WIFSIGNALED(status))
		fail_detail(ECANCELED, 128 + WTERMSIG(status), op->a[0].p);
	if (WEXITSTATUS(status))
		fail_detail(ECANCELED, WEXITSTATUS(status), op->a[0].p);
}

/* setresuid(2) takes -1 for "as it is": whoever asks for it would stay root. */
static uint32_t set_id(int64_t n)
{
	if (n < 0 || n >= (int64_t)UINT32_MAX)
		fail(EINVAL, "no id");
	return (uint32_t)n;
}

/* No list: every CPU, of which the kernel takes those of the cgroup. */
static void run_affinity(const struct arg *cpus)
{
	unsigned char every[1024]; /* as many as a kernel can have, 8192 */

	memset(every, 0xff, sizeof(every));
	check(syscall(SYS_sched_setaffinity, 0,
		      cpus->len ? (size_t)cpus->len : sizeof(every),
		      cpus->len ? (const void *)cpus->p : every),
	      NULL);
}

static int run_credential_op(const struct op *op)
{
	const struct arg *a = op->a;
	uint32_t id, size = 0;

	switch (op->code) {
	case OP_KEYRING:
		run_keyring(a[0].p);
		return 1;
	case OP_PRCTL:
		check(prctl((int)narrow(a[0].n), (unsigned long)a[1].n,
			    (unsigned long)a[2].n, (unsigned long)a[3].n,
			    (unsigned long)a[4].n),
		      NULL);
		return 1;
	case OP_CAP_DROP:
		run_cap_drop((uint64_t)a[0].n);
		return 1;
	case OP_CAP_SET:
		run_cap_set(op);
		return 1;
	case OP_CAP_AMBIENT:
		run_cap_ambient((uint64_t)a[0].n);
		return 1;
	case OP_SETGROUPS:
		check(syscall(SYS_setgroups, a[0].len / 4, a[0].p), NULL);
		return 1;
	case OP_SETGID:
		id = set_id(a[0].n);
		check(syscall(SYS_setresgid, id, id, id), NULL);
		return 1;
	case OP_SETUID:
		id = set_id(a[0].n);
		check(syscall(SYS_setresuid, id, id, id), NULL);
		return 1;
	case OP_UMASK:
		umask(narrow(a[0].n));
		return 1;
	case OP_SCHED:
		/* Its first word is its size, which the kernel believes. */
		memcpy(&size, a[0].p, a[0].len < 4 ? 0 : 4);
		if (size < 48 || size > a[0].len)
			fail(EINVAL, NULL);
		check(syscall(SYS_sched_setattr, 0, a[0].p, 0), NULL);
		return 1;
	case OP_IOPRIO:
		check(syscall(SYS_ioprio_set, 1, 0, (int)narrow(a[0].n)), NULL);
		return 1;
	case OP_PERSONALITY:
		check(syscall(SYS_personality, (unsigned long)a[0].n), NULL);
		return 1;
	case OP_MEMPOLICY:
		check(syscall(SYS_set_mempolicy, (int)narrow(a[0].n),
			      a[1].len ? a[1].p : NULL, a[1].len * 8ul + 1),
		      NULL);
		return 1;
	case OP_AFFINITY:
		run_affinity(&a[0]);
		return 1;
	case OP_CHDIR:
		run_chdir(a[0].p, a[1].n);
		return 1;
	}
	return 0;
}

static int run_final_op(const struct op *op)
{
	const struct arg *a = op->a;

	switch (op->code) {
	case OP_SPAWN:
		run_spawn(op);
		return 1;
	case OP_FIND_EXEC:
		run_find_exec(&a[0]);
		return 1;
	case OP_WAIT_START:
		run_wait_start(op);
		return 1;
	case OP_SECCOMP:
		run_seccomp(op);
		return 1;
	case OP_CLOSE_FDS:
		run_close_fds(op);
		return 1;
	case OP_SIGNALS:
		if (a[0].n)
			end_by_signals();
		else
			default_signals();
		return 1;
	case OP_INIT:
		run_init(a[0].n != 0);
		return 1;
	case OP_EXEC:
		exec_now(op);
		return 1;
	}
	return 0;
}

int run_process_op(const struct op *op)
{
	const struct arg *a = op->a;

	switch (op->code) {
	case OP_PTY:
		run_pty(op);
		return 1;
	case OP_SETSID:
		check(setsid(), NULL);
		return 1;
	case OP_CTTY:
		check(ioctl(slot_fd(a[0].n), TIOCSCTTY, 0), NULL);
		return 1;
	case OP_DUP:
		run_dup(op);
		return 1;
	}
	return run_credential_op(op) || run_final_op(op);
}
