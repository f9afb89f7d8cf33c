/* SPDX-License-Identifier: MIT */
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "config/config.h"
#include "config/quote.h"
#include "config/table.h"

static void print_keys(FILE *f, ConfigSectionKind kind, unsigned handler, AddressKind address,
                       const void *base)
{
        for (const ConfigOption *o = config_options; o->key; o++) {
                _cleanup_free_ char *text = NULL;

                if (!config_option_is_for(o, kind, handler, address))
                        continue;
                text = o->type->print(o, (const char *)base + o->offset);
                if (!text)
                        continue;
                if (o->type->words)
                        quote_print_words(f, o->key, text);
                else
                        quote_print(f, o->key, text);
        }
}

void config_print(const Config *c, FILE *f)
{
        fputs("[agent]\n", f);
        print_keys(f, CONFIG_SECTION_AGENT, 0, ADDRESS_NONE, &c->agent);
        for (size_t i = 0; i < c->n_listens; i++) {
                const ListenSettings *l = c->listens[i];
                bool port = strncmp(l->section, "port ", strlen("port ")) == 0;

                fprintf(f, "\n[%s]\n", l->section);
                print_keys(f, port ? CONFIG_SECTION_PORT : CONFIG_SECTION_LISTEN, 1U << l->handler,
                           l->address.kind, l);
        }
        for (size_t i = 0; i < c->n_methods; i++) {
                const MethodSettings *m = c->methods[i];

                fprintf(f, "\n[method %s]\n", m->name);
                print_keys(f, CONFIG_SECTION_METHOD, config_method_kind(m->name), ADDRESS_NONE, m);
        }
}
