#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "front_user.h"

bool is_machines_root(void)
{
	char map[64] = { 0 }, *end;
	ssize_t n = 0;
	int fd;

	if (geteuid())
		return false;
	fd = open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC);
	if (fd >= 0) {
		n = read(fd, map, sizeof(map) - 1);
		close(fd);
	}
	/* Without a map nothing is known of a namespace; "0 1000 1" is a user's. */
	return n <= 0 || strtoul(map, &end, 10) || !strtoul(end, NULL, 10);
}

static bool is_set(const char *name)
{
	const char *value = getenv(name);

	return value && value[0];
}

char **with_caches(char **variables)
{
	static char entry[PATH_MAX] = "DENO_DIR=";
	static const char tail[] = "/rustyrun.deno";
	const char *dir = getenv("XDG_RUNTIME_DIR");
	struct stat st;
	char **more;
	size_t n = 0;

	if (is_set("DENO_DIR") || is_set("XDG_CACHE_HOME") || is_set("HOME"))
		return variables;
	/* Deno runs what lies there: it must be nobody else's. */
	if (!dir || stat(dir, &st) < 0 || st.st_uid != geteuid() ||
	    strlen(entry) + strlen(dir) + sizeof(tail) > sizeof(entry))
		return variables;
	while (variables[n])
		n++;
	/* malloc would be two fifths of this program. */
	more = mmap(NULL, (n + 2) * sizeof(*more), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (more == MAP_FAILED)
		return variables;
	more[0] = strcat(strcat(entry, dir), tail);
	memcpy(more + 1, variables, n * sizeof(*more));
	return more;
}
