/* SPDX-License-Identifier: MIT */
#include "proc/environment.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "config/user.h"

#define SEARCH_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* Adds NAME=VALUE, in the place of an earlier one of that name. Takes it over. 0 or -ENOMEM. */
static int environment_take(char ***list, char *variable)
{
        size_t n;

        if (!variable)
                return -ENOMEM;
        n = strcspn(variable, "=") + 1;
        for (char **v = *list; v && *v; v++)
                if (strncmp(*v, variable, n) == 0) {
                        free(*v);
                        *v = variable;
                        return 0;
                }
        return text_list_take(list, variable);
}

static int environment_add(char ***list, const char *const *variables)
{
        int r = 0;

        for (; variables && *variables && r >= 0; variables++)
                r = environment_take(list, strdup(*variables));
        return r;
}

static int environment_set(char ***list, const char *name, const char *value)
{
        return environment_take(list, text_format("%s=%s", name, value));
}

/* Of whom the program runs as. The daemon's own account is looked up once: it does not change. */
static int environment_add_user(char ***list, const ProgramSettings *settings)
{
        static User own = USER_NULL;
        const char *name = settings->user, *home = settings->home;
        int r;

        if (!own.name && (!name || !home))
                (void)user_find(NULL, geteuid(), &own);
        if (!name)
                name = own.name ? own.name : geteuid() == 0 ? "root" : NULL;
        if (!home)
                home = own.home ? own.home : "/";
        r = environment_set(list, "HOME", home);
        if (r >= 0 && name)
                r = environment_set(list, "USER", name);
        if (r >= 0 && name)
                r = environment_set(list, "LOGNAME", name);
        return r;
}

/* A caller's number; empty where it has none, so that a script can tell. */
static int environment_add_number(char ***list, const char *name, bool known, uint32_t number)
{
        return text_list_take(list, known ? text_format("%s=%" PRIu32, name, number)
                                          : text_format("%s=", name));
}

int environment_add_peer(char ***list, const Peer *peer)
{
        bool vsock = peer->kind == PEER_VSOCK;
        int r;

        r = environment_add_number(list, "GUESTWIRE_PEER_CID", vsock, peer->cid);
        if (r >= 0)
                r = environment_add_number(list, "GUESTWIRE_PEER_PORT", vsock, peer->port);
        if (r >= 0)
                r = environment_add_number(list, "GUESTWIRE_PORT", vsock, peer->local_port);
        return r;
}

char **environment_new(const ProgramSettings *settings, const char *const *extra)
{
        _cleanup_text_list_ char **list = NULL;
        const char *lang = getenv("LANG");
        int r;

        r = environment_set(&list, "PATH", SEARCH_PATH);
        if (r >= 0)
                r = environment_add_user(&list, settings);
        if (r >= 0)
                r = environment_set(&list, "LANG", lang && *lang ? lang : "C.UTF-8");
        if (r >= 0)
                r = environment_add(&list, (const char *const *)settings->environment);
        if (r >= 0)
                r = environment_add(&list, extra);
        return r < 0 ? NULL : TAKE_PTR(list);
}
