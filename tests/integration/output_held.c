/*
 * Processes that sleep with the lock of the pipe that is their output: splice(2)
 * from it into a full socket, from an empty one into it, sendfile(2) from that.
 * Whoever reads the pipe then waits, and takes no signal. Where the calls are
 * refused, it says so.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <unistd.h>

/* The socket is full for who writes to it, and empty for who reads. */
static long hold(const char *way, int sock)
{
	const int out = open("/proc/self/fd/1", O_RDONLY);

	if (!strcmp(way, "from"))
		return splice(out, NULL, sock, NULL, 65536, 0);
	if (!strcmp(way, "into"))
		return splice(sock, NULL, 1, NULL, 65536, 0);
	return sendfile(1, sock, NULL, 65536);
}

int main(int argc, char **argv)
{
	static char junk[4096];
	char text[64];
	int pair[2];

	if (argc < 2 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
		return 1;
	fcntl(pair[0], F_SETFL, O_NONBLOCK);
	while (write(pair[0], junk, sizeof(junk)) > 0 ||
	       write(pair[0], junk, 1) > 0)
		;
	fcntl(pair[0], F_SETFL, 0);
	for (int i = 0; i < 8; i++) {
		if (fork())
			continue;
		usleep(100000);
		if (write(1, "held\n", 5) < 0)
			return 1;
		hold(argv[1], pair[0]);
		snprintf(text, sizeof(text), "refused %d\n", errno);
		if (write(1, text, strlen(text)) < 0)
			return 1;
		for (;;)
			pause();
	}
	for (;;)
		pause();
}
