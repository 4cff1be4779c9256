/*
 * Floor: the ground. System calls as all processes of the helper make them.
 */
#ifndef RUSTYRUN_CALLS_H
#define RUSTYRUN_CALLS_H

#include <stdint.h>
#include <sys/types.h>

/* openat2; returns a descriptor (close-on-exec) or -1 with errno. */
int open_at2(int at, const char *path, uint64_t flags, uint64_t mode,
	     uint64_t resolve);
/* fork for a helper of this process: an ordinary child of it. With a clone3
 * flag set of its own, and the pidfd when `pidfd` is given. */
pid_t clone_child(uint64_t flags, int cgroup, int *pidfd);
/* Closes every descriptor from a number on that is not in the list; sorts the
 * list. */
void close_others(unsigned int from, int *keep, unsigned int count);

/* A signal's si_code, of the keeper's making: for the command's whole group. */
#define SIGNAL_TO_GROUP (-1061)

/* No signal is ignored or blocked. */
void default_signals(void);
/* Blocks every signal, real-time ones too; returns the mask before. */
uint64_t block_signals(void);
void restore_signals(uint64_t mask);

/* One packet with descriptors. `fd` gets those that came, else -1. Returns what
 * sendmsg(2) and recvmsg(2) do. */
#define PACKET_FDS 2
ssize_t send_fds(int sock, const void *data, size_t size, const int *fd,
		 unsigned int count);
ssize_t receive_fds(int sock, void *data, size_t size, int fd[PACKET_FDS]);

void sleep_ms(int ms);
int64_t now_ms(void);

#endif
