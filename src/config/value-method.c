/* SPDX-License-Identifier: MIT */

/* The types of the keys that describe where bytes and calls go. */
#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "config/config.h"
#include "config/table.h"
#include "config/value.h"

#define PARAM_NAME_MAX 64
#define PARAMS_MAX 64

static int check_socket_path(const char *text, const Address *a, char **ret_problem)
{
        if (a->path[0] != '/')
                return value_refuse(text, ret_problem,
                                    "has a path that is not absolute: begin it with '/'");
        if (a->path[strlen(a->path) - 1] == '/')
                return value_refuse(text, ret_problem, "names a folder: add the socket's own name");
        return 0;
}

/* Whether the port stands there: for targets there is a default one, for services none. */
static bool has_port(const char *text, const Address *a)
{
        const char *rest = strchr(text, ':') + 1;

        if (a->kind == ADDRESS_MUX)
                return strcmp(rest, a->path) != 0;
        return strchr(rest, ':') && rest[strlen(rest) - 1] != ']';
}

static int parse_forward_to(const ConfigOption *o, const char *text, void *field,
                            char **ret_problem)
{
        static const char *const prefixes[] = { "tcp:", "unix:", "vsock:", "mux:" };
        _cleanup_address_ Address a = ADDRESS_NULL;
        bool known = !*text;
        int r = 0;

        for (size_t i = 0; i < ELEMENTSOF(prefixes); i++)
                known |= strncmp(text, prefixes[i], strlen(prefixes[i])) == 0;
        if (!known)
                return value_refuse(text, ret_problem,
                                    "is nowhere to go: write tcp:HOST:PORT, unix:/PATH, "
                                    "vsock:CID:PORT or mux:/PATH:PORT");
        if (*text)
                r = address_parse_target(text, &a, ret_problem);
        if (r >= 0 && (a.kind == ADDRESS_UNIX || a.kind == ADDRESS_MUX))
                r = check_socket_path(text, &a, ret_problem);
        if (r >= 0 && *text && a.kind != ADDRESS_UNIX && !has_port(text, &a))
                r = value_refuse(text, ret_problem,
                                 "has no port: add one, as in tcp:127.0.0.1:22, vsock:host:8080 "
                                 "or mux:/run/vm.sock:8080");
        if (r < 0)
                return r;
        address_done(field);
        *(Address *)field = a;
        a = ADDRESS_NULL;
        return 0;
}

static char *print_address(const ConfigOption *o, const void *field)
{
        return address_to_text(field);
}

static void done_address(void *field)
{
        address_done(field);
}

const ConfigType config_type_forward_to = { parse_forward_to, print_address, done_address, false };

static int parse_server(const ConfigOption *o, const char *text, void *field, char **ret_problem)
{
        if (*text && strncmp(text, "unix:", strlen("unix:")) != 0)
                return value_refuse(text, ret_problem,
                                    "is no local server: write unix:/PATH, the Unix socket that "
                                    "it listens on");
        return parse_forward_to(o, text, field, ret_problem);
}

const ConfigType config_type_server = { parse_server, print_address, done_address, false };

static const char *const param_types[] = {
        [METHOD_PARAM_STRING] = "string", [METHOD_PARAM_INTEGER] = "integer",
        [METHOD_PARAM_NUMBER] = "number", [METHOD_PARAM_BOOLEAN] = "boolean",
        [METHOD_PARAM_ARRAY] = "array",   [METHOD_PARAM_OBJECT] = "object",
};

typedef struct Params {
        MethodParam *list;
        size_t n;
} Params;

static void params_done(Params *p)
{
        for (size_t i = 0; i < p->n; i++)
                free(p->list[i].name);
        free(p->list);
        *p = (Params){ 0 };
}

static bool is_param_name(const char *name)
{
        if (!*name || strlen(name) > PARAM_NAME_MAX || isdigit((unsigned char)*name))
                return false;
        for (const char *p = name; *p; p++)
                if (!isascii(*p) || (!isalnum(*p) && !strchr("_-", *p)))
                        return false;
        return true;
}

