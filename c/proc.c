/*
 * What /proc says of a process: paths, small files, and the numbers in them.
 */
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "proc.h"

const char *proc_path(char path[32], pid_t pid, const char *tail)
{
	char digits[12];
	size_t n = sizeof(digits), len = 6;

	for (; pid; pid /= 10)
		digits[--n] = (char)('0' + pid % 10);
	memcpy(path, "/proc/", len);
	memcpy(path + len, digits + n, sizeof(digits) - n);
	len += sizeof(digits) - n;
	memcpy(path + len, tail, strlen(tail) + 1);
	return path;
}

const char *fd_path(char path[32], const char *directory, int fd)
{
	char digits[12];
	size_t n = sizeof(digits), len = strlen(directory);

	do
		digits[--n] = (char)('0' + fd % 10);
	while ((fd /= 10));
	memcpy(path, directory, len);
	memcpy(path + len, digits + n, sizeof(digits) - n);
	path[len + sizeof(digits) - n] = 0;
	return path;
}

pid_t find_pid(int pidfd)
{
	char path[32], text[1024];

	if (read_whole(fd_path(path, "/proc/self/fdinfo/", pidfd), text,
		       sizeof(text)) < 0)
		return 0;
	return (pid_t)read_field(text, "\nPid:", 10);
}

ssize_t read_whole(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t at = 0;
	ssize_t n = 0;

	if (fd < 0)
		return -1;
	while (at < size - 1 && (n = read(fd, text + at, size - 1 - at)) > 0)
		at += (size_t)n;
	close(fd);
	text[at] = 0;
	return n < 0 ? -1 : (ssize_t)at;
}

uint64_t read_number(const char **p, unsigned int base)
{
	uint64_t n = 0;

	for (;; (*p)++) {
		if (**p >= '0' && **p <= '9')
			n = n * base + (uint64_t)(**p - '0');
		else if (base == 16 && **p >= 'a' && **p <= 'f')
			n = n * base + (uint64_t)(**p - 'a' + 10);
		else
			return n;
	}
}

uint64_t read_field(const char *text, const char *key, unsigned int base)
{
	const char *p = strstr(text, key);

	if (!p)
		return 0;
	p += strlen(key);
	p += strspn(p, "\t ");
	return read_number(&p, base);
}
