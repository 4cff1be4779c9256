/*
 * The front: asks the warm engine, and does what it says, or becomes the full
 * program. front.h describes their packets.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "front.h"
#include "front_user.h"
#include "kernel.h"

extern char **environ;

/* Not static and not constant, so that no compiler uses what it holds here. What
 * it holds is an installation's: `rustyrun front` writes another place. */
extern struct front_place front_place;
struct front_place front_place = { .mark = FRONT_MARK,
				   .program = 1,
				   .size = sizeof(FRONT_INSTALLED),
				   .patience = FRONT_FIRST_MS,
				   .words = FRONT_INSTALLED };

static struct {
	int socket; /* -1: no engine */
	struct front_request request;
	struct iovec strings[3];
	size_t size; /* of the strings */
	struct sigaction sigpipe, sigchld; /* as they were */
} front = { .socket = -1 };

static union {
	char bytes[FRONT_PACKET];
	struct front_record align;
} packet;

/* Memory from the kernel, for what has no limit of its own. */
static void *get_room(size_t size)
{
	void *p = mmap(NULL, size, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* Returns 0 or the errno. Whoever has the same open file may have set O_NONBLOCK
 * on it. */
static int print(int stream, const char *p, size_t left)
{
	struct pollfd room = { .fd = stream, .events = POLLOUT };
	ssize_t n;

	for (; left; left -= (size_t)n, p += n) {
		n = write(stream, p, left);
		if (n >= 0)
			continue;
		if (errno == EAGAIN)
			poll(&room, 1, -1);
		else if (errno != EINTR)
			return errno;
		n = 0;
	}
	return 0;
}

static void say(const char *text)
{
	print(2, text, strlen(text));
}

_Noreturn static void give_up(const char *name, const char *why)
{
	say("rustyrun: Cannot start the full program \"");
	say(name);
	say("\": ");
	say(why);
	say("\n  hint: rustyrun front FILE, of the full program, writes a front that knows it\n");
	_exit(125);
}

/* What is closed becomes the null device, as Deno does it: what this process
 * opens would get its number. */
static void open_streams(void)
{
	for (int fd = 0; fd < 3; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
		    open("/dev/null", O_RDWR) < 0)
			return;
}

/* Puts the directory above this file's own before a path that needs one. */
static void find_program(void)
{
	static char words[FRONT_PROGRAM];
	const size_t size = front_place.size;
	ssize_t n;

	if (front_place.words[0] == '/')
		return;
	memcpy(words, front_place.words, sizeof(words));
	n = readlink("/proc/self/exe", front_place.words, FRONT_PROGRAM);
	if (n < 0)
		give_up("/proc/self/exe", strerror(errno));
	for (int parts = 0; n > 0 && parts < 2; n--)
		parts += front_place.words[n - 1] == '/';
	front_place.words[n++] = '/';
	if (size > FRONT_PROGRAM - (size_t)n)
		give_up(words, strerror(ENAMETOOLONG));
	memcpy(front_place.words + n, words, size);
	front_place.size = (uint32_t)((size_t)n + size);
}

/* The strings of argv or environ as the one piece that execve makes of them;
 * false when somebody has moved one. */
static bool as_piece(char **strings, struct iovec *piece, uint32_t *count)
{
	char *end = strings[0];
	uint32_t n = 0;

	for (; strings[n]; n++) {
		if (strings[n] != end)
			return false;
		end += strlen(end) + 1;
	}
	*piece = (struct iovec){ strings[0], (size_t)(end - strings[0]) };
	*count = n;
	return true;
}

static uint32_t kind_of(int fd)
{
	struct winsize size;
	struct stat st;

	if (ioctl(fd, TIOCGWINSZ, &size) == 0)
		return FRONT_STREAM_TERMINAL;
	if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) ||
	    major(st.st_rdev) != 1)
		return FRONT_STREAM_OTHER;
	switch (minor(st.st_rdev)) {
	case 3:
		return FRONT_STREAM_NULL;
	case 5:
		return FRONT_STREAM_ZERO;
	case 7:
		return FRONT_STREAM_FULL;
	case 8:
		return FRONT_STREAM_RANDOM;
	case 9:
		return FRONT_STREAM_URANDOM;
	default:
		return FRONT_STREAM_OTHER;
	}
}

