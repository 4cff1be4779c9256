/*
 * Floor: operations. The rest of a plan, which comes when it is known what is to
 * be run.
 */
#ifndef RUSTYRUN_REST_H
#define RUSTYRUN_REST_H

void run_rest(void);

#endif
