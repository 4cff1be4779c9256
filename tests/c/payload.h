/* The words of payload.c that payload_host.c answers. */
#ifndef PAYLOAD_H
#define PAYLOAD_H

int recvtty(const char *path);
int listener(const char *path);
int hold(const char *flags);
int clean(char **argv);

#endif