static bool describe(char **argv)
{
	struct front_request *r = &front.request;
	struct rlimit files;
	int policy = 0, n;

	*r = (struct front_request){ .magic = FRONT_MAGIC,
				     .version = FRONT_VERSION,
				     .program = front_place.program };
	front.strings[0] =
		(struct iovec){ front_place.words, front_place.size };
	if (!argv[0] || !as_piece(argv + 1, &front.strings[1], &r->words) ||
	    !as_piece(environ, &front.strings[2], &r->variables))
		return false;
	for (int i = 0; i < 3; i++)
		front.size += front.strings[i].iov_len;
	if (front.size > FRONT_STRINGS || getrlimit(RLIMIT_NOFILE, &files) < 0)
		return false;
	r->size = (uint32_t)front.size;
	r->umask = umask(0);
	umask(r->umask);
	for (int fd = 0; fd < 3; fd++)
		r->stream[fd] = kind_of(fd);
	n = personality(0xffffffff);
	r->personality = n < 0 ? 0 : (uint32_t)n;
	if (syscall(SYS_get_mempolicy, &policy, NULL, 0ul, NULL, 0ul) == 0)
		r->memory_policy = (uint32_t)policy;
	n = prctl(PR_GET_SECUREBITS, 0, 0, 0, 0);
	r->securebits = n < 0 ? 0 : (uint32_t)n;
	n = prctl(PR_GET_THP_DISABLE, 0, 0, 0, 0);
	r->no_huge_pages = n > 0;
	n = prctl(PR_GET_TIMERSLACK, 0, 0, 0, 0);
	r->timer_slack = n < 0 ? 0 : (uint64_t)n;
	r->files[0] = files.rlim_cur;
	r->files[1] = files.rlim_max;
	return true;
}

/* Where the engine of this user listens; false when the name has no room. */
static bool find_socket(struct sockaddr_un *to)
{
	static const char tail[] = "/rustyrun/.serve";
	const char *dir = is_machines_root() ? "/run" : getenv("XDG_RUNTIME_DIR");

	to->sun_family = AF_UNIX;
	if (front_place.socket[0]) {
		memcpy(to->sun_path, front_place.socket, sizeof(to->sun_path));
		to->sun_path[sizeof(to->sun_path) - 1] = 0;
		return true;
	}
	if (!dir || strlen(dir) + sizeof(tail) > sizeof(to->sun_path))
		return false;
	memcpy(to->sun_path, dir, strlen(dir));
	memcpy(to->sun_path + strlen(dir), tail, sizeof(tail));
	return true;
}

/* Nobody else's engine is asked: what it says is done. */
static bool is_ours(int fd)
{
	struct ucred peer;
	socklen_t size = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 &&
	       peer.uid == geteuid();
}

/* Returns the memfd with the strings, -1 when there is none. */
static int put_strings(void)
{
	int fd = memfd_create("rustyrun-call", MFD_CLOEXEC);

	for (int i = 0; fd >= 0 && i < 3; i++) {
		const char *p = front.strings[i].iov_base;
		size_t left = front.strings[i].iov_len;
		ssize_t n;

		for (; left; left -= (size_t)n, p += n)
			if ((n = write(fd, p, left)) <= 0)
				return -1;
	}
	return fd;
}

static bool ask(char **argv)
{
	struct iovec data[4] = { { &front.request, sizeof(front.request) } };
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(2 * sizeof(int))];
	} control = { 0 };
	struct sockaddr_un to = { 0 };
	struct msghdr msg = { .msg_iov = data,
			      .msg_iovlen = 1,
			      .msg_control = &control };
	int fds[2];
	size_t n = 1;

	if (!find_socket(&to))
		return false;
	front.socket = socket(AF_UNIX,
			      SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (front.socket < 0 ||
	    connect(front.socket, (struct sockaddr *)&to, sizeof(to)) < 0 ||
	    !is_ours(front.socket) || !describe(argv))
		return false;
	fds[0] = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fds[0] < 0)
		return false;
	if (front.size > FRONT_INLINE) {
		fds[n++] = put_strings();
		if (fds[1] < 0)
			return false;
	} else {
		memcpy(data + 1, front.strings, sizeof(front.strings));
		msg.msg_iovlen = 4;
	}
	msg.msg_controllen = (socklen_t)CMSG_SPACE(n * sizeof(int));
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	control.head.cmsg_len = (socklen_t)CMSG_LEN(n * sizeof(int));
	memcpy(CMSG_DATA(&control.head), fds, n * sizeof(int));
	if (sendmsg(front.socket, &msg, MSG_NOSIGNAL) < 0)
		return false;
	while (n--)
		close(fds[n]);
	return true;
}

