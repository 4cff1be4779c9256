/*
 * What every operation of the child stage uses: its slots, its reports, and the
 * one way to fail.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "stage.h"

struct child child = { .channel = -1, .warden = -1 };

/* sendmsg only where a descriptor goes along: a container's seccomp filter
 * may be on already, and write is what every filter allows. */
int report(uint32_t kind, int err, int detail, const char *text, int fd)
{
	struct report packet = { .kind = kind,
				 .index = child.index,
				 .err = err,
				 .detail = detail };
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec data = { &packet, sizeof(packet) };
	struct msghdr msg = { .msg_iov = &data, .msg_iovlen = 1 };
	ssize_t n;

	for (size_t i = 0; text && text[i] && i < sizeof(packet.text) - 1; i++)
		packet.text[i] = text[i];
	if (fd < 0) {
		do
			n = write(child.channel, &packet, sizeof(packet));
		while (n < 0 && errno == EINTR);
		return n == (ssize_t)sizeof(packet) ? 0 : -1;
	}
	msg.msg_control = &control;
	msg.msg_controllen = sizeof(control.room);
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&control.head), &fd, sizeof(int));
	do
		n = sendmsg(child.channel, &msg, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n == (ssize_t)sizeof(packet) ? 0 : -1;
}

void say_progress(const char word[5])
{
	if (child.word)
		memcpy(child.word, word, 5);
}

_Noreturn void fail_detail(int err, int detail, const char *text)
{
	report(REPORT_ERROR, err, detail, text, -1);
	_exit(125);
}

_Noreturn void fail(int err, const char *text)
{
	fail_detail(err, 0, text);
}

void check(long result, const char *text)
{
	if (result < 0)
		fail(errno, text);
}

int slot_at(int64_t slot)
{
	return slot < 0 ? AT_FDCWD : slot_fd(slot);
}

int slot_fd(int64_t slot)
{
	if (slot < 0 || slot >= PLAN_SLOTS || child.slot[slot] < 0)
		fail(EBADF, "empty slot");
	return child.slot[slot];
}

void slot_set(int64_t slot, int fd)
{
	if (slot < 0 || slot >= PLAN_SLOTS)
		fail(EBADF, "no slot");
	if (child.slot[slot] >= 0)
		close(child.slot[slot]);
	child.slot[slot] = fd;
}

uint32_t narrow(int64_t n)
{
	if (n < INT32_MIN || n > (int64_t)UINT32_MAX)
		fail(EINVAL, "a number of more than 32 bits");
	return (uint32_t)n;
}

static int is_component(const char *name)
{
	return *name && !strchr(name, '/') && strcmp(name, ".") &&
	       strcmp(name, "..");
}

const char *plain_name(const struct arg *arg)
{
	if (!is_component(arg->p))
		fail(EINVAL, arg->p);
	return arg->p;
}
