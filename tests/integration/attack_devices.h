#ifndef ATTACK_DEVICES_H
#define ATTACK_DEVICES_H

/* devices FILE...: changes what may be changed of 0, 1, 2 and of files, and says in
 * /said what the three are and what they do. */
int devices(char **paths);

#endif
