/*
 * Floor: the ground. What /proc says of a process.
 */
#ifndef RUSTYRUN_PROC_H
#define RUSTYRUN_PROC_H

#include <stdint.h>
#include <sys/types.h>

/* "/proc/PID" and `tail`, of at most 15 bytes. */
const char *proc_path(char path[32], pid_t pid, const char *tail);
/* What is in `directory` ("/proc/self/fd/", "/proc/self/fdinfo/") for one of our
 * own descriptors. */
const char *fd_path(char path[32], const char *directory, int fd);
/* Which process a pidfd is of; 0 when it has ended or that cannot be read. */
pid_t find_pid(int pidfd);
/* A whole small file, with a NUL; -1 when it cannot be read. */
ssize_t read_whole(const char *path, char *text, size_t size);
/* The number at *p, which moves behind it; 0 where there is none. */
uint64_t read_number(const char **p, unsigned int base);
/* A number of /proc/PID/status; key: "\nSigBlk:". 0 when it is not there. */
uint64_t read_field(const char *text, const char *key, unsigned int base);

#endif
