/*
 * The helper's roles, by the first word of the command line. Nothing else knows
 * more than one of them.
 */
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "keeper.h"

static int parse_fd(const char *s)
{
	int n = 0;

	if (!*s)
		return -1;
	for (; *s; s++) {
		if (*s < '0' || *s > '9' || n > 100000)
			return -1;
		n = n * 10 + (*s - '0');
	}
	return n;
}

int main(int argc, char **argv)
{
	static const char usage[] =
		"rustyrun-helper: started by rustyrun, not by hand\n";
	int fd = argc >= 3 ? parse_fd(argv[2]) : -1;

	if (fd >= 3 && argc == 3 && !strcmp(argv[1], "child"))
		child_main(fd, argv[1]);
	if (fd >= 3 && argc == 3 && !strcmp(argv[1], "await"))
		child_await(fd, argv[1]);
	if (fd >= 3 && argc == 3 && !strcmp(argv[1], "keeper"))
		keeper_main(fd);
	if (write(2, usage, sizeof(usage) - 1) < 0)
		return 126;
	return 125;
}
