/* SPDX-License-Identifier: MIT */

/*
 * Stands in for libFuzzer's main(): runs the harness over each file of the folders (or over the
 * files) named on the command line, and says in TAP what it did. A harness that finds a fault
 * aborts, which the TAP driver reports.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/macros.h"
#include "base/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static unsigned n_done;

static int replay_file(const char *path)
{
        _cleanup_free_ uint8_t *data = NULL;
        struct stat st;
        FILE *f;
        size_t n;

        f = fopen(path, "re");
        if (!f || fstat(fileno(f), &st) < 0) {
                fprintf(stderr, "%s: %s\n", path, strerror(errno));
                if (f)
                        fclose(f);
                return -1;
        }
        /* Exactly as large as the input, so that a sanitizer sees a read past its end. */
        data = malloc((size_t)st.st_size + (st.st_size == 0));
        if (!data)
                abort();
        n = fread(data, 1, (size_t)st.st_size, f);
        fclose(f);
        (void)LLVMFuzzerTestOneInput(data, n);
        printf("ok %u - %s\n", ++n_done, path);
        fflush(stdout);
        return 0;
}

static int replay_path(const char *path)
{
        struct dirent **entries = NULL;
        int r = 0, n;

        n = scandir(path, &entries, NULL, alphasort);
        if (n < 0 && errno == ENOTDIR)
                return replay_file(path);
        if (n < 0) {
                fprintf(stderr, "%s: %s\n", path, strerror(errno));
                return -1;
        }
        for (int i = 0; i < n; i++) {
                _cleanup_free_ char *child = NULL;

                if (entries[i]->d_name[0] != '.') {
                        child = text_format("%s/%s", path, entries[i]->d_name);
                        if (!child || replay_file(child) < 0)
                                r = -1;
                }
                free(entries[i]);
        }
        free(entries);
        return r;
}

int main(int argc, char **argv)
{
        int r = 0;

        for (int i = 1; i < argc; i++)
                if (replay_path(argv[i]) < 0)
                        r = 1;
        printf("1..%u\n", n_done);
        return n_done == 0 ? 1 : r;
}
