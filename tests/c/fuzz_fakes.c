/*
 * The made-up kernel, part two: files, processes, terminals, signals.
 */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>

#include "../../c/calls.h"
#include "../../c/kernel.h"
#include "fuzz_kernel.h"

static char variable[] = "TERM=x";
static char *variables[] = { variable, NULL };
char **fake_environ = variables;

const struct op *running(void)
{
	return fuzz.mode == FUZZ_CHILD && child.index < fuzz.count ?
		       &fuzz.ops[child.index] :
		       NULL;
}

/* Ids are 32 bits and a plan's numbers 64: a wrong one must not become root,
 * and "unchanged" is no user. */
void check_id(uint32_t id)
{
	const struct op *op = running();

	if (id == UINT32_MAX)
		fuzz_bad("an id of -1 leaves the process what it is");
	if (op && (op->code == OP_SETUID || op->code == OP_SETGID) &&
	    op->a[0].n != (int64_t)id)
		fuzz_bad("an id was cut to 32 bits");
}

_Noreturn void fake__exit(int status)
{
	fuzz.status = status;
	fuzz_stop(FUZZ_EXIT);
}

static int on_path(const char *path)
{
	take_text(path);
	return simple();
}

int fake_access(const char *path, int mode)
{
	return on_path(path);
}

int fake_chdir(const char *path)
{
	return on_path(path);
}

int fake_chroot(const char *path)
{
	return on_path(path);
}

int fake_clock_gettime(clockid_t clock, struct timespec *now)
{
	static int64_t ms;

	ms += fuzz_below(64) ? fuzz_below(20) : fuzz_below(40000);
	now->tv_sec = ms / 1000;
	now->tv_nsec = ms % 1000 * 1000000;
	return 0;
}

int fake_close(int fd)
{
	return simple();
}

int fake_dup2(int from, int to)
{
	const struct op *op = running();

	if (op && op->code == OP_DUP && op->a[1].n != to)
		fuzz_bad("a descriptor was cut to 32 bits");
	return fails() ? -1 : to;
}

int fake_execve(const char *path, char *const argv[], char *const env[])
{
	take_text(path);
	for (; *argv; argv++)
		take_text(*argv);
	for (; *env; env++)
		take_text(*env);
	if (!fails() && fuzz_below(4))
		fuzz_stop(FUZZ_EXEC);
	errno = ENOEXEC;
	return -1;
}

int fake_fchdir(int fd)
{
	return simple();
}

int fake_fchmod(int fd, mode_t mode)
{
	return simple();
}

int fake_fchmodat(int at, const char *path, mode_t mode, int flags)
{
	return on_path(path);
}

int fake_fchown(int fd, uid_t uid, gid_t gid)
{
	return simple();
}

/* The plan may say -1 here: leave that id as it is. */
int fake_fchownat(int at, const char *path, uid_t uid, gid_t gid, int flags)
{
	const struct op *op = running();
	int i = op && op->code == OP_CHOWN ? 1 : 4;

	if (op && (op->code == OP_CHOWN || op->code == OP_MKNOD) &&
	    ((op->a[i].n != (int64_t)uid && op->a[i].n != (int32_t)uid) ||
	     (op->a[i + 1].n != (int64_t)gid &&
	      op->a[i + 1].n != (int32_t)gid)))
		fuzz_bad("an owner was cut to 32 bits");
	return on_path(path);
}

int fake_fcntl(int fd, int command, ...)
{
	if (fails())
		return -1;
	if (command == F_GET_SEALS)
		return F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
	return command == F_DUPFD_CLOEXEC ? new_fd() : 0;
}

ssize_t fake_fgetxattr(int fd, const char *name, void *to, size_t size)
{
	size_t n = fuzz_below(16) ? fuzz_below(100) : size;

	take_text(name);
	if (fails())
		return -1;
	memset(to, 'v', n);
	return (ssize_t)n;
}

ssize_t fake_flistxattr(int fd, char *to, size_t size)
{
	size_t n = fuzz_below(16) ? fuzz_below(40) : size;

	if (fails())
		return -1;
	for (size_t i = 0; i < n; i++)
		to[i] = "user.a\0"[i % 7];
	if (n)
		to[n - 1] = 0;
	return (ssize_t)n;
}

int fake_fsetxattr(int fd, const char *name, const void *p, size_t size,
		   int flags)
{
	take_text(name);
	take(p, size);
	return simple();
}

pid_t fake_fork(void)
{
	if (fails())
		return -1;
	return fuzz_below(2) ? 0 : 2 + (pid_t)fuzz_below(100000);
}

