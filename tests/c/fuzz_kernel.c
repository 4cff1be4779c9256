/*
 * The made-up kernel, part one: syscall(2) and whatever gives or takes bytes.
 * The helper's objects are linked with every system function renamed to
 * fake_NAME: there is no way past these. What goes in is read to its last byte
 * as the kernel would, so that the sanitizer sees a wrong length; what comes
 * out is what a kernel may say, chosen by the execution's seed.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>

#include "../../c/kernel.h"
#include "fuzz_kernel.h"

/* The one signalfd; new_fd gives others. */
#define SIGNALS 1999

volatile unsigned char fuzz_sink;

/* The argument of the running operation that a pointer is in, or what is left
 * of the plan behind it. */
static size_t plan_room(const unsigned char *p)
{
	const struct op *op = &fuzz.ops[child.index];
	const unsigned char *from;

	if (fuzz.mode == FUZZ_CHILD && child.index < fuzz.count)
		for (int i = 0; i < PLAN_ARGS; i++) {
			from = (const unsigned char *)op->a[i].p;
			if (from && p >= from && p <= from + op->a[i].len)
				return ((op->a[i].len + 8ul) & ~7ul) -
				       (size_t)(p - from);
		}
	return (size_t)(fuzz.plan + fuzz.plan_size - p);
}

void take(const void *p, size_t n)
{
	const unsigned char *b = p;

	if (b >= fuzz.plan && b < fuzz.plan + fuzz.plan_size &&
	    n > plan_room(b))
		fuzz_bad("a system call reads beyond its argument");
	for (size_t i = 0; i < n; i++)
		fuzz_sink ^= b[i];
}

void take_text(const char *s)
{
	take(s, strlen(s) + 1);
}

int fails(void)
{
	static const int errors[] = {
		EPERM, ENOENT, EINTR,	 EIO,	  EAGAIN, EACCES,  EBUSY,
		EEXIST, EXDEV, ENOTDIR,	 EISDIR,  EINVAL, ENOSYS,  ELOOP,
		EMFILE, EROFS, ENOTEMPTY, ENOTSUP, ECHILD, ETXTBSY, ERANGE,
		ENOENT, EEXIST, EBUSY,
	};

	if (++fuzz.calls > FUZZ_CALLS)
		fuzz_stop(FUZZ_BUDGET);
	if (!fuzz.error_rate || fuzz_below(fuzz.error_rate))
		return 0;
	errno = errors[fuzz_below(sizeof(errors) / sizeof(errors[0]))];
	return 1;
}

int simple(void)
{
	return fails() ? -1 : 0;
}

int new_fd(void)
{
	return fails() ? -1 : (int)(2000 + fuzz_below(3000));
}

/* Bytes of a text file: numbers, key-value lines, signal masks. */
static size_t fill_text(char *to, size_t size)
{
	static const char *const texts[] = {
		"1\n2\n300\n99999999999\n", "FROZEN\n", "THAWED\n",
		"oom_kill 3\nlow 0\n", "low 0\noom_kill 1\n", "oom_kill 0",
		"e proc: Unknown parameter 'x'\nmore\n", "g", "\n",
		"Name:\tx\nSigBlk:\t0000000000000000\nSigIgn:\tffffffffffffffff\n"
		"SigCgt:\t0000000180004003\n",
		"42 (a) b (c) S 1 42 42 0 -1 4194560 9 9 9 9 9 9 9 9 20 0 1 0 "
		"123456 2 3\n",
		"42 (x) S 1 2 3",
	};
	const char *text = texts[fuzz_below(12)];
	size_t n = strlen(text);

	if (fuzz_below(4)) {
		n = n < size ? n : size;
		memcpy(to, text, n);
		return n;
	}
	n = fuzz_below(3) ? fuzz_below((uint32_t)size + 1) : size;
	for (size_t i = 0; i < n; i++)
		to[i] = (char)fuzz_random();
	return n;
}

