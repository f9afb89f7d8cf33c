/* SPDX-License-Identifier: MIT */
#include "config/merge.h"

#include <ctype.h>
#include <errno.h>
#include <linux/vm_sockets.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "config/reader.h"

/* Each takes a descriptor of the daemon. */
#define LISTENS_MAX 1024
/* Without its spaces, of which printing may make more. */
#define VALUE_MAX 16384
#define NAME_SHOWN 64

ConfigOrigin *config_section_origin(const ConfigSection *s, const ConfigOption *o)
{
        return s->origins + (o - config_options);
}

static void *section_field(ConfigMerge *m, ConfigSection *s, const ConfigOption *o)
{
        void *base = s->settings ? (void *)s->settings : (void *)&m->config->agent;

        return (char *)base + o->offset;
}

static void _printf_(3, 4) merge_problem(ConfigMerge *m, unsigned line, const char *format, ...)
{
        va_list ap;

        va_start(ap, format);
        problems_add_v(&m->problems, m->file, line, format, ap);
        va_end(ap);
}

static ConfigSection *config_section_free(ConfigSection *s)
{
        if (!s)
                return NULL;
        config_listen_free(s->settings);
        free(s->origins);
        free(s);
        return NULL;
}
DEFINE_CLEANUP(ConfigSection, config_section_free)

/* A section with every key's preset. name: as it is printed, NULL for [agent]. */
static int section_new(ConfigMerge *m, ConfigSectionKind kind, const char *name,
                       ConfigSection **ret)
{
        _cleanup_(config_section_freep) ConfigSection *s = NULL;
        int r;

        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->kind = kind;
        s->origins = calloc(config_options_count(), sizeof(*s->origins));
        if (!s->origins)
                return -ENOMEM;
        if (name) {
                s->settings = calloc(1, sizeof(*s->settings));
                if (!s->settings)
                        return -ENOMEM;
                s->settings->file.uid = (uid_t)-1;
                s->settings->file.gid = (gid_t)-1;
                s->settings->section = strdup(name);
                if (!s->settings->section)
                        return -ENOMEM;
        }
        for (const ConfigOption *o = config_options; o->key; o++) {
                _cleanup_free_ char *problem = NULL;

                /* Rows that the kind does not take keep their presets too: nobody finds a
                 * [port] with another mode than a [listen]. */
                if ((kind == CONFIG_SECTION_AGENT) != (o->sections == CONFIG_SECTION_AGENT))
                        continue;
                r = o->type->parse(o, o->preset, section_field(m, s, o), &problem);
                if (r < 0)
                        return r;
        }
        *ret = TAKE_PTR(s);
        return 0;
}

int config_merge_init(ConfigMerge *m)
{
        int r;

        *m = (ConfigMerge){ 0 };
        r = config_new(&m->config);
        if (r < 0)
                return r;
        m->sections = calloc(1, sizeof(*m->sections));
        if (!m->sections)
                return -ENOMEM;
        r = section_new(m, CONFIG_SECTION_AGENT, NULL, m->sections);
        if (r < 0)
                return r;
        m->n_sections = 1;
        return 0;
}

static ConfigSection *merge_find(ConfigMerge *m, const char *name)
{
        for (size_t i = 1; i < m->n_sections; i++)
                if (!m->sections[i]->broken && strcmp(m->sections[i]->settings->section, name) == 0)
                        return m->sections[i];
        return NULL;
}

static int merge_add(ConfigMerge *m, ConfigSectionKind kind, const char *name, ConfigSection **ret)
{
        _cleanup_(config_section_freep) ConfigSection *s = NULL;
        ConfigSection **sections;
        int r;

        sections = reallocarray(m->sections, m->n_sections + 1, sizeof(ConfigSection *));
        if (!sections)
                return -ENOMEM;
        m->sections = sections;
        r = section_new(m, kind, name, &s);
        if (r < 0)
                return r;
        *ret = m->sections[m->n_sections++] = TAKE_PTR(s);
        return 0;
}

/* A section whose header makes no sense: its keys are still looked at, for their errors. */
static void merge_broken(ConfigMerge *m, ConfigSectionKind kind)
{
        int r;

        r = merge_add(m, kind, "", &m->current);
        if (r < 0)
                m->error = r;
        else
                m->current->broken = true;
}

