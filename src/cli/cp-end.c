/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "base/text.h"
#include "cli/cp.h"
#include "cli/output.h"
#include "cli/target.h"

/* Targets that are paths themselves: a slash before the first colon says nothing there. */
static const char *path_of_scheme(const char *word)
{
        static const char *const schemes[] = { "unix:", "mux:" };

        for (size_t i = 0; i < ELEMENTSOF(schemes); i++)
                if (strncmp(word, schemes[i], strlen(schemes[i])) == 0)
                        return word + strlen(schemes[i]);
        return NULL;
}

/* A name without a colon, or with a slash before it: a/b:c, ./b:c, /b:c. */
static bool is_local(const char *word)
{
        return !path_of_scheme(word) && word[strcspn(word, ":/")] != ':';
}

int cp_end_parse(const char *word, CpEnd *ret)
{
        _cleanup_address_ Address address = ADDRESS_NULL;
        _cleanup_free_ char *target = NULL, *shown = output_shown(word);
        const char *begin = path_of_scheme(word) ?: word, *colon;
        int r;

        if (!word[0]) {
                output_error("an empty name is the name of nothing");
                return EXIT_USAGE;
        }
        if (strcmp(word, "-") == 0) {
                *ret = (CpEnd){ .kind = CP_STREAM, .word = word, .path = word };
                return EXIT_OK;
        }
        if (is_local(word)) {
                *ret = (CpEnd){ .kind = CP_LOCAL, .word = word, .path = word };
                return EXIT_OK;
        }
        colon = strstr(begin, ":/");
        if (!colon) {
                output_error("'%s': behind a TARGET comes a path that begins with a slash, as in "
                             "21:/etc/hosts; a file here whose name has a colon is written ./NAME",
                             shown);
                return EXIT_USAGE;
        }
        target = strndup(word, (size_t)(colon - word));
        if (!target) {
                output_error("out of memory");
                return EXIT_REFUSED;
        }
        /* Before anything is connected: what is typed wrong needs no guest to say so. */
        r = target_parse(target, NULL, &address);
        if (r != EXIT_OK)
                return r;
        *ret = (CpEnd){
                .kind = CP_GUEST, .word = word, .target = TAKE_PTR(target), .path = colon + 1
        };
        return EXIT_OK;
}

void cp_end_done(CpEnd *e)
{
        free(e->target);
        *e = CP_END_NULL;
}

char *cp_base_name(const char *path)
{
        size_t n = strlen(path), begin;

        while (n > 0 && path[n - 1] == '/')
                n--;
        for (begin = n; begin > 0 && path[begin - 1] != '/';)
                begin--;
        if (n == begin || (n - begin == 2 && strncmp(path + begin, "..", 2) == 0))
                return strdup(".");
        return strndup(path + begin, n - begin);
}
