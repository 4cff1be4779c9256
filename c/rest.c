/*
 * A plan that comes when it is known. One packet has it, sealed as every plan is,
 * and the descriptors that it begins with. The helper may be started while the
 * host stage still plans; and a container may be made before it is known what will
 * run in it: its first process waits, with nothing of the host's but the report
 * channel, for the rest of its plan.
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

int receive_plan(int *fds, size_t most)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(PLAN_FDS * sizeof(int))];
	} control = { 0 };
	char byte;
	struct iovec data = { &byte, 1 };
	struct msghdr msg = { .msg_iov = &data,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = (socklen_t)CMSG_SPACE(
				      most * sizeof(int)) };
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
	if (size > most * sizeof(int))
		fail(EINVAL, "no plan");
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
	count = receive_plan(fds, REST_FDS);
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
