/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* usage: NAME-replay DIRECTORY - each file of it once; at least one must be there */
#include <stdio.h>

#include "fuzz.h"

int
main(int argc, char **argv)
{
    g_autoptr(GDir) dir = argc == 2 ? g_dir_open(argv[1], 0, NULL) : NULL;
    const char *name;
    guint n = 0;

    while (dir != NULL && (name = g_dir_read_name(dir)) != NULL) {
        g_autofree char *path = g_build_filename(argv[1], name, NULL);
        g_autofree char *text = NULL;
        gsize size;

        if (!g_file_get_contents(path, &text, &size, NULL))
            return 1;
        printf("%s\n", name);
        fflush(stdout);
        LLVMFuzzerTestOneInput((const uint8_t *)text, size);
        n++;
    }
    return n > 0 ? 0 : 1;
}
