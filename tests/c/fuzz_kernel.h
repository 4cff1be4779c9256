/*
 * What the two parts of the made-up kernel share.
 */
#ifndef RUSTYRUN_FUZZ_KERNEL_H
#define RUSTYRUN_FUZZ_KERNEL_H

#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/vfs.h>
#include <termios.h>
#include <time.h>

#include "fuzz.h"

extern char **fake_environ;

/* Counts a call, ends the execution when there were too many, and says whether
 * this one fails (errno is set then). */
int fails(void);
/* 0 or -1; a descriptor or -1. */
int simple(void);
int new_fd(void);
/* Reads what a call is given, to the last byte. */
void take(const void *p, size_t n);
void take_text(const char *s);
/* An id that was asked for: the very number, and not "leave it as it is". */
void check_id(uint32_t id);
/* The operation of the child stage that runs; NULL in the keeper. */
const struct op *running(void);
long path_call(long number, long a, va_list ap);

/* One fake for every function that the helper calls. */
long fake_syscall(long number, ...);
ssize_t fake_read(int fd, void *to, size_t size);
ssize_t fake_write(int fd, const void *p, size_t size);
ssize_t fake_send(int fd, const void *p, size_t size, int flags);
ssize_t fake_recv(int fd, void *to, size_t size, int flags);
ssize_t fake_sendmsg(int fd, const struct msghdr *msg, int flags);
ssize_t fake_recvmsg(int fd, struct msghdr *msg, int flags);
int fake_poll(struct pollfd *p, nfds_t n, int timeout);
void *fake_mmap(void *at, size_t size, int prot, int flags, int fd, off_t off);
int fake_munmap(void *p, size_t size);
ssize_t fake_readlinkat(int at, const char *path, char *to, size_t size);
_Noreturn void fake__exit(int status);
int fake_access(const char *path, int mode);
int fake_chdir(const char *path);
int fake_chroot(const char *path);
int fake_clock_gettime(clockid_t clock, struct timespec *now);
int fake_close(int fd);
int fake_dup2(int from, int to);
int fake_execve(const char *path, char *const argv[], char *const env[]);
int fake_fchdir(int fd);
int fake_fchmod(int fd, mode_t mode);
int fake_fchmodat(int at, const char *path, mode_t mode, int flags);
int fake_fchown(int fd, uid_t uid, gid_t gid);
int fake_fchownat(int at, const char *path, uid_t uid, gid_t gid, int flags);
int fake_fcntl(int fd, int command, ...);
ssize_t fake_fgetxattr(int fd, const char *name, void *to, size_t size);
ssize_t fake_flistxattr(int fd, char *to, size_t size);
int fake_fsetxattr(int fd, const char *name, const void *p, size_t size,
		   int flags);
pid_t fake_fork(void);
int fake_fstat(int fd, struct stat *st);
int fake_fstatat(int at, const char *path, struct stat *st, int flags);
int fake_stat(const char *path, struct stat *st);
int fake_fstatfs(int fd, struct statfs *fs);
uid_t fake_geteuid(void);
pid_t fake_getpgid(pid_t pid);
pid_t fake_getpgrp(void);
pid_t fake_getpid(void);
pid_t fake_getppid(void);
unsigned int fake_if_nametoindex(const char *name);
int fake_ioctl(int fd, unsigned long request, ...);
int fake_kill(pid_t pid, int sig);
ssize_t fake_pread(int fd, void *to, size_t size, off_t at);
off_t fake_lseek(int fd, off_t offset, int whence);
int fake_mkdir(const char *path, mode_t mode);
int fake_mkdirat(int at, const char *path, mode_t mode);
int fake_mknodat(int at, const char *path, mode_t mode, dev_t dev);
int fake_mount(const char *source, const char *target, const char *type,
	       unsigned long flags, const void *data);
int fake_open(const char *path, int flags, ...);
int fake_openat(int at, const char *path, int flags, ...);
int fake_pipe2(int fds[2], int flags);
int fake_prctl(int option, ...);
int fake_rmdir(const char *path);
int fake_shutdown(int fd, int how);
int fake_renameat(int from_at, const char *from, int to_at, const char *to);
ssize_t fake_sendfile(int out, int in, off_t *offset, size_t size);
int fake_setdomainname(const char *name, size_t size);
int fake_sethostname(const char *name, size_t size);
int fake_setns(int fd, int type);
int fake_setpgid(pid_t pid, pid_t group);
pid_t fake_setsid(void);
int fake_sigaction(int sig, const struct sigaction *now, struct sigaction *old);
void (*fake_signal(int sig, void (*handler)(int)))(int);
int fake_sigprocmask(int how, const sigset_t *set, sigset_t *old);
int fake_sigwaitinfo(const sigset_t *set, siginfo_t *info);
int fake_socket(int family, int type, int protocol);
int fake_socketpair(int family, int type, int protocol, int fds[2]);
int fake_symlinkat(const char *target, int at, const char *path);
int fake_isatty(int fd);
int fake_tcgetattr(int fd, struct termios *t);
pid_t fake_tcgetpgrp(int fd);
int fake_tcsetattr(int fd, int how, const struct termios *t);
int fake_tcsetpgrp(int fd, pid_t group);
mode_t fake_umask(mode_t mask);
int fake_umount2(const char *path, int flags);
int fake_unlinkat(int at, const char *path, int flags);
int fake_unshare(int flags);
int fake_usleep(unsigned int microseconds);
int fake_utimensat(int at, const char *path, const struct timespec times[2],
		   int flags);
int fake_waitid(int type, id_t id, siginfo_t *info, int options);
pid_t fake_waitpid(pid_t pid, int *status, int options);

#endif
