#include <errno.h>
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

/* Deno does not start where it cannot look for $HOME/.npmrc, unless that is missing
 * or closed. */
static bool is_home(const char *home)
{
	static char path[PATH_MAX];
	static const char tail[] = "/.npmrc";
	struct stat st;

	if (strlen(home) + sizeof(tail) > sizeof(path))
		return false;
	return stat(strcat(strcpy(path, home), tail), &st) == 0 ||
	       errno == ENOENT || errno == EACCES;
}

/* "DENO_DIR=..." where Deno might find no directory; or NULL. */
static char *caches(bool home)
{
	static char entry[PATH_MAX] = "DENO_DIR=";
	static const char tail[] = "/rustyrun.deno";
	/* passwd may know a home, but not for every user: no cache, then. */
	static char none[] = "DENO_DIR=/dev/null/none";
	const char *dir = getenv("XDG_RUNTIME_DIR");
	struct stat st;

	if (is_set("DENO_DIR") || is_set("XDG_CACHE_HOME") || home)
		return NULL;
	/* Deno runs what lies there: it must be nobody else's. */
	if (!dir || stat(dir, &st) < 0 || st.st_uid != geteuid() ||
	    strlen(entry) + strlen(dir) + sizeof(tail) > sizeof(entry))
		return geteuid() ? none : NULL;
	return strcat(strcat(entry, dir), tail);
}

char **with_caches(char **variables)
{
	static const char name[] = "HOME=";
	bool set = is_set("HOME"), home = set && is_home(getenv("HOME"));
	char *entry = caches(home), **more;
	size_t n = 0, at = 0;

	if (!entry && home == set)
		return variables;
	while (variables[n])
		n++;
	/* malloc would be two fifths of this program. */
	more = mmap(NULL, (n + 2) * sizeof(*more), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (more == MAP_FAILED)
		return variables;
	if (entry)
		more[at++] = entry;
	for (size_t i = 0; i < n; i++) {
		if (home == set ||
		    strncmp(variables[i], name, sizeof(name) - 1))
			more[at++] = variables[i];
	}
	return more;
}
