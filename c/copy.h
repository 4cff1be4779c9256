/*
 * Floor: operations. copy-up.
 */
#ifndef RUSTYRUN_COPY_H
#define RUSTYRUN_COPY_H

/* Copies what is in one directory into another, empty one. */
void copy_up(int source, int onto);

#endif