/* Where nobody hears it, the next packet is the end. */
static bool answer(uint32_t verb, long result, uint32_t count, const int *n)
{
	struct front_answer a = { .verb = verb,
				  .result = (int32_t)result,
				  .count = count };

	for (uint32_t i = 0; i < count; i++)
		a.number[i] = n[i];
	return send(front.socket, &a, sizeof(a), MSG_NOSIGNAL) ==
	       (ssize_t)sizeof(a);
}

/* One word of the engine's, 0 when none comes in time. TAKE alone has more than
 * its record. */
static uint32_t hear(int ms, struct front_take *said)
{
	struct pollfd p = { .fd = front.socket, .events = POLLIN };
	const struct front_record *r = &said->record;
	size_t size;
	ssize_t n;

	*said = (struct front_take){ 0 };
	if (poll(&p, 1, ms) <= 0)
		return 0;
	n = recv(front.socket, said, sizeof(*said), MSG_TRUNC);
	size = r->verb == FRONT_TAKE ? sizeof(*said) : sizeof(*r);
	return n == (ssize_t)size && r->size == size - sizeof(*r) ? r->verb : 0;
}

static bool is_taken(void)
{
	struct front_take said;
	uint32_t verb = hear((int)front_place.patience, &said);

	if (verb == FRONT_QUEUED)
		verb = hear(FRONT_QUEUED_MS, &said);
	return verb == FRONT_TAKE && fcntl(front.socket, F_SETFL, 0) == 0 &&
	       answer(FRONT_GO, 0, FRONT_NONCE, said.nonce);
}

/* What Deno does with itself, and the helper finds: SIGPIPE is ignored, more
 * files may be open. An ignored SIGCHLD hides how children end. */
static void be_like_deno(void)
{
	const struct sigaction none = { .sa_handler = SIG_IGN },
			       standard = { .sa_handler = SIG_DFL };
	const struct rlimit more = { (rlim_t)front.request.files[1],
				     (rlim_t)front.request.files[1] };

	sigaction(SIGPIPE, &none, &front.sigpipe);
	sigaction(SIGCHLD, &standard, &front.sigchld);
	setrlimit(RLIMIT_NOFILE, &more);
}

static void be_as_before(void)
{
	const struct rlimit files = { (rlim_t)front.request.files[0],
				      (rlim_t)front.request.files[1] };

	sigaction(SIGPIPE, &front.sigpipe, NULL);
	sigaction(SIGCHLD, &front.sigchld, NULL);
	setrlimit(RLIMIT_NOFILE, &files);
}

_Noreturn static void end(const char *why)
{
	say("rustyrun: Cannot go on: ");
	say(why);
	say("\n  hint: rustyrun list shows whether anything was made; the same command again starts anew\n");
	_exit(1);
}

/* Of SPAWN and BECOME. */
struct program {
	int fds[FRONT_FDS]; /* its own, and those that go along */
	int count;
	char *words[FRONT_WORDS + 1];
};

static bool read_program(const struct front_record *r, char *bytes,
			 struct program *p)
{
	const size_t head = (size_t)r->a * sizeof(int);
	char *end = bytes + r->size;

	if (r->a < 0 || r->a > FRONT_FDS || r->b < 2 || r->b > FRONT_WORDS ||
	    r->size < head || r->size == head || end[-1])
		return false;
	p->count = r->a;
	memcpy(p->fds, bytes, head);
	bytes += head;
	for (int i = 0; i < r->b; i++, bytes += strlen(bytes) + 1) {
		if (bytes >= end)
			return false;
		p->words[i] = bytes;
	}
	p->words[r->b] = NULL;
	return bytes == end;
}

/* Returns only where it fails. */
static int exec_program(const struct program *p)
{
	char *none[] = { NULL };
	int err;

	for (int i = 1; i < p->count; i++)
		fcntl(p->fds[i], F_SETFD, 0);
	execve(p->words[0], p->words + 1, none);
	err = errno;
	for (int i = 1; i < p->count; i++)
		fcntl(p->fds[i], F_SETFD, FD_CLOEXEC);
	return err;
}

