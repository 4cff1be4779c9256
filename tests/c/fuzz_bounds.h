/*
 * Included before each file of the helper: copies are checked against the
 * member that they write or read, which ASan does not do within a structure.
 */
#ifndef RUSTYRUN_FUZZ_BOUNDS_H
#define RUSTYRUN_FUZZ_BOUNDS_H

#include <string.h>

/* fuzz.c: (size_t)-1 for an object of unknown size. */
size_t fuzz_bounds(size_t n, size_t room);

/* gcc 12 and clang also know sizes that are only known when it runs. */
#if __has_builtin(__builtin_dynamic_object_size)
#define FUZZ_ROOM(p, n) fuzz_bounds((n), __builtin_dynamic_object_size((p), 1))
#else
#define FUZZ_ROOM(p, n) fuzz_bounds((n), __builtin_object_size((p), 1))
#endif

#define memcpy(to, from, n) \
	memcpy((to), (from), (FUZZ_ROOM((from), (n)), FUZZ_ROOM((to), (n))))
#define memmove(to, from, n) \
	memmove((to), (from), (FUZZ_ROOM((from), (n)), FUZZ_ROOM((to), (n))))
#define memset(to, c, n) memset((to), (c), FUZZ_ROOM((to), (n)))

#endif
