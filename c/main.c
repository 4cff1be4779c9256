/*
 * The helper's roles, by the first words of its command line. Nothing else knows
 * more than one of them.
 */
#include <stdbool.h>
#include <string.h>
#include <unistd.h>

#include "child.h"
#include "front.h"
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

/* By any other name it is the front, which people call as they like. */
static bool is_helper(const char *name)
{
	const char *slash = strrchr(name, '/');

	name = slash ? slash + 1 : name;
	return !strncmp(name, "rustyrun-helper", 15) ||
	       !strncmp(name, "rustyrun-keeper", 15);
}

int main(int argc, char **argv)
{
	static const char usage[] =
		"rustyrun-helper: started by rustyrun, not by hand\n";
	int fd = argc >= 3 ? parse_fd(argv[2]) : -1;

	if (argc < 1 || !is_helper(argv[0]))
		front_main(argc, argv);
	if (fd >= 3 && argc == 3 && !strcmp(argv[1], "child"))
		child_main(fd, argv[1]);
	if (fd >= 3 && argc == 3 && !strcmp(argv[1], "keeper"))
		keeper_main(fd);
	if (write(2, usage, sizeof(usage) - 1) < 0)
		return 126;
	return 125;
}