/* What the operation hopes for, or anything else. */
static int fill_stat(struct stat *st)
{
	static const mode_t types[] = { S_IFREG, S_IFDIR, S_IFLNK, S_IFCHR,
					S_IFBLK, S_IFIFO, S_IFSOCK };
	const struct op *op = running();

	if (fails())
		return -1;
	memset(st, 0, sizeof(*st));
	st->st_mode = types[fuzz_below(fuzz_below(2) ? 7 : 2)] |
		      (fuzz_below(4) ? 0755 : 0700);
	st->st_ino = fuzz_below(2);
	st->st_size = (off_t)fuzz.plan_size;
	st->st_rdev = fuzz_below(2) ? makedev(1, 3) : 0;
	if (!op || !fuzz_below(op->code == OP_TARGET ? 400 : 4))
		return 0;
	if (op->code == OP_SAME) {
		st->st_dev = (dev_t)op->a[1].n;
		st->st_ino = (ino_t)op->a[2].n;
	}
	if (op->code == OP_VERIFY) {
		st->st_mode = (mode_t)op->a[1].n;
		st->st_rdev = (dev_t)op->a[2].n;
	} else if (op->code == OP_MKDIR_OWN) {
		st->st_mode = S_IFDIR | 0700;
	} else if (op->code == OP_MKNOD) {
		st->st_mode = (mode_t)op->a[2].n;
		st->st_rdev = (dev_t)op->a[3].n;
	} else if (op->code == OP_TARGET) {
		st->st_mode = op->a[3].n == 2 ? S_IFREG : S_IFDIR;
		/* A link now and then: a long way is walked to its end. */
		if (!fuzz_below(fuzz.missing_rate ? fuzz.missing_rate : 40))
			st->st_mode = S_IFLNK;
	} else if (op->code == OP_PTY) {
		st->st_mode = S_IFCHR;
		st->st_rdev = makedev(5, 2);
	} else if (op->code == OP_FIND_EXEC) {
		st->st_mode = S_IFREG | 0755;
	} else if (op->code == OP_PIVOT) {
		st->st_ino = 1;
	}
	return 0;
}

int fake_fstat(int fd, struct stat *st)
{
	return fill_stat(st);
}

int fake_fstatat(int at, const char *path, struct stat *st, int flags)
{
	take_text(path);
	return fill_stat(st);
}

int fake_stat(const char *path, struct stat *st)
{
	take_text(path);
	return fill_stat(st);
}

int fake_fstatfs(int fd, struct statfs *fs)
{
	const struct op *op = running();

	if (fails())
		return -1;
	memset(fs, 0, sizeof(*fs));
	if (op && op->code == OP_VERIFY && fuzz_below(4))
		fs->f_type = (__fsword_t)op->a[3].n;
	return 0;
}

uid_t fake_geteuid(void)
{
	return fuzz_below(2) * 1000;
}

pid_t fake_getpgid(pid_t pid)
{
	return fails() ? -1 : (pid_t)fuzz_below(3);
}

pid_t fake_getpgrp(void)
{
	return (pid_t)fuzz_below(3);
}

pid_t fake_getpid(void)
{
	return 1;
}

pid_t fake_getppid(void)
{
	return (pid_t)fuzz_below(2) * INT32_MAX;
}

unsigned int fake_if_nametoindex(const char *name)
{
	take_text(name);
	return fails() ? 0 : 1 + fuzz_below(9);
}

int fake_ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *p;

	va_start(ap, request);
	p = va_arg(ap, void *);
	va_end(ap);
	if (fails())
		return -1;
	if (request == K_TIOCGPTPEER)
		return new_fd();
	if (request == TIOCSWINSZ)
		take(p, sizeof(struct winsize));
	if (request == TIOCGWINSZ)
		memset(p, 1, sizeof(struct winsize));
	if (request == SIOCGIFFLAGS || request == SIOCSIFFLAGS) {
		take(p, sizeof(struct ifreq));
		if (!memchr(p, 0, IFNAMSIZ))
			fuzz_bad("a device's name without its NUL");
	}
	if (request == FIONREAD)
		*(int *)p = (int)fuzz_below(70000);
	if (request == TIOCSPTLCK)
		take(p, sizeof(int));
	return 0;
}

int fake_kill(pid_t pid, int sig)
{
	const struct op *op = running();

	/* A hook goes with its session, the command's group has the terminal's
	 * signals; -1 is everybody, 0 those around us. */
	if (pid <= 0 && !(pid < -1 && (!op || op->code == OP_SPAWN ||
				       op->code == OP_INIT)))
		fuzz_bad("kill: a process group, or every process");
	if (sig < 1 || sig > 64)
		fuzz_bad("kill: no signal");
	return simple();
}

ssize_t fake_pread(int fd, void *to, size_t size, off_t at)
{
	(void)at;
	return fake_read(fd, to, size);
}

off_t fake_lseek(int fd, off_t offset, int whence)
{
	return fails() ? -1 : offset;
}

int fake_mkdir(const char *path, mode_t mode)
{
	return on_path(path);
}

int fake_mkdirat(int at, const char *path, mode_t mode)
{
	return on_path(path);
}

int fake_mknodat(int at, const char *path, mode_t mode, dev_t dev)
{
	return on_path(path);
}