ssize_t fake_read(int fd, void *to, size_t size)
{
	struct signalfd_siginfo *info = to;
	size_t n = 0;

	memset(to, 0xa5, size);
	if (fails())
		return -1;
	if (fd != SIGNALS)
		return fuzz_below(3) ? (ssize_t)fill_text(to, size) : 0;
	memset(to, 0, size);
	for (; n < size / sizeof(*info) && fuzz_below(3); n++) {
		info[n].ssi_signo = 1 + fuzz_below(64);
		if (fuzz_below(2))
			info[n].ssi_signo = "\1\2\3\15\17\21\21\34\22"[fuzz_below(9)];
		info[n].ssi_code = (int)fuzz_below(4) - 2;
		if (!fuzz_below(4))
			info[n].ssi_code = SI_KERNEL;
		info[n].ssi_pid = fuzz_below(3);
	}
	if (!n)
		errno = EAGAIN;
	return n ? (ssize_t)(n * sizeof(*info)) : -1;
}

/* A report's text ends in a NUL, whatever the operation put there. */
static void check_report(const struct report *packet)
{
	if (packet->text[REPORT_TEXT - 1])
		fuzz_bad("a report's text has no end");
	if (packet->kind < REPORT_ERROR || packet->kind > REPORT_SPLIT)
		fuzz_bad("a report has no kind");
	if (fuzz.count && packet->index >= fuzz.count)
		fuzz_bad("a report's index is beyond the plan");
}

ssize_t fake_write(int fd, const void *p, size_t size)
{
	take(p, size);
	if (fuzz.mode == FUZZ_CHILD && fd == child.channel &&
	    size == sizeof(struct report))
		check_report(p);
	if (fails())
		return -1;
	return fuzz.error_rate && size && !fuzz_below(16) ?
		       (ssize_t)fuzz_below((uint32_t)size) :
		       (ssize_t)size;
}

ssize_t fake_send(int fd, const void *p, size_t size, int flags)
{
	return fake_write(fd, p, size);
}

/* A pid, mostly. */
static int32_t report_detail(void)
{
	return fuzz_below(8) ? 1 + (int32_t)fuzz_below(5) :
			       (int32_t)fuzz_random();
}

ssize_t fake_recv(int fd, void *to, size_t size, int flags)
{
	struct report *packet = to;
	int32_t *words = to;

	memset(to, 0xa5, size);
	if (fails())
		return -1;
	if (size == 16) {
		memcpy(to, "CCNCNCCCCCCCCCCC", 16);
		if (!fuzz_below(3))
			*(char *)to = 'D';
		return fuzz_below(8);
	}
	if (size == 256) {
		memset(to, 0, size);
		words[1] = fuzz_below(8) ? 2 : (int32_t)fuzz_random();
		words[4] = fuzz_below(2) ? 0 : -(int32_t)fuzz_below(134);
		return fuzz_below(4) ? 36 : fuzz_below(257);
	}
	if (size == sizeof(*packet) && fuzz_below(3)) {
		packet->kind = fuzz_below(8);
		packet->detail = report_detail();
		packet->index = fuzz_below(100);
		packet->err = (int32_t)fuzz_below(134);
		return fuzz_below(16) ? (ssize_t)size : fuzz_below(272);
	}
	errno = EAGAIN;
	return fuzz_below(2) ? -1 : 0;
}

ssize_t fake_sendmsg(int fd, const struct msghdr *msg, int flags)
{
	size_t n = 0;

	for (size_t i = 0; i < msg->msg_iovlen; i++) {
		take(msg->msg_iov[i].iov_base, msg->msg_iov[i].iov_len);
		n += msg->msg_iov[i].iov_len;
	}
	take(msg->msg_control, msg->msg_controllen);
	if (n == sizeof(struct report))
		check_report(msg->msg_iov[0].iov_base);
	return fails() ? -1 : (ssize_t)n;
}

ssize_t fake_recvmsg(int fd, struct msghdr *msg, int flags)
{
	struct cmsghdr *head = msg->msg_control;
	const uint32_t fds = fuzz_below(3);
	int fd_now = 77;

	memset(msg->msg_iov->iov_base, 0, msg->msg_iov->iov_len);
	if (fails())
		return -1;
	if (!fuzz_below(4) || !fds) {
		msg->msg_controllen = 0;
		return fds ? 0 : (ssize_t)msg->msg_iov->iov_len;
	}
	head->cmsg_level = SOL_SOCKET;
	head->cmsg_type = SCM_RIGHTS;
	head->cmsg_len = CMSG_LEN(fds * sizeof(int));
	for (uint32_t i = 0; i < fds; i++, fd_now++)
		memcpy(CMSG_DATA(head) + i * sizeof(int), &fd_now, sizeof(int));
	msg->msg_controllen = CMSG_SPACE(fds * sizeof(int));
	return (ssize_t)msg->msg_iov->iov_len;
}

