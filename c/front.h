/*
 * Floor: the front, a program of its own beside the helper, so that it is small:
 * there is one for each call. It is what stands as `rustyrun` on PATH where a
 * warm engine serves. It asks the engine and does what the engine says, or becomes
 * the full program, which is "cold". It decides nothing.
 *
 * The packets between the two are those of a SOCK_SEQPACKET socket; twin of
 * mod/serve/protocol.ts (tests/layout_test.ts compares). All numbers are those
 * of the machine.
 *
 *   front   struct front_request, with the directory's descriptor, and that of
 *           the strings where they are larger than FRONT_INLINE; else they
 *           follow: words of the full program, words of the call (without the
 *           program's name), variables, each with its NUL
 *   engine  QUEUED: it is alive, TAKE or COLD follows; TAKE, struct front_take;
 *           COLD
 *   front   struct front_answer, GO, with the nonce of TAKE as its numbers: only
 *           who has heard TAKE can say it. Until then nothing has an effect
 *   engine  one record a packet, struct front_record and `size` bytes:
 *     PRINT   a: 1 or 2; the bytes. Answer: 0
 *     LEND    descriptors came with the packet. Answer: their numbers here
 *     SPAWN   a: how many descriptors: the program's and those that go along,
 *             int32 each; all are closed here afterwards. Then b words: path,
 *             argv. No environment. Answer: the pid
 *     WAIT    a: pid, b: options of waitpid(2). Answer: what that returns, and
 *             the status as the first number
 *     BECOME  as SPAWN, execve. Answer only where it fails
 *     EXIT    a: the code
 *     COLD    as before: the front becomes the full program
 *
 * Failures are answered as -errno. The end of the engine between GO and the end
 * of the call is an error; before GO it is "cold".
 */
#ifndef RUSTYRUN_FRONT_H
#define RUSTYRUN_FRONT_H

#include <stdint.h>

#define FRONT_MAGIC 0x544e4f5246595452ull /* "RTYFRONT" */
#define FRONT_VERSION 3
/* Bytes of a packet; of strings that go inside it; of strings at all, which
 * execve(2) limits to 6 MiB. */
#define FRONT_PACKET (33u << 10)
#define FRONT_INLINE (32u << 10)
#define FRONT_STRINGS (8u << 20)
/* Descriptors in one packet, and words of SPAWN. */
#define FRONT_FDS 16
#define FRONT_WORDS 8
/* Numbers of a nonce. */
#define FRONT_NONCE 4
/* Milliseconds until the engine's first answer, and until TAKE when that was
 * QUEUED. */
#define FRONT_FIRST_MS 5
#define FRONT_QUEUED_MS 2000
/* The file that is written over by `rustyrun front`: see struct front_place. */
#define FRONT_MARK "rustyrun's front"
#define FRONT_PROGRAM 4096
#define FRONT_SOCKET 108
/* The full program, beside the directory that bin/rustyrun is in. */
#define FRONT_INSTALLED "lib/rustyrun/rustyrun"

#define FRONT_QUEUED 1
#define FRONT_TAKE 2
#define FRONT_COLD 3
#define FRONT_GO 4
#define FRONT_PRINT 5
#define FRONT_LEND 6
#define FRONT_SPAWN 7
#define FRONT_WAIT 8
#define FRONT_BECOME 9
#define FRONT_EXIT 10

#define FRONT_STREAM_OTHER 0
#define FRONT_STREAM_TERMINAL 1
#define FRONT_STREAM_NULL 2
#define FRONT_STREAM_ZERO 3
#define FRONT_STREAM_FULL 4
#define FRONT_STREAM_RANDOM 5
#define FRONT_STREAM_URANDOM 6

struct front_request {
	uint64_t magic;
	uint32_t version;
	uint32_t size; /* of all strings */
	uint32_t program; /* how many words of each */
	uint32_t words;
	uint32_t variables;
	uint32_t umask;
	uint32_t stream[3]; /* 0 to 2: FRONT_STREAM_* */
	/* What fork and execve hand on and /proc does not tell. */
	uint32_t personality;
	uint32_t memory_policy;
	uint32_t securebits;
	uint32_t no_huge_pages;
	uint32_t zero;
	uint64_t timer_slack;
	uint64_t files[2]; /* RLIMIT_NOFILE: soft, hard */
};

struct front_record {
	uint32_t verb;
	uint32_t size;
	int32_t a;
	int32_t b;
};

/* TAKE. */
struct front_take {
	struct front_record record;
	int32_t nonce[FRONT_NONCE];
};

struct front_answer {
	uint32_t verb;
	int32_t result;
	uint32_t count;
	int32_t number[FRONT_FDS];
};

/* In the file's data, found by its mark: what the full program is, and where the
 * engine listens (empty: the usual place). */
struct front_place {
	char mark[16];
	uint32_t program; /* how many words */
	uint32_t size;	  /* of them */
	uint32_t patience; /* milliseconds that the engine's first word may take */
	char socket[FRONT_SOCKET];
	/* Each with its NUL. A path without "/" before it begins at the directory
	 * above the file's own: bin/rustyrun has "lib/rustyrun/rustyrun". */
	char words[FRONT_PROGRAM];
};

_Static_assert(sizeof(struct front_request) == 88, "protocol.ts reads 88 bytes");
_Static_assert(sizeof(struct front_record) == 16, "protocol.ts writes 16 bytes");
_Static_assert(sizeof(struct front_take) == 32, "protocol.ts writes 32 bytes");
_Static_assert(sizeof(struct front_answer) == 76, "protocol.ts reads 76 bytes");

#endif
