/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* For LD_PRELOAD: a kernel that says of its clock what the variable SYNCHRONISED says, which no
 * test may do to the real one. */
#include <stdlib.h>
#include <sys/timex.h>

int
adjtimex(struct timex *clock)
{
    const char *yes = getenv("SYNCHRONISED");

    if (clock->modes != 0)
        abort();
    return yes && *yes == '1' ? TIME_OK : TIME_ERROR;
}