int fake_poll(struct pollfd *p, nfds_t n, int timeout)
{
	int ready = 0;

	for (nfds_t i = 0; i < n; i++)
		p[i].revents = 0;
	if (fails())
		return -1;
	for (nfds_t i = 0; i < n; i++)
		if (p[i].fd >= 0 && fuzz_below(2)) {
			p[i].revents = (short)fuzz_below(32);
			ready += p[i].revents != 0;
		}
	return ready;
}

void *fake_mmap(void *at, size_t size, int prot, int flags, int fd, off_t off)
{
	if (fd < 0) {
		if (fuzz.rest)
			fuzz_bad("mmap: memory of its own a second time");
		if (!size || size > fuzz.plan_size)
			fuzz_bad("mmap: more than the plan is long");
		if (fails())
			return MAP_FAILED;
		fuzz.rest_size = size;
		fuzz.rest = calloc(1, size);
		if (!fuzz.rest)
			exit(2);
		return fuzz.rest;
	}
	if (size != fuzz.plan_size)
		fuzz_bad("mmap: another size than the file's");
	if (fails())
		return MAP_FAILED;
	fuzz.maps++;
	return fuzz.plan;
}

int fake_munmap(void *p, size_t size)
{
	if (p == fuzz.rest && size == fuzz.rest_size) {
		free(fuzz.rest);
		fuzz.rest = NULL;
		return 0;
	}
	if (p != fuzz.plan || size != fuzz.plan_size)
		fuzz_bad("munmap: not the plan");
	return 0;
}

/* getdents64(2): whole records, "." and ".." among them. */
static long fill_dents(unsigned char *to, size_t size)
{
	static const char *const names[] = { ".", "..", "a", "work", "x y",
					     "cgroup.procs", ".rustyrun-0" };
	struct k_dirent64 *e;
	char name[256];
	size_t at = 0, len, need;

	while (fuzz_below(4)) {
		len = strlen(strcpy(name, names[fuzz_below(7)]));
		if (!fuzz_below(16)) {
			len = 255;
			memset(name, 'n', len);
			name[len] = 0;
		}
		need = (offsetof(struct k_dirent64, d_name) + len + 8) & ~7ul;
		if (need > size - at)
			break;
		e = (void *)(to + at);
		e->d_ino = 1;
		e->d_off = (int64_t)at + 1;
		e->d_reclen = (uint16_t)need;
		e->d_type = (uint8_t)(fuzz_below(2) ? K_DT_DIR : 8);
		memcpy((char *)e + offsetof(struct k_dirent64, d_name), name,
		       len + 1);
		at += need;
	}
	return fuzz_below(3) ? (long)at : 0;
}

static long fill_link(char *to, size_t size)
{
	const struct op *op = running();
	const char *text = fuzz_below(2) ? "../a//b/./.." : "/etc/x";
	size_t n = strlen(text);

	memset(to, 0xa5, size);
	if (op && op->code == OP_SYMLINK && fuzz_below(2)) {
		text = op->a[2].p;
		n = op->a[2].len;
	}
	if (fuzz_below(4)) {
		n = n < size ? n : size;
		memcpy(to, text, n);
		return (long)n;
	}
	n = fuzz_below(2) ? size - fuzz_below(4) : fuzz_below((uint32_t)size);
	if (fuzz_below(2)) {
		for (size_t i = 0; i < n; i++)
			to[i] = "ab/"[i % 3];
		return (long)n;
	}
	for (size_t i = 0; i < n; i++)
		to[i] = "ab/."[fuzz_below(4)];
	return (long)n;
}

ssize_t fake_readlinkat(int at, const char *path, char *to, size_t size)
{
	take_text(path);
	return fails() ? -1 : fill_link(to, size);
}

