/*
 * Where something lies in the container, and the walk to there, which no
 * symbolic link of the image can lead out of the root.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "calls.h"
#include "kernel.h"
#include "place.h"
#include "stage.h"

#define IN_ROOT (K_RESOLVE_IN_ROOT | K_RESOLVE_NO_MAGICLINKS)
#define BENEATH (K_RESOLVE_BENEATH | K_RESOLVE_NO_MAGICLINKS)
#define WALK_MAX 4096
#define WALK_LINKS 40

struct place place_of(const struct arg *a)
{
	struct place p = { a[0].n < 0 ? -1 : slot_fd(a[0].n), a[1].p,
			   slot_fd(a[2].n), a[3].p };

	p.path += strspn(p.path, "/");
	return p;
}

int open_below(const struct place *p)
{
	return open_at2(p->at, *p->below ? p->below : ".", O_PATH, 0, BENEATH);
}

int open_path(const struct place *p)
{
	return open_at2(p->root, *p->path ? p->path : ".", O_PATH, 0, IN_ROOT);
}

int is_same(int a, int b)
{
	struct stat x, y;

	check(fstat(a, &x), NULL);
	check(fstat(b, &y), NULL);
	return x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/*
 * A walk to a path in the root, making what is missing. `done` is the text of
 * the way so far, `rest` what is left; every look-up starts again at the root
 * under RESOLVE_IN_ROOT, so a rename in a shared volume meanwhile can make the
 * walk fail or end elsewhere in the root, never outside.
 */
struct walk {
	int root;
	bool beneath; /* the root is a mount, which is not to be left */
	char done[WALK_MAX];
	char rest[WALK_MAX];
	int links;
};

static void walk_push(struct walk *w, const char *name)
{
	size_t len = strlen(w->done), more = strlen(name);

	if (len + more + 2 > sizeof(w->done))
		fail(ENAMETOOLONG, name);
	if (len)
		w->done[len++] = '/';
	memcpy(w->done + len, name, more + 1);
}

static void walk_pop(struct walk *w)
{
	char *slash = strrchr(w->done, '/');

	if (!*w->done && w->beneath)
		fail(EXDEV, w->rest);
	*(slash ? slash : w->done) = 0;
}

/* Takes the next component off `rest`; 0 when there is none left. */
static int walk_next(struct walk *w, char name[256])
{
	char *p = w->rest;
	size_t n;

	while (*p == '/')
		p++;
	n = strcspn(p, "/");
	if (!n)
		return 0;
	if (n > 255)
		fail(ENAMETOOLONG, w->rest);
	memcpy(name, p, n);
	name[n] = 0;
	memmove(w->rest, p + n, strlen(p + n) + 1);
	return 1;
}

static int walk_at_end(const struct walk *w)
{
	return w->rest[strspn(w->rest, "/")] == 0;
}

static int walk_open(const struct walk *w, uint64_t flags)
{
	return open_at2(w->root, *w->done ? w->done : ".", O_PATH | flags, 0,
			IN_ROOT);
}

static void walk_link(struct walk *w, int link)
{
	char text[WALK_MAX];
	ssize_t n = readlinkat(link, "", text, sizeof(text));
	size_t rest = strlen(w->rest);

	if (n < 0)
		fail(errno, w->done);
	if (++w->links > WALK_LINKS)
		fail(ELOOP, w->done);
	if ((size_t)n + rest + 2 > sizeof(w->rest))
		fail(ENAMETOOLONG, w->done);
	memmove(w->rest + n + 1, w->rest, rest + 1);
	memcpy(w->rest, text, (size_t)n);
	w->rest[n] = '/';
	walk_pop(w);
	if (n && text[0] == '/') {
		if (w->beneath)
			fail(EXDEV, text);
		w->done[0] = 0;
	}
}

static void walk_make(struct walk *w, const char *name, int kind, mode_t mode)
{
	int parent, fd;

	walk_pop(w);
	parent = walk_open(w, O_DIRECTORY);
	walk_push(w, name);
	if (parent < 0)
		fail(errno, w->done);
	if (kind == 2 && walk_at_end(w)) {
		fd = openat(parent, name,
			    O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW |
				    O_CLOEXEC,
			    mode & 0666);
		if (fd < 0 && errno != EEXIST)
			fail(errno, w->done);
		if (fd >= 0)
			close(fd);
	} else if (mkdirat(parent, name, mode | 0111) < 0 &&
		   errno != EEXIST) {
		fail(errno, w->done);
	}
	close(parent);
}

static int walk_target(struct walk *w, int kind, mode_t mode)
{
	char name[256];
	struct stat st;
	int fd;

	while (walk_next(w, name)) {
		if (!strcmp(name, "."))
			continue;
		if (!strcmp(name, "..")) {
			walk_pop(w);
			continue;
		}
		walk_push(w, name);
		fd = walk_open(w, O_NOFOLLOW);
		if (fd < 0 && errno == ENOENT && kind) {
			walk_make(w, name, kind, mode);
			fd = walk_open(w, O_NOFOLLOW);
		}
		if (fd < 0 || fstat(fd, &st) < 0)
			fail(errno, w->done);
		if (S_ISLNK(st.st_mode))
			walk_link(w, fd);
		close(fd);
	}
	/* O_NOFOLLOW: what has been walked has no link at its end. */
	return walk_open(w, O_NOFOLLOW);
}

static int open_or_make(int root, const char *path, bool beneath, int kind,
			mode_t mode)
{
	static struct walk w;
	int fd;

	if (strlen(path) >= sizeof(w.rest))
		fail(ENAMETOOLONG, path);
	fd = open_at2(root, *path ? path : ".", O_PATH, 0,
		      beneath ? BENEATH : IN_ROOT);
	if (fd >= 0 || errno != ENOENT || !kind)
		return fd;
	w.root = root;
	w.beneath = beneath;
	w.done[0] = 0;
	w.links = 0;
	memcpy(w.rest, path, strlen(path) + 1);
	return walk_target(&w, kind, mode);
}

int open_target(const struct place *p, int kind, mode_t mode)
{
	struct stat st;
	int fd = -1, seen;

	if (p->at >= 0) {
		fd = open_or_make(p->at, p->below, true, kind, mode);
		if (fd < 0 && errno != EXDEV)
			fail(errno, p->path);
	}
	if (fd < 0) {
		fd = open_or_make(p->root, p->path, false, kind, mode);
	} else {
		/* What is mounted here is to be seen there. */
		seen = open_path(p);
		if (seen < 0 || !is_same(fd, seen))
			fail(ESTALE, p->path);
		close(seen);
	}
	if (fd < 0 || fstat(fd, &st) < 0)
		fail(errno, p->path);
	if (kind == 1 && !S_ISDIR(st.st_mode))
		fail(ENOTDIR, p->path);
	if (kind == 2 && S_ISDIR(st.st_mode))
		fail(EISDIR, p->path);
	return fd;
}

/* A path that is not there needs no mask; nor does, in its mount, one that leads
 * out of it. */
static int found(int fd, const char *path)
{
	if (fd < 0 && errno != ENOENT && errno != ENOTDIR && errno != EXDEV)
		fail(errno, path);
	return fd;
}

int find_below(const struct place *p)
{
	return p->at < 0 ? -1 : found(open_below(p), p->path);
}

int find_path(const struct place *p)
{
	return found(open_path(p), p->path);
}