static void spawn(const struct program *p)
{
	volatile int err = 0; /* written by the child, in the same memory */
	pid_t pid = vfork();

	if (pid == 0) {
		err = exec_program(p);
		_exit(127);
	}
	if (pid < 0)
		err = errno;
	else if (err)
		waitpid(pid, NULL, 0);
	for (int i = 0; i < p->count; i++)
		close(p->fds[i]);
	answer(FRONT_SPAWN, err ? -err : pid, 0, NULL);
}

static void wait_for(pid_t pid, int options)
{
	int status = 0;
	pid_t got;

	do
		got = waitpid(pid, &status, options);
	while (got < 0 && errno == EINTR);
	answer(FRONT_WAIT, got < 0 ? -errno : got, 1, &status);
}

/* Returns the length of the next packet, and its descriptors. */
static size_t receive(int fds[FRONT_FDS], uint32_t *count)
{
	union {
		struct cmsghdr head;
		char room[CMSG_SPACE(FRONT_FDS * sizeof(int))];
	} control;
	struct iovec data = { packet.bytes, sizeof(packet.bytes) };
	struct msghdr msg = { .msg_iov = &data,
			      .msg_iovlen = 1,
			      .msg_control = &control,
			      .msg_controllen = sizeof(control.room) };
	const struct cmsghdr *head;
	ssize_t n;

	do
		n = recvmsg(front.socket, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n <= 0)
		end("the warm engine has ended in the middle of this call");
	if (msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC))
		end("the warm engine said more than there is room for");
	head = CMSG_FIRSTHDR(&msg);
	*count = 0;
	if (head && head->cmsg_level == SOL_SOCKET &&
	    head->cmsg_type == SCM_RIGHTS) {
		*count = (uint32_t)((head->cmsg_len - CMSG_LEN(0)) /
				    sizeof(int));
		memcpy(fds, CMSG_DATA(head), *count * sizeof(int));
	}
	return (size_t)n;
}

/* Does what one packet says; false where the full program is wanted. */
static bool obey_one(const struct front_record *r, char *bytes, const int *fds,
		     uint32_t count)
{
	struct program p;

	switch (r->verb) {
	case FRONT_PRINT:
		if (r->a != 1 && r->a != 2)
			break;
		answer(FRONT_PRINT, -print(r->a, bytes, r->size), 0, NULL);
		return true;
	case FRONT_LEND:
		answer(FRONT_LEND, 0, count, fds);
		return true;
	case FRONT_SPAWN:
		if (!read_program(r, bytes, &p))
			break;
		spawn(&p);
		return true;
	case FRONT_BECOME:
		if (!read_program(r, bytes, &p))
			break;
		answer(FRONT_BECOME, -exec_program(&p), 0, NULL);
		return true;
	case FRONT_WAIT:
		wait_for(r->a, r->b);
		return true;
	case FRONT_EXIT:
		_exit(r->a);
	case FRONT_COLD:
		return false;
	}
	end("the warm engine said what this program does not understand");
}

/* Returns when the engine wants the full program. */
static void obey(void)
{
	struct front_record r;
	int fds[FRONT_FDS];
	uint32_t count;
	size_t length;

	do {
		length = receive(fds, &count);
		memcpy(&r, packet.bytes, sizeof(r));
		if (length < sizeof(r) || r.size != length - sizeof(r))
			end("the warm engine said half a word");
	} while (obey_one(&r, packet.bytes + sizeof(r), fds, count));
}

/* A front that is its own full program would start itself for ever. */
static void refuse_itself(void)
{
	struct stat own, full;

	if (stat("/proc/self/exe", &own) == 0 &&
	    stat(front_place.words, &full) == 0 && own.st_dev == full.st_dev &&
	    own.st_ino == full.st_ino)
		give_up(front_place.words, "it is this file");
}

_Noreturn static void become_full(int argc, char **argv)
{
	const uint32_t own = front_place.program;
	char **words = get_room((own + (size_t)argc + 1) * sizeof(*words));
	char *p = front_place.words;

	refuse_itself();
	if (!words)
		give_up(front_place.words, strerror(errno));
	for (uint32_t i = 0; i < own; i++, p += strlen(p) + 1)
		words[i] = p;
	for (int i = 1; i < argc; i++)
		words[own + (uint32_t)i - 1] = argv[i];
	execve(words[0], words, with_caches(environ));
	give_up(words[0], strerror(errno));
}

int main(int argc, char **argv)
{
	open_streams();
	find_program();
	if (ask(argv) && is_taken()) {
		be_like_deno();
		obey();
		be_as_before();
	}
	become_full(argc, argv);
}
