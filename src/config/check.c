/* SPDX-License-Identifier: MIT */
#include <linux/vm_sockets.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"
#include "config/merge.h"

/* The origin of a key of a section by its name. */
static const ConfigOrigin *origin_of(const ConfigSection *s, const char *key)
{
        return config_section_origin(s, config_option_find(key, s->kind));
}

/* At a key where it was written, else at the section's header. */
static void _printf_(4, 5) check_problem(ConfigMerge *m, const ConfigSection *s, const char *key,
                                         const char *format, ...)
{
        const ConfigOrigin *at = &s->header;
        va_list ap;

        if (config_option_find(key, s->kind) && origin_of(s, key)->line > 0)
                at = origin_of(s, key);
        va_start(ap, format);
        problems_add_v(&m->problems, at->file, at->line, format, ap);
        va_end(ap);
}

static const char *address_kind_form(unsigned mask)
{
        if (mask == 1U << ADDRESS_UNIX)
                return "unix:";
        if (mask == 1U << ADDRESS_TCP)
                return "tcp:";
        return "vsock:";
}

/* Whom a key of that kind of section is for, over all its rows: "rpc", "echo or forward". */
static const char *takers(const char *key, ConfigSectionKind kind, char buffer[static 64])
{
        unsigned mask = 0;
        size_t n = 0;

        for (const ConfigOption *o = config_options; o->key; o++)
                if ((o->sections & kind) && strcmp(o->key, key) == 0)
                        mask |= o->handlers;
        *buffer = '\0';
        for (unsigned i = 0; i < HANDLER_KIND_MAX; i++) {
                if (!(mask & (1U << i)))
                        continue;
                mask &= ~(1U << i);
                n += (size_t)snprintf(buffer + n, 64 - n, "%s%s",
                                      n == 0 ? "" : (mask ? ", " : " or "),
                                      handler_kind_to_text((HandlerKind)i));
        }
        return buffer;
}

static void refuse_key(ConfigMerge *m, const ConfigSection *s, const ConfigOption *o)
{
        char names[64];

        if (s->listen)
                check_problem(m, s, o->key,
                              "the handler %s takes no %s (%s): remove it, or choose the handler "
                              "that does: %s",
                              handler_kind_to_text(s->listen->handler), o->key, o->help,
                              takers(o->key, s->kind, names));
        else if (s->handler == 1U << CONFIG_METHOD_SERVER)
                check_problem(m, s, o->key,
                              "%s (%s) is for a program, and [%s] is for a server: remove it, or "
                              "name one method instead of a prefix",
                              o->key, o->help, s->name);
        else
                check_problem(m, s, o->key,
                              "%s (%s) is for [method PREFIX.*] only: write command, or name a "
                              "prefix",
                              o->key, o->help);
}

/* Keys that the section's handler, or its kind of address, has no use for. */
static void check_keys(ConfigMerge *m, const ConfigSection *s)
{
        const AddressKind address = s->listen ? s->listen->address.kind : ADDRESS_NONE;

        for (const ConfigOption *o = config_options; o->key; o++) {
                const ConfigOption *wrong = o;

                /* Once a key, at its first row. */
                if (config_option_find(o->key, s->kind) != o || !origin_of(s, o->key)->set)
                        continue;
                /* The row of its handler, if there is one. */
                for (const ConfigOption *p = o; p->key; p++)
                        if ((p->sections & s->kind) && (p->handlers & s->handler) &&
                            strcmp(p->key, o->key) == 0)
                                wrong = p;
                if (!(wrong->handlers & s->handler))
                        refuse_key(m, s, wrong);
                else if (address != ADDRESS_NONE &&
                         !config_option_is_for(wrong, s->kind, s->handler, address))
                        check_problem(m, s, o->key, "%s (%s) is for a %s address only: remove it",
                                      o->key, wrong->help, address_kind_form(wrong->addresses));
        }
}

static void check_trust(ConfigMerge *m, const ConfigSection *s)
{
        const ListenSettings *l = s->listen;
        const char *what =
                l->handler == HANDLER_EXEC ? "run the program" : "call privileged methods";

        if ((l->trust & TRUST_TOKEN) && l->handler != HANDLER_RPC)
                check_problem(m, s, "trust",
                              "the token is proved by calls of agent.authenticate, which handler = "
                              "%s does not take: remove token, or set handler = rpc",
                              handler_kind_to_text(l->handler));
        /* Where there is nothing but the connection, who may connect is all that is asked. */
        if (l->handler != HANDLER_RPC && l->handler != HANDLER_EXEC)
                return;
        if (!(l->trust & TRUST_PEERS) || l->trust_unsafe)
                return;
        if (l->address.kind == ADDRESS_TCP)
                check_problem(m, s, "trust",
                              "trust = peers would let everybody who can open a TCP connection "
                              "%s: use trust = token or nobody or a unix: address, or add "
                              "trust-unsafe = yes if you mean it",
                              what);
        else if (!origin_of(s, "peers")->bad && cid_set_is_wider_than_host(&l->peers))
                check_problem(m, s, "trust",
                              "trust = peers would let more than the host %s: use peers = host "
                              "or trust = privileged or token, or add trust-unsafe = yes if you "
                              "mean it",
                              what);
}

