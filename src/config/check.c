/* SPDX-License-Identifier: MIT */
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

/* Keys that the section's handler or its kind of address has no use for. */
static void check_keys(ConfigMerge *m, const ConfigSection *s)
{
        const ListenSettings *l = s->settings;

        for (const ConfigOption *o = config_options; o->key; o++) {
                if (!(o->sections & s->kind) || !config_section_origin(s, o)->set)
                        continue;
                if (!(o->handlers & (1U << l->handler)))
                        check_problem(m, s, o->key,
                                      "the handler %s takes no %s (%s): remove it, or choose "
                                      "another handler",
                                      handler_kind_to_text(l->handler), o->key, o->help);
                else if (o->addresses && l->address.kind != ADDRESS_NONE &&
                         !(o->addresses & (1U << l->address.kind)))
                        check_problem(m, s, o->key, "%s (%s) is for a %s address only: remove it",
                                      o->key, o->help, address_kind_form(o->addresses));
        }
}

static void check_trust(ConfigMerge *m, const ConfigSection *s)
{
        const ListenSettings *l = s->settings;

        if (!(l->trust & TRUST_PEERS) || l->trust_unsafe)
                return;
        if (l->address.kind == ADDRESS_TCP)
                check_problem(m, s, "trust",
                              "trust = peers would let everybody who can open a TCP connection "
                              "call privileged methods: use trust = nobody or a unix: address, or "
                              "add trust-unsafe = yes if you mean it");
        else if (!origin_of(s, "peers")->bad && cid_set_is_wider_than_host(&l->peers))
                check_problem(m, s, "trust",
                              "trust = peers would let more than the host call privileged "
                              "methods: use peers = host or trust = privileged, or add "
                              "trust-unsafe = yes if you mean it");
}

static void check_address(ConfigMerge *m, const ConfigSection *s)
{
        const ListenSettings *l = s->settings;

        if (l->address.kind == ADDRESS_NONE) {
                if (!origin_of(s, "address")->bad)
                        problems_add(&m->problems, s->header.file, s->header.line,
                                     "[%s] has no address: add address = unix:/PATH, "
                                     "tcp:127.0.0.1:PORT, tcp:[::1]:PORT or vsock:PORT",
                                     l->section);
                return;
        }
        if (l->address.kind == ADDRESS_TCP && l->handler == HANDLER_RPC &&
            !address_is_loopback(&l->address))
                check_problem(m, s, "address",
                              "the handler rpc on TCP must bind loopback, where nothing is "
                              "encrypted: write tcp:127.0.0.1:PORT or tcp:[::1]:PORT");
}

/* Two sections on one address: told at the second, by the order of mention. */
static void check_collisions(ConfigMerge *m)
{
        for (size_t i = 1; i < m->n_sections; i++) {
                const ConfigSection *s = m->sections[i];

                for (size_t j = 1; j < i && !s->broken; j++) {
                        const ConfigSection *t = m->sections[j];

                        if (t->broken || s->settings->address.kind == ADDRESS_NONE ||
                            !address_equal(&s->settings->address, &t->settings->address))
                                continue;
                        check_problem(m, s, "address",
                                      "[%s] and [%s] (%s:%u) have the same address: change or "
                                      "remove one",
                                      s->settings->section, t->settings->section,
                                      m->problems.files[t->header.file], t->header.line);
                        break;
                }
        }
}

void config_check(ConfigMerge *m)
{
        for (size_t i = 1; i < m->n_sections; i++) {
                const ConfigSection *s = m->sections[i];

                if (s->broken)
                        continue;
                if (s->kind == CONFIG_SECTION_LISTEN)
                        check_address(m, s);
                check_keys(m, s);
                check_trust(m, s);
        }
        check_collisions(m);
}
