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
        (void)token_free(c->token);
        free(c);
        return NULL;
}

/* -EINVAL with a problem of that file noted, or -ENOMEM. */
static int token_problem(ConfigErrors *errors, const char *path, const char *problem)
{
        int r = text_list_take(&errors->list,
                               text_format("%s: the token: %s", path, problem ?: "out of memory"));

        return r < 0 ? r : -EINVAL;
}

int config_load_token(Config *c, ConfigErrors *errors)
{
        _cleanup_free_ char *credential = NULL, *problem = NULL;
        const char *path = c->agent.token_file;
        Token *token = NULL;
        int r;

        if (!path) {
                r = credential_path("guestwire.token", &credential);
                if (r < 0)
                        return r == -ENOENT ? 0 : r;
                path = credential;
        }
        r = token_read(path, credential ? 0 : TOKEN_CHECK_FILE, &token, &problem);
        /* A host gives its guests credentials, or does not. */
        if (r == -ENOENT && credential)
                return 0;
        if (r == -ENOMEM)
                return r;
        if (r < 0)
                return token_problem(errors, path, problem);
        (void)token_free(c->token);
        c->token = token;
        return 0;
}

void config_forget_token(Config *c)
{
        c->token = token_free(c->token);
}

const char *config_lacks_token(const Config *c)
{
        for (size_t i = 0; i < c->n_listens && !c->token; i++)
                if (c->listens[i]->trust & TRUST_TOKEN)
                        return c->listens[i]->section;
        return NULL;
}

void config_errors_done(ConfigErrors *e)
{
        text_list_free(e->list);
        e->list = NULL;
}
