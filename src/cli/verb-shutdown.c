/* SPDX-License-Identifier: MIT */

/* Turning a guest off, or on again. */
#include <string.h>

#include "base/text.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/target.h"

static bool add_text(json_object *o, const char *key, const char *text)
{
        return json_object_object_add(o, key, json_object_new_string(text)) == 0;
}

static int enter(const char *target, const char *mode, const Settings *s)
{
        _cleanup_(client_freep) Client *c = NULL;
        _cleanup_json_ json_object *params = json_object_new_object(), *result = NULL;
        int r;

        if (!params || !add_text(params, "mode", mode) ||
            (s->message && !add_text(params, "message", s->message))) {
                output_error("out of memory");
                return EXIT_REFUSED;
        }
        r = target_open(target, s, &c);
        if (r == EXIT_OK)
                r = target_call(c, s, "system.shutdown", params, &result);
        if (r == EXIT_OK && s->json)
                output_json(result, false);
        return r;
}

int verb_shutdown(const Verb *verb, char **args, size_t n, const Settings *s)
{
        static const char *const modes[] = { "poweroff", "reboot", "halt", "suspend", "hibernate" };
        _cleanup_free_ char *shown = NULL;

        if (n == 1)
                return enter(args[0], modes[0], s);
        for (size_t i = 0; i < ELEMENTSOF(modes); i++)
                if (strcmp(args[1], modes[i]) == 0)
                        return enter(args[0], modes[i], s);
        shown = output_shown(args[1]);
        output_error("'%s' is none of poweroff, reboot, halt, suspend and hibernate",
                     shown ? shown : "?");
        return EXIT_USAGE;
}

int verb_reboot(const Verb *verb, char **args, size_t n, const Settings *s)
{
        return enter(args[0], "reboot", s);
}
