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

/* Ports take a descriptor of the daemon each, methods a row of every discovery document. */
#define SECTIONS_MAX 1024
/* Without its spaces, of which printing may make more. */
#define VALUE_MAX 16384

ConfigOrigin *config_section_origin(const ConfigSection *s, const ConfigOption *o)
{
        return s->origins + (config_option_find(o->key, s->kind) - config_options);
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
        for (size_t i = 0; s->origins && i < config_options_count(); i++)
                free(s->origins[i].text);
        free(s->origins);
        config_listen_free(s->listen);
        config_method_free(s->method);
        free(s->name);
        free(s);
        return NULL;
}
DEFINE_CLEANUP(ConfigSection, config_section_free)

/* A section that says nothing yet. name: as it is printed. */
static int section_new(ConfigSectionKind kind, const char *name, ConfigSection **ret)
{
        _cleanup_(config_section_freep) ConfigSection *s = NULL;

        s = calloc(1, sizeof(*s));
        if (!s)
                return -ENOMEM;
        s->kind = kind;
        s->name = strdup(name);
        s->origins = calloc(config_options_count(), sizeof(*s->origins));
        if (!s->name || !s->origins)
                return -ENOMEM;
        if (kind == CONFIG_SECTION_METHOD) {
                s->method = calloc(1, sizeof(*s->method));
                if (!s->method)
                        return -ENOMEM;
                s->method->name = strdup(strchrnul(name, ' ') + (*name ? 1 : 0));
                if (!s->method->name)
                        return -ENOMEM;
        } else if (kind != CONFIG_SECTION_AGENT) {
                s->listen = calloc(1, sizeof(*s->listen));
                if (!s->listen)
                        return -ENOMEM;
                s->listen->section = strdup(name);
                if (!s->listen->section)
                        return -ENOMEM;
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
        r = section_new(CONFIG_SECTION_AGENT, "agent", m->sections);
        if (r < 0)
                return r;
        m->n_sections = 1;
        return 0;
}

static ConfigSection *merge_find(ConfigMerge *m, const char *name)
{
        for (size_t i = 1; i < m->n_sections; i++)
                if (!m->sections[i]->broken && strcmp(m->sections[i]->name, name) == 0)
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
        r = section_new(kind, name, &s);
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

/* Ports and methods are counted apart. */
static bool merge_is_full(const ConfigMerge *m, ConfigSectionKind kind)
{
        size_t n = 0;

        for (size_t i = 1; i < m->n_sections; i++)
                n += (m->sections[i]->kind == CONFIG_SECTION_METHOD) ==
                     (kind == CONFIG_SECTION_METHOD);
        return n >= SECTIONS_MAX;
}

static void merge_section_named(ConfigMerge *m, unsigned line, ConfigSectionKind kind,
                                const char *written, const char *name, const Address *address)
{
        ConfigSection *s;
        int r;

        s = kind == CONFIG_SECTION_AGENT ? m->sections[0] : merge_find(m, name);
        if (!s) {
                if (merge_is_full(m, kind)) {
                        merge_problem(m, line, "there are more than %d %s: remove some",
                                      SECTIONS_MAX,
                                      kind == CONFIG_SECTION_METHOD ? "methods" : "ports");
                        return;
                }
                r = merge_add(m, kind, name, &s);
                if (r < 0) {
                        m->error = r;
                        return;
                }
                if (address)
                        s->listen->address = *address;
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

/* Dotted words; of a prefix the last one is a star, and there may be but one before it. */
static bool is_method_name(const char *name)
{
        static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789_-";

        for (size_t words = 1;; words++) {
                size_t n = strspn(name, letters);

                if (n == 0)
                        return words > 1 && strcmp(name, "*") == 0;
                name += n;
                if (!*name)
                        return words > 1;
                if (*name++ != '.')
                        return false;
        }
}

/* The prefix of guestwire's own methods that a name begins with, or NULL. */
static const char *builtin_prefix(const char *name)
{
        static const char *const prefixes[] = { "agent.", "system.", "rpc.", "exec.", "file." };

        for (size_t i = 0; i < ELEMENTSOF(prefixes); i++)
                if (strncmp(name, prefixes[i], strlen(prefixes[i])) == 0)
                        return prefixes[i];
        return NULL;
}

static void merge_method(ConfigMerge *m, unsigned line, const char *written, const char *text)
{
        _cleanup_free_ char *name = NULL;

        if (!is_method_name(text)) {
                merge_problem(m, line,
                              "[method NAME]: '%s' is no method's name: write words of a-z, 0-9, "
                              "'_' and '-' with dots between them, such as backup.start, or "
                              "PREFIX.* for all of a prefix",
                              text);
                merge_broken(m, CONFIG_SECTION_METHOD);
                return;
        }
        if (builtin_prefix(text)) {
                merge_problem(m, line,
                              "[method NAME]: '%s' clashes with guestwire's built-in methods %s*: "
                              "choose a name that begins otherwise",
                              text, builtin_prefix(text));
                merge_broken(m, CONFIG_SECTION_METHOD);
                return;
        }
        name = text_format("method %s", text);
        if (!name)
                m->error = -ENOMEM;
        else
                merge_section_named(m, line, CONFIG_SECTION_METHOD, written, name, NULL);
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
        } else if (strcmp(word, "method") == 0 && *rest) {
                merge_method(m, line, written, rest);
        } else if (strcmp(word, "method") == 0) {
                merge_problem(m, line,
                              "[method] needs a name: write [method NAME], such as "
                              "[method backup.start]");
                merge_broken(m, CONFIG_SECTION_METHOD);
        } else {
                near = config_section_near(word);
                if (near)
                        merge_problem(m, line, "unknown section [%s]: did you mean %s?", written,
                                      near);
                else
                        merge_problem(m, line,
                                      "unknown section [%s]: there are [agent], [port N], "
                                      "[listen NAME] and [method NAME]",
                                      written);
        }
}

static void merge_unknown_key(ConfigMerge *m, unsigned line, const char *key)
{
        char here[CONFIG_FORM_MAX], there[CONFIG_FORM_MAX];
        const ConfigSectionKind kind = m->current->kind;
        const ConfigOption *o;
        const char *near;

        config_section_form(kind, here);
        o = config_option_elsewhere(key, kind);
        if (o && o->type == &config_type_address && kind == CONFIG_SECTION_PORT) {
                merge_problem(m, line,
                              "%s takes no %s: it listens on the vsock port in its name; for "
                              "another address write a section [listen NAME]",
                              here, key);
                return;
        }
        if (o) {
                merge_problem(m, line, "%s takes no %s (%s): put it under %s", here, key, o->help,
                              config_section_form(config_option_sections(key), there));
                return;
        }
        near = config_key_near(key, kind);
        if (near) {
                o = config_option_find(near, kind);
                merge_problem(m, line, "unknown key '%s' in %s: did you mean %s (%s)?", key, here,
                              near, o->help);
                return;
        }
        near = config_key_near_elsewhere(key, kind);
        if (near) {
                o = config_option_elsewhere(near, kind);
                merge_problem(m, line, "unknown key '%s' in %s: did you mean %s of %s (%s)?", key,
                              here, near, config_section_form(config_option_sections(near), there),
                              o->help);
                return;
        }
        merge_problem(m, line,
                      "unknown key '%s' in %s: remove it, or see guestwire.conf(5) for the keys "
                      "there are",
                      key, here);
}

static bool value_is_long(const char *value)
{
        size_t n = 0;

        for (; *value; value++)
                n += *value != ' ';
        return n > VALUE_MAX;
}

/* Any section's settings, to see whether a value can be read at all. */
typedef union Scratch {
        AgentSettings agent;
        ListenSettings listen;
        MethodSettings method;
} Scratch;

/* Looks at a value for its errors, as the line is read: what it means is settled at the end. */
static void merge_try(ConfigMerge *m, unsigned line, const ConfigOption *o, const char *value,
                      ConfigOrigin *origin)
{
        _cleanup_free_ char *problem = NULL;
        Scratch scratch = { 0 };
        char *field = (char *)&scratch + o->offset;
        int r;

        if (!o->type->words && value_is_long(value)) {
                merge_problem(m, line, "the value of %s is too long: use at most %d bytes", o->key,
                              VALUE_MAX);
                origin->bad = true;
                return;
        }
        r = o->type->parse(o, value, field, &problem);
        if (r >= 0 && o->type->done)
                o->type->done(field);
        if (r == -EINVAL && problem) {
                merge_problem(m, line, "%s: %s", o->key, problem);
                origin->bad = true;
        } else if (r < 0) {
                m->error = -ENOMEM;
        }
}

static void merge_value(void *userdata, unsigned line, const char *key, const char *value)
{
        ConfigMerge *m = userdata;
        const ConfigOption *o;
        ConfigOrigin *origin;
        char *text;

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
        text = strdup(value);
        if (!text) {
                m->error = -ENOMEM;
                return;
        }
        free(origin->text);
        *origin = (ConfigOrigin){
                .file = m->file, .line = line, .set = *value != '\0', .text = text
        };
        if (*value)
                merge_try(m, line, o, value, origin);
}

static bool merge_takes_words(void *userdata, const char *key)
{
        const ConfigMerge *m = userdata;
        const ConfigOption *o = m->current ? config_option_find(key, m->current->kind) : NULL;

        return o && o->type->words;
}

static void merge_error(void *userdata, unsigned line, const char *problem)
{
        merge_problem(userdata, line, "%s", problem);
}

int config_merge_text(ConfigMerge *m, const char *name, const char *text, size_t n)
{
        static const ConfigReaderCalls calls = { merge_section, merge_value, merge_error,
                                                 merge_takes_words };
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

static int method_compare(const void *a, const void *b)
{
        const MethodSettings *const *x = a, *const *y = b;

        return strcmp((*x)->name, (*y)->name);
}

int config_merge_finish(ConfigMerge *m, Config **ret, ConfigErrors *errors)
{
        Config *c = m->config;
        int r;

        if (m->error < 0)
                return m->error;
        for (size_t i = 0; i < m->n_sections; i++)
                if (!m->sections[i]->broken) {
                        r = config_settle(m, m->sections[i]);
                        if (r < 0)
                                return r;
                }
        config_check(m);
        r = problems_tell(&m->problems, errors);
        if (r < 0)
                return r;

        c->listens = calloc(m->n_sections, sizeof(*c->listens));
        c->methods = calloc(m->n_sections, sizeof(*c->methods));
        if (!c->listens || !c->methods)
                return -ENOMEM;
        for (size_t i = 1; i < m->n_sections; i++)
                if (m->sections[i]->listen)
                        c->listens[c->n_listens++] = TAKE_PTR(m->sections[i]->listen);
                else
                        c->methods[c->n_methods++] = TAKE_PTR(m->sections[i]->method);
        if (c->n_methods > 0)
                qsort(c->methods, c->n_methods, sizeof(*c->methods), method_compare);
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
