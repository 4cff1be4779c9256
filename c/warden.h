/*
 * Floor: operations. The warden, which cleans up when the keeper is killed.
 */
#ifndef RUSTYRUN_WARDEN_H
#define RUSTYRUN_WARDEN_H

#include <sys/types.h>

#include "stage.h"

/* Runs OP_WARDEN. Returns in a new process (same parent as the caller, see
 * CLONE_PARENT) with child.warden set; the calling process becomes the warden
 * and never returns. */
void warden_split(struct child *c, const struct op *op);
/* Tells the warden of the container's first process. False with errno where it is
 * there and cannot be told. */
bool warden_tell(struct child *c, int pidfd, pid_t pid);

#endif
