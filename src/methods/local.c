/* SPDX-License-Identifier: MIT */
#include "methods/local.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "methods/local-internal.h"

struct LocalMethods {
        unsigned n_ref;
        Config *config; /* a reference: keeps the settings, and with them the names */
        size_t n;
        LocalMethod *methods;
        Method *rows; /* n, and the one that ends the table */
};

#define PROGRAM_REASONS                                                                           \
        (1U << REASON_BUSY | 1U << REASON_LIMIT | 1U << REASON_TIMEOUT | 1U << REASON_CANCELLED | \
         1U << REASON_FAILED)
#define SERVER_REASONS                                                         \
        (1U << REASON_BUSY | 1U << REASON_UNAVAILABLE | 1U << REASON_TIMEOUT | \
         1U << REASON_CANCELLED)

static void server_run(Call *call, json_object *params, void *userdata)
{
        const LocalMethod *m = call_method(call)->data;

        local_server_call(m->server, call, params, m->settings->timeout);
}

static FieldType field_type(MethodParamType t)
{
        static const FieldType types[] = {
                [METHOD_PARAM_STRING] = FIELD_STRING, [METHOD_PARAM_INTEGER] = FIELD_INTEGER,
                [METHOD_PARAM_NUMBER] = FIELD_NUMBER, [METHOD_PARAM_BOOLEAN] = FIELD_BOOLEAN,
                [METHOD_PARAM_ARRAY] = FIELD_ARRAY,   [METHOD_PARAM_OBJECT] = FIELD_OBJECT,
        };

        return types[t];
}

static int method_set_params(LocalMethod *m)
{
        const MethodSettings *s = m->settings;

        if (s->n_params == 0)
                return 0;
        m->params = calloc(s->n_params + 1, sizeof(*m->params));
        if (!m->params)
                return -ENOMEM;
        for (size_t i = 0; i < s->n_params; i++)
                m->params[i] = (Field){
                        .name = s->params[i].name,
                        .type = field_type(s->params[i].type),
                        .flags = s->params[i].optional ? FIELD_OPTIONAL : 0,
                };
        return 0;
}

/* The programs that run already under this method's name, or none. */
static int method_set_runs(LocalMethod *m, const LocalMethods *previous)
{
        for (size_t i = 0; previous && i < previous->n; i++) {
                const LocalMethod *old = &previous->methods[i];

                if (old->runs && strcmp(old->settings->name, m->settings->name) == 0) {
                        m->runs = old->runs;
                        m->runs->n_ref++;
                        return 0;
                }
        }
        m->runs = malloc(sizeof(*m->runs));
        if (!m->runs)
                return -ENOMEM;
        *m->runs = (LocalRuns){ .n_ref = 1 };
        list_init(&m->runs->list);
        return 0;
}

/* The server of this address, whichever method has it. */
static LocalServer *find_server(const LocalMethods *l, const Address *address)
{
        for (size_t i = 0; l && i < l->n; i++) {
                LocalServer *server = l->methods[i].server;

                if (server && address_equal(local_server_address(server), address))
                        return server;
        }
        return NULL;
}

static int method_set_server(LocalMethod *m, const LocalMethods *l, const LocalMethods *previous)
{
        const Address *to = &m->settings->to;
        LocalServer *server;

        server = find_server(l, to) ?: find_server(previous, to);
        if (!server)
                return local_server_new(m->context->event, to, m->max_message, &m->server);
        m->server = local_server_ref(server);
        local_server_set_max_message(server, m->max_message);
        return 0;
}

static Method method_row(const LocalMethod *m)
{
        const MethodSettings *s = m->settings;
        Method row = {
                .name = s->name,
                .flags = METHOD_ASYNC | (s->privileged ? METHOD_PRIVILEGED : 0U),
                .summary = s->summary,
                .params = m->params,
                .data = m,
        };

        if (m->server) {
                row.run = server_run;
                row.flags |= METHOD_PREFIX | METHOD_RESULT_ANY;
                row.reasons = SERVER_REASONS;
        } else {
                row.run = local_program_run;
                row.flags |=
                        s->output == METHOD_OUTPUT_TEXT ? METHOD_RESULT_STRING : METHOD_RESULT_ANY;
                row.reasons = PROGRAM_REASONS;
        }
        return row;
}

int local_methods_new(AgentContext *context, const Config *config, LocalMethods *previous,
                      LocalMethods **ret, const Method **ret_table)
{
        _cleanup_(local_methods_unrefp) LocalMethods *l = NULL;
        int r;

        l = malloc(sizeof(*l));
        if (!l)
                return -ENOMEM;
        /* How often it is referred to is no part of a configuration: const it stays. */
        *l = (LocalMethods){ .n_ref = 1, .config = config_ref((Config *)config) };
        l->methods = calloc(config->n_methods + 1, sizeof(*l->methods));
        l->rows = calloc(config->n_methods + 1, sizeof(*l->rows));
        if (!l->methods || !l->rows)
                return -ENOMEM;

        for (size_t i = 0; i < config->n_methods; i++) {
                LocalMethod *m = &l->methods[i];

                *m = (LocalMethod){
                        .context = context,
                        .settings = config->methods[i],
                        .max_message = config->agent.max_message,
                };
                l->n++;
                r = method_set_params(m);
                if (r >= 0)
                        r = m->settings->to.kind == ADDRESS_NONE
                                    ? method_set_runs(m, previous)
                                    : method_set_server(m, l, previous);
                if (r < 0)
                        return r;
                l->rows[i] = method_row(m);
        }
        *ret_table = l->rows;
        *ret = TAKE_PTR(l);
        return 0;
}

LocalServer *local_method_server(const Method *row)
{
        const LocalMethod *m = row->data;

        return m->server;
}

LocalMethods *local_methods_unref(LocalMethods *l)
{
        if (!l || --l->n_ref > 0)
                return NULL;
        for (size_t i = 0; i < l->n; i++) {
                (void)local_runs_unref(l->methods[i].runs);
                (void)local_server_unref(l->methods[i].server);
                free(l->methods[i].params);
        }
        free(l->methods);
        free(l->rows);
        config_unref(l->config);
        free(l);
        return NULL;
}