static long key_call(long what, va_list ap)
{
	static const char text[] = "keyring;0;0;3f1b0000;_ses.box";
	long key = va_arg(ap, long), need = (long)sizeof(text);
	char *to;
	size_t size;

	if (what == K_KEYCTL_JOIN_SESSION_KEYRING) {
		take_text((const char *)key);
		return 1 + fuzz_below(9);
	}
	if (what != K_KEYCTL_DESCRIBE)
		return 0;
	to = va_arg(ap, char *);
	size = va_arg(ap, size_t);
	memset(to, 'f', size);
	if (!fuzz_below(4))
		need = fuzz_below(5000);
	/* Nothing is written when it does not all fit, keyctl_describe(3). */
	if ((size_t)need <= size) {
		memset(to, ';', (size_t)need);
		memcpy(to, text,
		       (size_t)need < sizeof(text) ? (size_t)need : sizeof(text));
	}
	return need;
}

static long clone_call(struct k_clone_args *args)
{
	const int pidfd = 66;

	take(args, sizeof(*args));
	if (args->flags & K_CLONE_PIDFD)
		memcpy((void *)(uintptr_t)args->pidfd, &pidfd, sizeof(pidfd));
	return fuzz_below(2) ? 0 : 2 + (long)fuzz_below(100000);
}

/* sched_setattr(2) reads as much as the first word says; 0: 48 bytes. */
static void take_sched(const uint32_t *attr)
{
	take(attr, sizeof(*attr));
	if (!*attr || (*attr >= 48 && *attr <= 4096))
		take(attr, *attr ? *attr : 48);
}

static long keyed(long number, va_list ap)
{
	long a = va_arg(ap, long), b;
	const void *p;

	switch (number) {
	case SYS_keyctl:
		return key_call(a, ap);
	case SYS_clone3:
		return clone_call((void *)a);
	case SYS_pidfd_open:
		return new_fd();
	case SYS_signalfd4:
		return SIGNALS;
	case SYS_faccessat2:
		take_text(va_arg(ap, const char *));
		if (fuzz_below(2) == 0)
			return 0;
		errno = fuzz_below(2) ? EPERM : EACCES;
		return -1;
	case SYS_memfd_create:
		take_text((const char *)a);
		return new_fd();
	case SYS_setresuid:
	case SYS_setresgid:
		b = va_arg(ap, long);
		if (a != b || a != va_arg(ap, long))
			fuzz_bad("three ids that differ");
		check_id((uint32_t)a);
		return 0;
	case SYS_getcwd:
		b = va_arg(ap, long);
		memset((char *)a, 'x', (size_t)b);
		memcpy((char *)a, fuzz_below(8) ? "/" : "(", 2);
		return 2;
	case SYS_capset:
		take((void *)a, sizeof(struct k_cap_header));
		take(va_arg(ap, void *), 2 * sizeof(struct k_cap_data));
		return 0;
	case SYS_setgroups:
		take(va_arg(ap, void *), (size_t)a * 4);
		return 0;
	case SYS_sched_setscheduler:
		b = va_arg(ap, long);
		take(va_arg(ap, void *), sizeof(int));
		return b;
	case SYS_sched_setattr:
		take_sched(va_arg(ap, void *));
		return 0;
	case SYS_sched_setaffinity:
		b = va_arg(ap, long);
		take(va_arg(ap, void *), (size_t)b);
		return 0;
	case SYS_set_mempolicy:
		p = va_arg(ap, void *);
		b = va_arg(ap, long);
		if (p)
			take(p, (size_t)(b - 1 + 63) / 64 * 8);
		return 0;
	case SYS_rt_sigprocmask:
		p = va_arg(ap, void *);
		take(p, 8);
		if ((p = va_arg(ap, void *)))
			memset((void *)(uintptr_t)p, 0, 8);
		return 0;
	case SYS_rt_sigaction:
		take(va_arg(ap, void *), 32);
		return 0;
	case SYS_setitimer:
		take(va_arg(ap, void *), sizeof(struct itimerval));
		if ((p = va_arg(ap, void *))) {
			memset((void *)(uintptr_t)p, 0,
			       sizeof(struct itimerval));
			((struct itimerval *)(uintptr_t)p)->it_value.tv_sec =
				fuzz_below(2);
		}
		return 0;
	case SYS_rt_sigqueueinfo:
		(void)va_arg(ap, int);
		take(va_arg(ap, void *), sizeof(siginfo_t));
		return 0;
	case SYS_seccomp: {
		unsigned int flags = va_arg(ap, unsigned int);
		const struct k_sock_fprog *prog = va_arg(ap, void *);

		take(prog->filter, prog->len * sizeof(*prog->filter));
		return flags & 8 ? new_fd() : 0;
	}
	case SYS_close_range:
		if ((unsigned int)a > va_arg(ap, unsigned int))
			fuzz_bad("close_range: the first is above the last");
		return 0;
	case SYS_ioctl:
		if (va_arg(ap, long) == (long)K_TIOCSIG)
			return 0;
		memset(va_arg(ap, void *), 0, sizeof(int));
		return 0;
	case SYS_ioprio_set:
	case SYS_personality:
	case SYS_pidfd_send_signal:
		return 0;
	}
	return path_call(number, a, ap);
}

