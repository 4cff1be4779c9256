/*
 * A file of the helper (FUZZ_UNIT) with a way to set its state (FUZZ_STATE)
 * back to that of a new process. Compiled once for each such file.
 */
#include <string.h>

#include "fuzz.h"

#include FUZZ_UNIT

void FUZZ_RESET(void)
{
	memset(&FUZZ_STATE, 0, sizeof(FUZZ_STATE));
}
