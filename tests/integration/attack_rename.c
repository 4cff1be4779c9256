/*
 * Whoever may rename in a root file system: at the moment at which a container
 * makes its /sys there, which has been missing, its /proc and /dev go by other
 * names, and empty directories have theirs.
 */
#include <stdio.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const names[][2] = {
	{ "proc", "proc2" },
	{ "dev", "dev2" },
};

int main(int argc, char **argv)
{
	char room[4096] __attribute__((aligned(8)));
	int fd = inotify_init1(0);

	if (argc != 2 || chdir(argv[1]) || fd < 0 ||
	    inotify_add_watch(fd, ".", IN_CREATE) < 0)
		return 1;
	puts("watching");
	fflush(stdout);
	for (;;) {
		ssize_t n = read(fd, room, sizeof(room));

		if (n <= 0)
			return 2;
		for (char *p = room; p < room + n;) {
			const struct inotify_event *event = (void *)p;

			p += sizeof(*event) + event->len;
			if (strcmp(event->name, "sys"))
				continue;
			for (int i = 0; i < 2; i++)
				if (rename(names[i][0], names[i][1]) ||
				    mkdir(names[i][0], 0755))
					return 3;
			return 0;
		}
	}
}
