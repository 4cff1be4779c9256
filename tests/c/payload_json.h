/* Writes one JSON object. A key of NULL is for an item of the open list. */
#ifndef PAYLOAD_JSON_H
#define PAYLOAD_JSON_H

#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

void json_start(FILE *file);
/* Ends it with "end": a report that was cut off has none. */
void json_finish(void);
/* Opens and closes an object or a list: "{" to "}". */
void json_begin(const char *key, char bracket);
void json_end(char bracket);
/* NULL is null. */
void json_text(const char *key, const char *s);
void json_bytes(const char *key, const char *s, size_t n);
void json_number(const char *key, long long n);
void json_hex(const char *key, unsigned long long n);
/* A number, or the number of the error that came instead. */
void json_result(const char *key, long long n);
/* What a file holds, without newlines at its end; or why not. */
void json_file(const char *key, const char *path);
/* The same as a list; null when it cannot be read. */
void json_lines(const char *key, const char *path);
void json_link_target(const char *key, const char *path);

/* Reads a file as a string; -1 when that cannot be. */
ssize_t slurp(const char *path, char *buf, size_t size);

#endif
