/*
 * A container that is made before it is known what will run in it: its first
 * process waits, with nothing of the host's but the report channel, for the rest
 * of its plan. One packet has that, as sealed as the first part was, and the
 * descriptors that it begins with.
 */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "calls.h"
#include "decode.h"
#include "forget.h"
#include "rest.h"
#include "stage.h"

/* The plan, and what it begins with: the command's streams. */
#define REST_FDS 4

/* Returns how many descriptors came. The end of the channel means that nobody
 * wants this container any more. */
static int receive_fds(int fds[REST_FDS])
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(REST_FDS * sizeof(int))];
	} control = { 0 };
	char byte;
	struct iovec data = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &data,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control.room) };
	const struct cmsghdr *head;
	size_t size;
	ssize_t n;

	do
		n = recvmsg(child.channel, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		_exit(125);
	head = CMSG_FIRSTHDR(&msg);
	if (!head || head->cmsg_level != SOL_SOCKET ||
	    head->cmsg_type != SCM_RIGHTS || msg.msg_flags & MSG_CTRUNC)
		fail(EINVAL, "no plan");
	size = head->cmsg_len - CMSG_LEN(0);
	memcpy(fds, CMSG_DATA(head), size);
	return (int)(size / sizeof(int));
}

void run_rest(void)
{
	int fds[REST_FDS], count;
	const void *bytes;
	size_t size;

	/* Whatever is open or in memory of the host's would wait, too. */
	if (!child.rest)
		fail(EINVAL, "not everything is closed");
	report(REPORT_WAITING, 0, 0, NULL, -1);
	count = receive_fds(fds);
	bytes = map_plan(fds[0], &size);
	if (!bytes)
		fail(errno, "the rest of the plan");
	forget_all();
	if (plan_open(&child.plan, bytes, size, child.slot) < 0)
		fail(errno, "the rest of the plan");
	close(fds[0]);
	/* The numbers are places in the packet: whoever wrote it cannot know
	 * which ones are free here. */
	for (int i = 0; i < PLAN_SLOTS; i++) {
		if (child.slot[i] < 0)
			continue;
		if (child.slot[i] >= count - 1)
			fail(EBADF, "the rest of the plan");
		child.slot[i] = fds[1 + child.slot[i]];
	}
}
