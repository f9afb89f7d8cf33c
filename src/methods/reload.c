/* SPDX-License-Identifier: MIT */
#include "methods/reload.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>

#include "base/text.h"
#include "methods/context.h"
#include "methods/members.h"

typedef struct Reload Reload;

/*
 * A reload that was asked for. A new configuration may close the very connection that asked,
 * so that it cannot be applied from within the call: it runs from an event source of its own,
 * which owns this (its destroy callback frees it) and belongs to the loop.
 */
struct Reload {
        AgentContext *context;
        Call *call; /* NULL once it is ended */
        sd_event_source *source;
        bool running;
};

static void reload_destroy(void *userdata)
{
        free(userdata);
}

/* Gives the source up, and with it the Reload, at once or at the end of its dispatch. */
static void reload_drop(Reload *reload)
{
        /* A floating source is the loop's; taking it back takes away its last reference. */
        (void)sd_event_source_set_enabled(reload->source, SD_EVENT_OFF);
        (void)sd_event_source_set_floating(reload->source, 0);
}

static json_object *reload_errors_to_json(const ConfigErrors *errors)
{
        _cleanup_json_ json_object *array = json_object_new_array();
        Members m;

        for (size_t i = 0; errors->list && errors->list[i]; i++)
                if (members_array_take(array,
                                       members_text(errors->list[i], strlen(errors->list[i]))) < 0)
                        return NULL;
        members_init(&m);
        members_add_value(&m, "errors", TAKE_PTR(array));
        return members_take(&m);
}

static void reload_answer(Call *call, int r, const ConfigErrors *errors)
{
        if (r >= 0)
                call_reply_text(call, "{}", strlen("{}"));
        else if (r == -EINVAL)
                call_fail_data(call, REASON_FAILED, 0, reload_errors_to_json(errors),
                               "The configuration has %zu error%s; the old one stays in force",
                               text_list_length(errors->list),
                               text_list_length(errors->list) == 1 ? "" : "s");
        else
                call_fail(call, REASON_FAILED, -r, "The configuration cannot be applied: %s",
                          strerror(-r));
}

static int reload_dispatch(sd_event_source *source, void *userdata)
{
        Reload *reload = userdata;
        ConfigErrors errors = {};
        int r;

        reload->running = true;
        r = reload->context->reload(reload->context->agent, &errors);
        /* The connection may have been closed by that: reload_cancel() then ended the call. */
        if (reload->call)
                reload_answer(TAKE_PTR(reload->call), r, &errors);
        config_errors_done(&errors);
        reload_drop(reload);
        return 0;
}

static void reload_cancel(Call *call, CallEnd why, void *userdata)
{
        Reload *reload = userdata;

        reload->call = NULL;
        /* Whoever asked and left wanted the reload all the same. */
        if (why != CALL_GONE && !reload->running)
                reload_drop(reload);
        call_fail(call, REASON_CANCELLED, 0, "Cancelled before the configuration was read");
}

void reload_run(Call *call, json_object *params, void *userdata)
{
        AgentContext *context = userdata;
        Reload *reload = NULL;
        int r;

        reload = malloc(sizeof *reload);
        if (!reload) {
                call_reply(call, NULL);
                return;
        }
        *reload = (Reload){ .context = context, .call = call };
        r = sd_event_add_defer(context->event, &reload->source, reload_dispatch, reload);
        if (r < 0) {
                free(reload);
                call_fail(call, REASON_FAILED, -r, "The reload cannot be scheduled: %s",
                          strerror(-r));
                return;
        }
        (void)sd_event_source_set_description(reload->source, "reload");
        (void)sd_event_source_set_destroy_callback(reload->source, reload_destroy);
        (void)sd_event_source_set_floating(reload->source, 1);
        /* The loop has its own reference now; this one is not kept. */
        sd_event_source_unref(reload->source);
        call_set_cancel(call, reload_cancel, reload);
}