/* `name:type` or `name:type?`, in pieces at the caller's. */
static int parse_param(char *word, Params *p, char **ret_problem)
{
        char *type = strchr(word, ':'), *name;
        MethodParam param = { 0 };
        MethodParam *larger;
        size_t n, i;

        if (!type)
                return value_refuse(word, ret_problem,
                                    "has no type: write name:string, or integer, number, boolean, "
                                    "array or object, and '?' after it if it is optional");
        *type++ = '\0';
        name = text_strip(word);
        type = text_strip(type);
        n = strlen(type);
        if (n > 0 && type[n - 1] == '?') {
                param.optional = true;
                type[n - 1] = '\0';
                type = text_strip(type);
        }
        if (!is_param_name(name))
                return value_refuse(name, ret_problem,
                                    "is no parameter's name: use letters, digits, '_' and '-', "
                                    "and no digit first");
        for (i = 0; i < ELEMENTSOF(param_types) && strcmp(type, param_types[i]) != 0; i++)
                ;
        if (i == ELEMENTSOF(param_types))
                return value_refuse(type, ret_problem,
                                    "is no type: there are string, integer, number, boolean, "
                                    "array and object");
        param.type = (MethodParamType)i;
        for (i = 0; i < p->n; i++)
                if (strcmp(p->list[i].name, name) == 0)
                        return value_refuse(name, ret_problem, "is there twice: remove one");
        larger = reallocarray(p->list, p->n + 1, sizeof(*larger));
        if (!larger)
                return -ENOMEM;
        p->list = larger;
        param.name = strdup(name);
        if (!param.name)
                return -ENOMEM;
        p->list[p->n++] = param;
        return 0;
}

static int parse_params(const ConfigOption *o, const char *text, void *field, char **ret_problem)
{
        MethodSettings *m = CONTAINER_OF(field, MethodSettings, params);
        _cleanup_(params_done) Params p = { 0 };
        Params old = { m->params, m->n_params };
        _cleanup_free_ char *copy = strdup(text);
        char *rest, *word;
        int r;

        if (!copy)
                return -ENOMEM;
        for (rest = *copy ? copy : NULL; rest;) {
                word = text_strip(strsep(&rest, ","));
                if (!*word)
                        return value_refuse(text, ret_problem,
                                            "has an empty entry: remove a comma");
                if (p.n == PARAMS_MAX)
                        return value_refuse(text, ret_problem,
                                            "has too many parameters: use at most %d", PARAMS_MAX);
                r = parse_param(word, &p, ret_problem);
                if (r < 0)
                        return r;
        }
        m->params = p.list;
        m->n_params = p.n;
        p = old;
        return 0;
}

static char *print_params(const ConfigOption *o, const void *field)
{
        const MethodSettings *m = CONTAINER_OF(field, const MethodSettings, params);
        char *text = NULL;
        size_t n = 0;
        FILE *f;

        f = open_memstream(&text, &n);
        if (!f)
                return NULL;
        for (size_t i = 0; i < m->n_params; i++)
                fprintf(f, "%s%s:%s%s", i > 0 ? ", " : "", m->params[i].name,
                        param_types[m->params[i].type], m->params[i].optional ? "?" : "");
        if (fclose(f) < 0) {
                free(text);
                return NULL;
        }
        return text;
}

static void done_params(void *field)
{
        MethodSettings *m = CONTAINER_OF(field, MethodSettings, params);
        Params p = { m->params, m->n_params };

        params_done(&p);
        m->params = NULL;
        m->n_params = 0;
}

const ConfigType config_type_params = { parse_params, print_params, done_params, false };

static const char *const output_names[] = {
        [METHOD_OUTPUT_JSON] = "json",
        [METHOD_OUTPUT_TEXT] = "text",
};

static int parse_output(const ConfigOption *o, const char *text, void *field, char **ret_problem)
{
        for (size_t i = 0; i < ELEMENTSOF(output_names); i++)
                if (strcmp(text, output_names[i]) == 0) {
                        *(MethodOutput *)field = (MethodOutput)i;
                        return 0;
                }
        return value_refuse(text, ret_problem, "is neither json nor text: write one of them");
}

static char *print_output(const ConfigOption *o, const void *field)
{
        return strdup(output_names[*(const MethodOutput *)field]);
}

const ConfigType config_type_output = { parse_output, print_output, NULL, false };