/* What is not there is found out by openat2(2): an operation's first path
 * often, so that it makes what it needs, and those after it now and then. */
static bool is_missing(void)
{
	const bool first = fuzz.opened != child.index + 1;

	fuzz.opened = child.index + 1;
	if (fuzz_below(first ? 3 : fuzz.missing_rate) ||
	    (!first && !fuzz.missing_rate))
		return false;
	errno = fuzz_below(8) ? ENOENT : EAGAIN;
	return true;
}

/* The calls of the mount API, and those with a directory and a name. */
long path_call(long number, long a, va_list ap)
{
	const char *s;
	unsigned int command;

	switch (number) {
	case SYS_openat2:
		take_text(va_arg(ap, char *));
		take(va_arg(ap, void *), sizeof(struct k_open_how));
		return is_missing() ? -1 : new_fd();
	case SYS_open_tree:
	case SYS_fspick:
		take_text(va_arg(ap, char *));
		return new_fd();
	case SYS_fsmount:
		return new_fd();
	case SYS_fsopen:
	case SYS_pivot_root:
		take_text((const char *)a);
		if (number == SYS_fsopen)
			return new_fd();
		take_text(va_arg(ap, char *));
		return 0;
	case SYS_fsconfig:
		command = va_arg(ap, unsigned int);
		for (int i = 0; i < 2; i++)
			if ((s = va_arg(ap, char *)))
				take_text(s);
			else if (command == K_FSCONFIG_SET_STRING)
				fuzz_bad("fsconfig: no string");
		return 0;
	case SYS_move_mount:
	case SYS_renameat2:
		take_text(va_arg(ap, char *));
		(void)va_arg(ap, int);
		take_text(va_arg(ap, char *));
		errno = fuzz_below(2) ? EEXIST : EACCES;
		return number == SYS_renameat2 && fuzz_below(2) ? -1 : 0;
	case SYS_mount_setattr:
		take_text(va_arg(ap, char *));
		(void)va_arg(ap, unsigned int);
		take(va_arg(ap, void *), sizeof(struct k_mount_attr));
		return 0;
	case SYS_getdents64:
		s = va_arg(ap, char *);
		return fill_dents((unsigned char *)(uintptr_t)s,
				  va_arg(ap, size_t));
	}
	fuzz_bad("a system call that fuzz_kernel.c does not know");
}

ssize_t fake_process_vm_readv(pid_t pid, const struct iovec *ours,
			      unsigned long count, const struct iovec *theirs,
			      unsigned long their_count, unsigned long flags)
{
	if (count != 1 || their_count != 1 ||
	    ours->iov_len < theirs->iov_len)
		fuzz_bad("process_vm_readv: more than there is room for");
	memset(ours->iov_base, (int)fuzz_below(256), ours->iov_len);
	return fails() ? -1 : (ssize_t)ours->iov_len;
}

long fake_syscall(long number, ...)
{
	va_list ap;
	long r;

	if (fails())
		return -1;
	va_start(ap, number);
	r = keyed(number, ap);
	va_end(ap);
	return r;
}