static void check_address(ConfigMerge *m, const ConfigSection *s)
{
        const ListenSettings *l = s->listen;

        if (l->address.kind == ADDRESS_NONE) {
                if (!origin_of(s, "address")->bad)
                        problems_add(&m->problems, s->header.file, s->header.line,
                                     "[%s] has no address: add address = unix:/PATH, "
                                     "tcp:127.0.0.1:PORT, tcp:[::1]:PORT or vsock:PORT",
                                     s->name);
                return;
        }
        if (l->address.kind == ADDRESS_TCP &&
            (l->handler == HANDLER_RPC || l->handler == HANDLER_EXEC) &&
            !address_is_loopback(&l->address))
                check_problem(m, s, "address",
                              "the handler %s on TCP must bind loopback, where nothing is "
                              "encrypted: write tcp:127.0.0.1:PORT or tcp:[::1]:PORT",
                              handler_kind_to_text(l->handler));
}

/* Whether what comes in would come in again. */
static bool forwards_to_itself(const ListenSettings *l)
{
        if (l->to.kind == ADDRESS_VSOCK && l->address.kind == ADDRESS_VSOCK)
                return l->to.cid == VMADDR_CID_LOCAL && l->to.port == l->address.port;
        return l->to.kind != ADDRESS_NONE && address_equal(&l->to, &l->address);
}

static void check_handler(ConfigMerge *m, const ConfigSection *s)
{
        const ListenSettings *l = s->listen;

        if (l->handler == HANDLER_FORWARD && l->to.kind == ADDRESS_NONE && !origin_of(s, "to")->bad)
                check_problem(m, s, "handler",
                              "[%s] forwards to nowhere: add to = tcp:HOST:PORT, unix:/PATH, "
                              "vsock:CID:PORT or mux:/PATH:PORT",
                              s->name);
        if (l->handler == HANDLER_FORWARD && forwards_to_itself(l))
                check_problem(m, s, "to", "[%s] would forward to itself, without end: change to",
                              s->name);
        if (l->handler == HANDLER_EXEC && !l->program.command && !origin_of(s, "command")->bad)
                check_problem(m, s, "handler", "[%s] has no program: add command = /PATH ARGUMENTS",
                              s->name);
}

static void check_method(ConfigMerge *m, const ConfigSection *s)
{
        const ConfigOrigin *command = origin_of(s, "command"), *to = origin_of(s, "to");

        /* What was written in the one's place is told by check_keys(). */
        if (command->set || to->set)
                return;
        if (s->handler == 1U << CONFIG_METHOD_SERVER)
                problems_add(&m->problems, s->header.file, s->header.line,
                             "[%s] has no server: add to = unix:/PATH", s->name);
        else
                problems_add(&m->problems, s->header.file, s->header.line,
                             "[%s] has no program: add command = /PATH ARGUMENTS", s->name);
}

/* Of a section, or of [agent] itself. */
static void check_properties(ConfigMerge *m, const ConfigSection *s)
{
        const AgentSettings *agent = &m->config->agent;
        const ProgramSettings *p = s->listen   ? &s->listen->program
                                   : s->method ? &s->method->program
                                               : NULL;
        ProgramScope scope = p ? p->scope : agent->scope;

        if (scope == SCOPE_AGENT && (p ? p->properties : agent->properties))
                check_problem(m, s, "properties",
                              "properties are those of transient units, and with scope = agent "
                              "there are none: remove them, or set scope = unit");
}

/* Two sections on one address: told at the second, by the order of mention. */
static void check_collisions(ConfigMerge *m)
{
        for (size_t i = 1; i < m->n_sections; i++) {
                const ConfigSection *s = m->sections[i];

                for (size_t j = 1; j < i && s->listen && !s->broken; j++) {
                        const ConfigSection *t = m->sections[j];

                        if (t->broken || !t->listen || s->listen->address.kind == ADDRESS_NONE ||
                            !address_equal(&s->listen->address, &t->listen->address))
                                continue;
                        check_problem(m, s, "address",
                                      "[%s] and [%s] (%s:%u) have the same address: change or "
                                      "remove one",
                                      s->name, t->name, m->problems.files[t->header.file],
                                      t->header.line);
                        break;
                }
        }
}

void config_check(ConfigMerge *m)
{
        check_properties(m, m->sections[0]);
        for (size_t i = 1; i < m->n_sections; i++) {
                const ConfigSection *s = m->sections[i];

                if (s->broken)
                        continue;
                if (s->kind == CONFIG_SECTION_LISTEN)
                        check_address(m, s);
                /* Of a handler that there is not, it cannot be told what it takes. */
                if (!s->listen || !origin_of(s, "handler")->bad)
                        check_keys(m, s);
                check_properties(m, s);
                if (s->listen) {
                        check_trust(m, s);
                        check_handler(m, s);
                } else {
                        check_method(m, s);
                }
        }
        check_collisions(m);
}
