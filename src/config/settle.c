/* SPDX-License-Identifier: MIT */

/*
 * What the keys of a section come to. It is known only when all files are read: a later one may
 * name another handler, and what a key is and what it is by default depends on that.
 */
#include <errno.h>
#include <string.h>

#include "base/text.h"
#include "config/merge.h"

static void *section_field(ConfigMerge *m, const ConfigSection *s, const ConfigOption *o)
{
        void *base = s->listen ? (void *)s->listen : (void *)s->method;

        return (char *)(base ? base : &m->config->agent) + o->offset;
}

/* text was parsed before; what it refers to, users and groups, may have gone since. */
static int settle_field(ConfigMerge *m, ConfigSection *s, const ConfigOption *o, const char *text)
{
        _cleanup_free_ char *problem = NULL;
        ConfigOrigin *at;
        int r;

        r = o->type->parse(o, text, section_field(m, s, o), &problem);
        if (r != -EINVAL || !problem)
                return r;
        at = config_section_origin(s, o);
        at->bad = true;
        problems_add(&m->problems, at->file, at->line, "%s: %s", o->key, problem);
        return 0;
}

static int settle_row(ConfigMerge *m, ConfigSection *s, const ConfigOption *o)
{
        const ConfigOrigin *at = config_section_origin(s, o);

        return settle_field(m, s, o, at->set && !at->bad ? at->text : o->preset);
}

static int settle_program(ConfigMerge *m, ConfigSection *s, ProgramSettings *p)
{
        const ConfigOrigin *at = config_section_origin(s, config_option_find("user", s->kind));
        _cleanup_free_ char *problem = NULL;
        int r;

        r = program_settle(p, &problem);
        if (r == -ENOMEM || r >= 0)
                return r;
        /* Only a `user` without `group`, and files that can no more be read, come here. */
        if (at->line == 0)
                at = config_section_origin(s, config_option_find("group", s->kind));
        problems_add(&m->problems, at->file, at->line, "user: %s",
                     problem ? problem
                             : "/etc/passwd and /etc/group cannot be read: correct "
                               "their permissions");
        return 0;
}

static unsigned section_handler(const ConfigSection *s)
{
        if (s->listen)
                return 1U << s->listen->handler;
        return s->method ? config_method_kind(s->method->name) : 0;
}

/* [agent] is the first section to be settled. */
static void settle_scope(const ConfigMerge *m, ProgramSettings *p)
{
        if (p->scope == SCOPE_AUTO)
                p->scope = m->config->agent.scope;
}

int config_settle(ConfigMerge *m, ConfigSection *s)
{
        AddressKind address;
        int r = 0;

        /* What the section's other keys depend on. */
        for (const ConfigOption *o = config_options; o->key && r >= 0; o++)
                if ((o->sections & s->kind) &&
                    (o->type == &config_type_handler || o->type == &config_type_address))
                        r = settle_row(m, s, o);
        s->handler = section_handler(s);
        address = s->listen ? s->listen->address.kind : ADDRESS_NONE;

        /* The rows that are not for it first: they may share a field with one that is. */
        for (const ConfigOption *o = config_options; o->key && r >= 0; o++)
                if (config_option_has_field(o, s->kind) && o->type != &config_type_address &&
                    !config_option_is_for(o, s->kind, s->handler, address))
                        r = settle_field(m, s, o, o->preset);
        for (const ConfigOption *o = config_options; o->key && r >= 0; o++)
                if (config_option_is_for(o, s->kind, s->handler, address))
                        r = settle_row(m, s, o);
        if (r >= 0 && s->kind != CONFIG_SECTION_AGENT)
                settle_scope(m, s->listen ? &s->listen->program : &s->method->program);
        if (r >= 0 && s->listen && s->listen->handler == HANDLER_EXEC) {
                /* A program a connection: there is nothing above it. */
                if (s->listen->program.max_instances == UINT64_MAX)
                        s->listen->program.max_instances = s->listen->max_connections;
                r = settle_program(m, s, &s->listen->program);
        }
        if (r >= 0 && s->method)
                r = settle_program(m, s, &s->method->program);
        return r;
}
