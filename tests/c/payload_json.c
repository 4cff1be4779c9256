/* How payload.c writes what it sees: one JSON object, as it goes. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "payload_json.h"

static FILE *out;
/* Something stands before in the object or list that is open. */
static int comma;

static void json_string(const char *s, size_t n)
{
	fputc('"', out);
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];
		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", c);
		else if (c < 32 || c > 126)
			fprintf(out, "\\u%04x", c);
		else
			fputc(c, out);
	}
	fputc('"', out);
}

/* A key of the object or an item of the list that is open. */
static void json_item(const char *key)
{
	if (comma)
		fputs(",\n", out);
	comma = 0;
	if (key) {
		json_string(key, strlen(key));
		fputc(':', out);
	}
}

void json_begin(const char *key, char bracket)
{
	json_item(key);
	fputc(bracket, out);
	comma = 0;
}

void json_end(char bracket)
{
	fputc(bracket, out);
	comma = 1;
}

void json_text(const char *key, const char *s)
{
	json_item(key);
	if (s)
		json_string(s, strlen(s));
	else
		fputs("null", out);
	comma = 1;
}

void json_number(const char *key, long long n)
{
	json_item(key);
	fprintf(out, "%lld", n);
	comma = 1;
}

void json_hex(const char *key, unsigned long long n)
{
	char s[32];
	snprintf(s, sizeof s, "0x%llx", n);
	json_text(key, s);
}

/* A number, or the name of the error that came instead. */
void json_result(const char *key, long long n)
{
	char s[32];
	if (n >= 0) {
		json_number(key, n);
		return;
	}
	snprintf(s, sizeof s, "errno %d", errno);
	json_text(key, s);
}

ssize_t slurp(const char *path, char *buf, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = 0, m;
	if (fd < 0)
		return -1;
	while ((m = read(fd, buf + n, size - 1 - (size_t)n)) > 0)
		n += m;
	if (m < 0 && n == 0)
		n = -1;
	close(fd);
	if (n >= 0)
		buf[n] = 0;
	return n;
}

void json_file(const char *key, const char *path)
{
	static char buf[1 << 18];
	char s[32];
	ssize_t n = slurp(path, buf, sizeof buf);
	json_item(key);
	if (n < 0) {
		snprintf(s, sizeof s, "errno %d", errno);
		json_string(s, strlen(s));
	} else {
		while (n > 0 && buf[n - 1] == '\n')
			n--;
		json_string(buf, (size_t)n);
	}
	comma = 1;
}

void json_lines(const char *key, const char *path)
{
	static char buf[1 << 18];
	ssize_t n = slurp(path, buf, sizeof buf);
	if (n < 0) {
		json_text(key, NULL);
		return;
	}
	json_begin(key, '[');
	for (char *l = strtok(buf, "\n"); l; l = strtok(NULL, "\n"))
		json_text(NULL, l);
	json_end(']');
}

void json_link_target(const char *key, const char *path)
{
	char buf[4096];
	ssize_t n = readlink(path, buf, sizeof buf);
	json_item(key);
	if (n < 0)
		fputs("null", out);
	else
		json_string(buf, (size_t)n);
	comma = 1;
}

void json_bytes(const char *key, const char *s, size_t n)
{
	json_item(key);
	json_string(s, n);
	comma = 1;
}

void json_start(FILE *file)
{
	out = file;
	comma = 0;
	fputc('{', out);
}

void json_finish(void)
{
	json_number("end", 1);
	fputs("}\n", out);
	fflush(out);
}