static void merge_section_named(ConfigMerge *m, unsigned line, ConfigSectionKind kind,
                                const char *written, const char *name, const Address *address)
{
        ConfigSection *s;
        int r;

        s = kind == CONFIG_SECTION_AGENT ? m->sections[0] : merge_find(m, name);
        if (!s) {
                if (m->n_sections > LISTENS_MAX) {
                        merge_problem(m, line, "there are more than %d ports: remove some",
                                      LISTENS_MAX);
                        return;
                }
                r = merge_add(m, kind, name, &s);
                if (r < 0) {
                        m->error = r;
                        return;
                }
                if (address)
                        s->settings->address = *address;
        } else if (s->header.line > 0 && s->header.file == m->file) {
                if (strcmp(written, name) == 0)
                        merge_problem(m, line,
                                      "[%s] is in this file already, at line %u: put its keys "
                                      "there",
                                      name, s->header.line);
                else
                        merge_problem(m, line,
                                      "[%s] is [%s], which is in this file already, at line %u: "
                                      "put its keys there",
                                      written, name, s->header.line);
                m->current = s;
                return;
        }
        s->header = (ConfigOrigin){ .file = m->file, .line = line };
        m->current = s;
}

static void merge_port(ConfigMerge *m, unsigned line, const char *written, const char *text)
{
        _cleanup_free_ char *problem = NULL, *name = NULL;
        Address a = { .kind = ADDRESS_VSOCK, .cid = VMADDR_CID_ANY };
        int r;

        r = address_parse_port(text, &a.port, &problem);
        if (r == -EINVAL && problem) {
                merge_problem(m, line, "[port N]: %s", problem);
                merge_broken(m, CONFIG_SECTION_PORT);
                return;
        }
        name = r < 0 ? NULL : text_format("port %u", a.port);
        if (!name)
                m->error = -ENOMEM;
        else
                merge_section_named(m, line, CONFIG_SECTION_PORT, written, name, &a);
}

static void merge_listen(ConfigMerge *m, unsigned line, const char *written, const char *text)
{
        _cleanup_free_ char *name = NULL;

        for (const char *p = text; *p; p++)
                if (!isascii(*p) || (!isalnum(*p) && !strchr("-_.@", *p))) {
                        merge_problem(m, line,
                                      "[listen NAME]: '%s' is no name: use letters, digits, "
                                      "'-', '_', '.' and '@'",
                                      text);
                        merge_broken(m, CONFIG_SECTION_LISTEN);
                        return;
                }
        name = text_format("listen %s", text);
        if (!name)
                m->error = -ENOMEM;
        else
                merge_section_named(m, line, CONFIG_SECTION_LISTEN, written, name, NULL);
}

static void merge_section(void *userdata, unsigned line, const char *written)
{
        ConfigMerge *m = userdata;
        _cleanup_free_ char *word = NULL;
        const char *near, *rest;
        size_t n = strcspn(written, " \t");

        m->current = NULL;
        rest = written + n + strspn(written + n, " \t");
        word = strndup(written, n);
        if (!word) {
                m->error = -ENOMEM;
                return;
        }
        if (strcmp(word, "agent") == 0 && !*rest) {
                merge_section_named(m, line, CONFIG_SECTION_AGENT, written, "agent", NULL);
        } else if (strcmp(word, "agent") == 0) {
                merge_problem(m, line, "[agent] takes no name: write [agent]");
                m->current = m->sections[0];
        } else if (strcmp(word, "port") == 0 && *rest) {
                merge_port(m, line, written, rest);
        } else if (strcmp(word, "port") == 0) {
                merge_problem(m, line,
                              "[port] needs a number: write [port N], such as "
                              "[port 1000]");
                merge_broken(m, CONFIG_SECTION_PORT);
        } else if (strcmp(word, "listen") == 0 && *rest) {
                merge_listen(m, line, written, rest);
        } else if (strcmp(word, "listen") == 0) {
                merge_problem(m, line,
                              "[listen] needs a name: write [listen NAME], such as "
                              "[listen admin]");
                merge_broken(m, CONFIG_SECTION_LISTEN);
        } else {
                near = config_section_near(word);
                if (near)
                        merge_problem(m, line, "unknown section [%s]: did you mean %s?", written,
                                      near);
                else
                        merge_problem(m, line,
                                      "unknown section [%s]: there are [agent], [port N] and "
                                      "[listen NAME]",
                                      written);
        }
}

