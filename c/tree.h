/*
 * Floor: parts. Directories by descriptor: read, and removed with all below.
 */
#ifndef RUSTYRUN_TREE_H
#define RUSTYRUN_TREE_H

#include <stdbool.h>
#include <stdint.h>

/* Opens (O_PATH) a directory in which nobody but its owner can do anything, who
 * is `owner` or our own user; -1 with ESTALE when it is another. */
int open_private(int parent, const char *name, int64_t owner);
/* Gives a directory's owner all rights in it, where we may: who ran in it may have
 * taken them away. */
void make_accessible(int dir, const char *name);
/* Removes a directory and all below it, following nothing. */
int tree_remove(int parent, const char *name);
/* Removes what is in a directory. */
int tree_empty(int dir);
/* From here on `told` hears of so many more steps of a removal. */
void tell_steps(void (*told)(unsigned int more));
/* Tells it, if there is one. */
void count_steps(unsigned int more);
/* Reads a directory from its start. dir_next gives the next name ("." and ".."
 * are left out) or NULL. */
struct dir {
	int fd;
	long size;
	long at;
	uint64_t ino; /* of the name that dir_next gave last */
	const char *name; /* that one, until the next is asked for */
	_Alignas(8) char room[2048];
};
void dir_start(struct dir *d, int fd);
const char *dir_next(struct dir *d, bool *is_dir);

#endif