int fake_mount(const char *source, const char *target, const char *type,
	       unsigned long flags, const void *data)
{
	if (source || type || data)
		fuzz_bad("mount: only propagation is changed by name");
	return on_path(target);
}

static int opened(const char *path)
{
	take_text(path);
	return new_fd();
}

int fake_open(const char *path, int flags, ...)
{
	return opened(path);
}

int fake_openat(int at, const char *path, int flags, ...)
{
	return opened(path);
}

int fake_pipe2(int fds[2], int flags)
{
	if (fails())
		return -1;
	fds[0] = new_fd();
	fds[1] = new_fd();
	return 0;
}

/* The plan's own prctl may have any numbers: the kernel would look at them. */
int fake_prctl(int option, ...)
{
	const struct op *op = running();
	va_list ap;

	if (option == PR_SET_NAME && (!op || op->code != OP_PRCTL)) {
		va_start(ap, option);
		take_text(va_arg(ap, char *));
		va_end(ap);
	}
	return simple();
}

int fake_rmdir(const char *path)
{
	return on_path(path);
}

int fake_shutdown(int fd, int how)
{
	return simple();
}

int fake_renameat(int from_at, const char *from, int to_at, const char *to)
{
	take_text(from);
	return on_path(to);
}

ssize_t fake_sendfile(int out, int in, off_t *offset, size_t size)
{
	return fails() ? -1 : fuzz_below(2) * (ssize_t)fuzz_below((uint32_t)size);
}

static int on_name(const char *name, size_t size)
{
	take(name, size);
	return simple();
}

int fake_setdomainname(const char *name, size_t size)
{
	return on_name(name, size);
}

int fake_sethostname(const char *name, size_t size)
{
	return on_name(name, size);
}

int fake_setns(int fd, int type)
{
	return simple();
}

int fake_setpgid(pid_t pid, pid_t group)
{
	return simple();
}

pid_t fake_setsid(void)
{
	return simple();
}

int fake_sigaction(int sig, const struct sigaction *now, struct sigaction *old)
{
	if (now)
		take(now, sizeof(*now));
	if (!old)
		return simple();
	memset(old, 0, sizeof(*old));
	if (fuzz_below(2))
		old->sa_handler = SIG_IGN;
	return simple();
}

void (*fake_signal(int sig, void (*handler)(int)))(int)
{
	return SIG_DFL;
}

int fake_sigprocmask(int how, const sigset_t *set, sigset_t *old)
{
	take(set, sizeof(*set));
	return simple();
}

int fake_sigwaitinfo(const sigset_t *set, siginfo_t *info)
{
	take(set, sizeof(*set));
	memset(info, 0, sizeof(*info));
	if (fails())
		return -1;
	info->si_code = fuzz_below(2) ? SIGNAL_TO_GROUP : SI_QUEUE;
	return fuzz_below(2) ? SIGCHLD : 1 + (int)fuzz_below(64);
}

int fake_socket(int family, int type, int protocol)
{
	return new_fd();
}

int fake_socketpair(int family, int type, int protocol, int fds[2])
{
	return fake_pipe2(fds, type);
}

int fake_symlinkat(const char *target, int at, const char *path)
{
	take_text(target);
	return on_path(path);
}

int fake_isatty(int fd)
{
	return fd == 2 && fuzz_below(2);
}

int fake_tcgetattr(int fd, struct termios *t)
{
	memset(t, 0, sizeof(*t));
	t->c_lflag = fuzz_below(4) ? ICANON | ISIG : 0;
	t->c_cc[VINTR] = 3;
	return simple();
}

pid_t fake_tcgetpgrp(int fd)
{
	return fails() ? -1 : (pid_t)fuzz_below(3);
}

int fake_tcsetattr(int fd, int how, const struct termios *t)
{
	take(t, sizeof(*t));
	return simple();
}

int fake_tcsetpgrp(int fd, pid_t group)
{
	return simple();
}

mode_t fake_umask(mode_t mask)
{
	return mask & 0777;
}

int fake_umount2(const char *path, int flags)
{
	return on_path(path);
}

/* Not every name is that of an empty directory, or of a file. */
int fake_unlinkat(int at, const char *path, int flags)
{
	static const int directory[] = { ENOTEMPTY, EBUSY, ENOTDIR, ENOENT };
	static const int file[] = { EISDIR, EISDIR, EACCES, ENOENT };

	if (on_path(path) < 0)
		return -1;
	if (fuzz_below(2))
		return 0;
	errno = (flags & AT_REMOVEDIR ? directory : file)[fuzz_below(4)];
	return -1;
}

int fake_unshare(int flags)
{
	return simple();
}

int fake_usleep(unsigned int microseconds)
{
	return simple();
}

int fake_utimensat(int at, const char *path, const struct timespec times[2],
		   int flags)
{
	take(times, 2 * sizeof(*times));
	return on_path(path);
}
