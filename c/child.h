/*
 * Floor: roles. The child stage: runs a plan.
 */
#ifndef RUSTYRUN_CHILD_H
#define RUSTYRUN_CHILD_H

/* `word`: "child" of the command line, for say_progress. */
_Noreturn void child_main(int plan_fd, char *word);
/* The same with the report channel, through which the plan comes once it is known;
 * `word`: "await", which becomes "child" then. */
_Noreturn void child_await(int channel, char *word);

#endif
