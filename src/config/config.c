/* SPDX-License-Identifier: MIT */
#include "config/config.h"

#include <errno.h>
#include <stdlib.h>

#include "base/text.h"
#include "config/table.h"

int config_new(Config **ret)
{
        Config *c;

        c = calloc(1, sizeof(*c));
        if (!c)
                return -ENOMEM;
        c->n_ref = 1;
        *ret = c;
        return 0;
}

static void done_fields(void *settings, unsigned sections)
{
        for (const ConfigOption *o = config_options; o->key; o++)
                if ((o->sections & sections) && o->type->done)
                        o->type->done((char *)settings + o->offset);
}

ListenSettings *config_listen_free(ListenSettings *l)
{
        if (!l)
                return NULL;
        done_fields(l, CONFIG_SECTION_PORT | CONFIG_SECTION_LISTEN);
        free(l->section);
        free(l);
        return NULL;
}

MethodSettings *config_method_free(MethodSettings *m)
{
        if (!m)
                return NULL;
        done_fields(m, CONFIG_SECTION_METHOD);
        free(m->name);
        free(m);
        return NULL;
}

Config *config_ref(Config *c)
{
        c->n_ref++;
        return c;
}

Config *config_unref(Config *c)
{
        if (!c || --c->n_ref > 0)
                return NULL;
        for (size_t i = 0; i < c->n_listens; i++)
                config_listen_free(c->listens[i]);
        free(c->listens);
        for (size_t i = 0; i < c->n_methods; i++)
                config_method_free(c->methods[i]);
        free(c->methods);
        done_fields(&c->agent, CONFIG_SECTION_AGENT);
        free(c);
        return NULL;
}

void config_errors_done(ConfigErrors *e)
{
        text_list_free(e->list);
        e->list = NULL;
}
