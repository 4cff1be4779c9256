/*
 * Argument vectors for execve(2), from the lists of a plan. Static, since a
 * seccomp filter may forbid mmap by then; of memory that nobody touches the
 * kernel gives none.
 */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "vector.h"

static char *room[PLAN_LIST + 2];

static char **fill(char **at, const struct arg *list)
{
	const char *p = list->p;

	for (uint32_t i = 0; i < list->count; i++, p += strlen(p) + 1)
		*at++ = (char *)(uintptr_t)p;
	*at++ = NULL;
	return at;
}

int exec_lists(const char *path, const struct arg *argv, const struct arg *env)
{
	char **variables;

	/* Each is PLAN_LIST at the most, so that this cannot wrap. */
	if (argv->count + env->count > PLAN_LIST) {
		errno = E2BIG;
		return -1;
	}
	variables = fill(room, argv);
	fill(variables, env);
	return execve(path ? path : room[0], room, variables);
}
