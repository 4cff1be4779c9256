/*
 * A 32-bit program that makes sockets in every way that i386 has: by socket(2),
 * and by socketcall(2), whose arguments are behind a pointer. Without a libc, so
 * that it needs no headers and libraries for 32 bits:
 *
 *     gcc -m32 -nostdlib -static -ffreestanding -fno-pie -no-pie socketcall.c
 *
 * Prints a line for each: its name, and the errno (0: there was a descriptor).
 */
enum { EXIT = 1, WRITE = 4, CLOSE = 6, SOCKETCALL = 102, SOCKET = 359 };
enum { CALL_SOCKET = 1, CALL_SOCKETPAIR = 8 };
enum { UNIX = 1, INET = 2, ALG = 38, VSOCK = 40, STREAM = 1, SEQPACKET = 5 };

static long call(long number, long a, long b, long c)
{
	long result;

	__asm__ volatile("int $0x80"
			 : "=a"(result)
			 : "a"(number), "b"(a), "c"(b), "d"(c)
			 : "memory");
	return result;
}

static void say(const char *name, long result)
{
	char digits[12], *end = digits + sizeof(digits), *p = end;
	unsigned int n = result < 0 ? (unsigned int)-result : 0;
	long length = 0;

	while (name[length])
		length++;
	call(WRITE, 1, (long)name, length);
	*--p = '\n';
	do
		*--p = (char)('0' + n % 10);
	while (n /= 10);
	*--p = ' ';
	call(WRITE, 1, (long)p, end - p);
	if (result > 2)
		call(CLOSE, result, 0, 0);
}

static long through(long which, long family, long type, void *pair)
{
	long arguments[4] = { family, type, 0, (long)pair };

	return call(SOCKETCALL, which, (long)arguments, 0);
}

void _start(void)
{
	int pair[2];

	say("inet", call(SOCKET, INET, STREAM, 0));
	say("vsock", call(SOCKET, VSOCK, STREAM, 0));
	say("alg", call(SOCKET, ALG, SEQPACKET, 0));
	say("inet through socketcall", through(CALL_SOCKET, INET, STREAM, 0));
	say("vsock through socketcall", through(CALL_SOCKET, VSOCK, STREAM, 0));
	say("alg through socketcall", through(CALL_SOCKET, ALG, SEQPACKET, 0));
	say("pair through socketcall",
	    through(CALL_SOCKETPAIR, UNIX, STREAM, pair));
	call(EXIT, 0, 0, 0);
}
