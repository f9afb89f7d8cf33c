/* SPDX-License-Identifier: MIT */
#include "cli/route.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/output.h"
#include "cli/target.h"

#define LOCAL_FORMS "8080:80, 127.0.0.1:8080:80, [::1]:8080:80 or /run/guest.sock:80"

static bool has_prefix(const char *local)
{
        static const char *const prefixes[] = { "unix:", "tcp:" };

        for (size_t i = 0; i < ELEMENTSOF(prefixes); i++)
                if (strncmp(local, prefixes[i], strlen(prefixes[i])) == 0)
                        return true;
        return false;
}

static bool is_relative_path(const char *local)
{
        return !has_prefix(local) && local[0] != '/' && strchr(local, '/');
}

/* In the words that address_parse_listen() knows. NULL without memory. */
static char *listen_text(const char *local)
{
        _cleanup_free_ char *folder = NULL;

        if (has_prefix(local))
                return strdup(local);
        if (local[0] == '/')
                return text_format("unix:%s", local);
        if (is_relative_path(local)) {
                /* A listener's path is absolute: its folder is checked from the root on. */
                folder = getcwd(NULL, 0);
                return folder ? text_format("unix:%s/%s", folder, local) : NULL;
        }
        if (strncmp(local, "localhost:", strlen("localhost:")) == 0)
                return text_format("tcp:127.0.0.1%s", strchr(local, ':'));
        return text_format(strchr(local, ':') ? "tcp:%s" : "tcp:127.0.0.1:%s", local);
}

static int parse_local(const char *local, Address *ret)
{
        _cleanup_free_ char *text = listen_text(local), *problem = NULL;
        int r;

        if (!text) {
                output_error("out of memory");
                return EXIT_REFUSED;
        }
        r = address_parse_listen(text, ret, &problem);
        if (r < 0) {
                output_error("%s", problem ?: strerror(-r));
                return EXIT_USAGE;
        }
        return EXIT_OK;
}

/* The TARGET, with REMOTE for its port. */
static int parse_remote(const char *target, const char *port, Address *ret)
{
        _cleanup_address_ Address whole = ADDRESS_NULL;
        int r;

        r = target_parse(target, NULL, &whole);
        if (r != EXIT_OK)
                return r;
        if (whole.kind == ADDRESS_UNIX) {
                output_error("a Unix socket has no ports to forward to: was mux:PATH meant?");
                return EXIT_USAGE;
        }
        return target_parse(target, port, ret);
}

int route_parse(const char *text, const char *target, Route *ret)
{
        _cleanup_(route_done) Route route = {};
        const char *colon = strrchr(text, ':');
        _cleanup_free_ char *local = NULL;
        int r;

        if (!colon || colon == text || !colon[1]) {
                _cleanup_free_ char *shown = output_shown(text);

                output_error("'%s' is no LOCAL:REMOTE: write " LOCAL_FORMS, shown ?: "?");
                return EXIT_USAGE;
        }
        local = strndup(text, (size_t)(colon - text));
        if (!local) {
                output_error("out of memory");
                return EXIT_REFUSED;
        }
        r = parse_local(local, &route.local);
        if (r == EXIT_OK)
                r = parse_remote(target, colon + 1, &route.remote);
        if (r != EXIT_OK)
                return r;
        /* As it was given: people know where they are. */
        route.local_text = is_relative_path(local) ? text_format("unix:%s", local)
                                                   : address_to_text(&route.local);
        route.remote_text = address_to_text(&route.remote);
        if (!route.local_text || !route.remote_text) {
                output_error("out of memory");
                return EXIT_REFUSED;
        }
        *ret = route;
        route = (Route){};
        return EXIT_OK;
}

void route_done(Route *r)
{
        address_done(&r->local);
        address_done(&r->remote);
        free(r->local_text);
        free(r->remote_text);
        *r = (Route){};
}