static void merge_unknown_key(ConfigMerge *m, unsigned line, const char *key)
{
        const char *form = config_section_form(m->current->kind), *near;
        const ConfigOption *o;

        o = config_option_elsewhere(key, m->current->kind);
        if (o && o->type == &config_type_address) {
                merge_problem(m, line,
                              "%s takes no %s: it listens on the vsock port in its name; for "
                              "another address write a section [listen NAME]",
                              form, key);
                return;
        }
        if (o) {
                merge_problem(m, line, "%s takes no %s (%s): put it under %s", form, key, o->help,
                              config_section_form(o->sections));
                return;
        }
        near = config_key_near(key, m->current->kind);
        if (near) {
                o = config_option_find(near, m->current->kind);
                merge_problem(m, line, "unknown key '%s' in %s: did you mean %s (%s)?", key, form,
                              near, o->help);
                return;
        }
        near = config_key_near(key, ~(unsigned)m->current->kind);
        if (near) {
                o = config_option_elsewhere(near, m->current->kind);
                merge_problem(m, line, "unknown key '%s' in %s: did you mean %s of %s (%s)?", key,
                              form, near, config_section_form(o->sections), o->help);
                return;
        }
        merge_problem(m, line,
                      "unknown key '%s' in %s: remove it, or see guestwire.conf(5) for the keys "
                      "there are",
                      key, form);
}

static bool value_is_long(const char *value)
{
        size_t n = 0;

        for (; *value; value++)
                n += *value != ' ';
        return n > VALUE_MAX;
}

static void merge_value(void *userdata, unsigned line, const char *key, const char *value)
{
        ConfigMerge *m = userdata;
        _cleanup_free_ char *problem = NULL;
        const ConfigOption *o;
        ConfigOrigin *origin;
        int r;

        if (!m->current)
                return;
        o = config_option_find(key, m->current->kind);
        if (!o) {
                merge_unknown_key(m, line, key);
                return;
        }
        origin = config_section_origin(m->current, o);
        if (origin->line > 0 && origin->file == m->file) {
                merge_problem(m, line, "%s is in this section already, at line %u: remove one", key,
                              origin->line);
                return;
        }
        *origin = (ConfigOrigin){ .file = m->file, .line = line, .set = *value != '\0' };
        if (value_is_long(value)) {
                merge_problem(m, line, "the value of %s is too long: use at most %d bytes", key,
                              VALUE_MAX);
                origin->bad = true;
                return;
        }
        r = o->type->parse(o, *value ? value : o->preset, section_field(m, m->current, o),
                           &problem);
        if (r == -EINVAL && problem) {
                merge_problem(m, line, "%s: %s", key, problem);
                origin->bad = true;
        } else if (r < 0) {
                m->error = -ENOMEM;
        }
}

static void merge_error(void *userdata, unsigned line, const char *problem)
{
        merge_problem(userdata, line, "%s", problem);
}

int config_merge_text(ConfigMerge *m, const char *name, const char *text, size_t n)
{
        static const ConfigReaderCalls calls = { merge_section, merge_value, merge_error };
        int r;

        r = problems_add_file(&m->problems, name, &m->file);
        if (r < 0)
                return r;
        m->current = NULL;
        r = config_reader_run(text, n, &calls, m);
        return r < 0 ? r : m->error;
}

void config_merge_refuse(ConfigMerge *m, const char *name, const char *format, ...)
{
        va_list ap;

        if (problems_add_file(&m->problems, name, &m->file) < 0) {
                m->error = -ENOMEM;
                return;
        }
        va_start(ap, format);
        problems_add_v(&m->problems, m->file, 0, format, ap);
        va_end(ap);
}

int config_merge_finish(ConfigMerge *m, Config **ret, ConfigErrors *errors)
{
        int r;

        if (m->error < 0)
                return m->error;
        config_check(m);
        r = problems_tell(&m->problems, errors);
        if (r < 0)
                return r;

        m->config->listens = calloc(m->n_sections, sizeof(*m->config->listens));
        if (!m->config->listens)
                return -ENOMEM;
        for (size_t i = 1; i < m->n_sections; i++)
                m->config->listens[m->config->n_listens++] = TAKE_PTR(m->sections[i]->settings);
        *ret = TAKE_PTR(m->config);
        return 0;
}

void config_merge_done(ConfigMerge *m)
{
        for (size_t i = 0; i < m->n_sections; i++)
                config_section_free(m->sections[i]);
        free(m->sections);
        config_unref(m->config);
        problems_done(&m->problems);
        *m = (ConfigMerge){ 0 };
}
