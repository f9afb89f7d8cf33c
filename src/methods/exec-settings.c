/* SPDX-License-Identifier: MIT */
#include "methods/exec-settings.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "proc/properties.h"
#include "rpc/octets.h"

#define USEC_PER_MSEC UINT64_C(1000)
#define KILL_TIMEOUT_USEC (UINT64_C(5) * 1000 * 1000)
/* Past this the microseconds would not fit; it is a good many years. */
#define MSEC_MAX ((uint64_t)INT64_MAX / USEC_PER_MSEC)
/* struct winsize */
#define TERMINAL_SIZE_MAX UINT16_MAX
/* cgroup v2's cpu.weight */
#define CPU_WEIGHT_MAX 10000U

void exec_settings_done(ExecSettings *s)
{
        json_object_put(s->params);
        free(s->argv);
        text_list_free(s->variables);
        buffer_done(&s->input);
        text_list_free(s->properties);
        *s = (ExecSettings){ 0 };
}

static int fail_memory(Call *call)
{
        call_reply(call, NULL);
        return -ENOMEM;
}

static json_object *get(json_object *params, const char *name)
{
        json_object *value = NULL;

        (void)json_object_object_get_ex(params, name, &value);
        return value;
}

static const char *get_text(json_object *params, const char *name)
{
        json_object *value = get(params, name);

        return value ? json_object_get_string(value) : NULL;
}

static bool get_boolean(json_object *params, const char *name)
{
        return json_object_get_boolean(get(params, name));
}

static bool has_nul(json_object *text)
{
        return memchr(json_object_get_string(text), '\0',
                      (size_t)json_object_get_string_len(text)) != NULL;
}

int exec_read_number(Call *call, json_object *params, const char *name, uint64_t min, uint64_t max,
                     uint64_t *ret)
{
        json_object *value = get(params, name);

        if (!value)
                return 0;
        if (json_object_get_int64(value) < 0 || json_object_get_uint64(value) < min ||
            json_object_get_uint64(value) > max) {
                call_fail_params(call, "parameter `%s` must be from %" PRIu64 " to %" PRIu64, name,
                                 min, max);
                return -EINVAL;
        }
        *ret = json_object_get_uint64(value);
        return 0;
}

int exec_read_size(Call *call, json_object *params, unsigned *ret_rows, unsigned *ret_columns)
{
        uint64_t rows = *ret_rows, columns = *ret_columns;
        int r;

        r = exec_read_number(call, params, "rows", 0, TERMINAL_SIZE_MAX, &rows);
        if (r >= 0)
                r = exec_read_number(call, params, "cols", 0, TERMINAL_SIZE_MAX, &columns);
        if (r < 0)
                return r;
        *ret_rows = (unsigned)rows;
        *ret_columns = (unsigned)columns;
        return 0;
}

static int read_argv(Call *call, ExecSettings *s)
{
        json_object *argv = get(s->params, "argv");
        bool login = get_boolean(s->params, "login");
        size_t n = argv ? json_object_array_length(argv) : 0;

        if (login && argv) {
                call_fail_params(call, "`login` runs the user's shell: `argv` has no place there");
                return -EINVAL;
        }
        if (login)
                return 0;
        if (n == 0) {
                call_fail_params(call, "parameter `argv` must name a program: "
                                       "[\"uname\", \"-r\"]");
                return -EINVAL;
        }
        s->argv = calloc(n + 1, sizeof(*s->argv));
        if (!s->argv)
                return fail_memory(call);
        for (size_t i = 0; i < n; i++) {
                json_object *text = json_object_array_get_idx(argv, i);

                if (!json_object_is_type(text, json_type_string) || has_nul(text) ||
                    (i == 0 && json_object_get_string_len(text) == 0)) {
                        call_fail_params(call,
                                         "parameter `argv[%zu]` must be a string%s without NUL "
                                         "characters",
                                         i, i == 0 ? " that is not empty and" : "");
                        return -EINVAL;
                }
                s->argv[i] = json_object_get_string(text);
        }
        return 0;
}

/* NAME=VALUE for each member of an object of strings, appended to *list. */
static int read_assignments(Call *call, json_object *params, const char *name, char ***list)
{
        json_object *object = get(params, name);

        if (!object)
                return 0;
        json_object_object_foreach(object, key, value)
        {
                if (!json_object_is_type(value, json_type_string) || has_nul(value) || !*key ||
                    strchr(key, '=')) {
                        _cleanup_free_ char *shown = text_show(key, strlen(key), 64);

                        call_fail_params(call,
                                         "parameter `%s` must have names without = and strings "
                                         "without NUL characters: %s is wrong",
                                         name, shown ? shown : "one");
                        return -EINVAL;
                }
                if (text_list_take(list, text_format("%s=%s", key, json_object_get_string(value))) <
                    0)
                        return fail_memory(call);
        }
        return 0;
}

static int read_directory(Call *call, ExecSettings *s)
{
        s->directory = get_text(s->params, "cwd");
        if (!s->directory || s->directory[0] == '/')
                return 0;
        call_fail_params(call, "parameter `cwd` must be an absolute path");
        return -EINVAL;
}

static int read_input(Call *call, ExecSettings *s)
{
        static const OctetsKeys keys = { "stdin", "stdin_base64" };
        const char *key, *problem;
        int r;

        s->more_input = get_boolean(s->params, "input");
        r = octets_read(s->params, &keys, &s->input, &key, &problem);
        if (r == -EINVAL)
                call_fail_params(call, "parameter `%s` %s", key, problem);
        else if (r < 0)
                return fail_memory(call);
        return r;
}

static int read_times(Call *call, ExecSettings *s)
{
        uint64_t timeout = 0, kill_timeout = KILL_TIMEOUT_USEC / USEC_PER_MSEC;
        int r;

        r = exec_read_number(call, s->params, "timeout_ms", 1, MSEC_MAX, &timeout);
        if (r >= 0)
                r = exec_read_number(call, s->params, "kill_timeout_ms", 0, MSEC_MAX,
                                     &kill_timeout);
        s->timeout = timeout > 0 ? timeout * USEC_PER_MSEC : TEXT_INFINITY;
        s->kill_timeout = kill_timeout * USEC_PER_MSEC;
        return r;
}

static int read_terminal(Call *call, ExecSettings *s)
{
        static const char *const of_terminals[] = { "rows", "cols", "term" };

        s->terminal = get_boolean(s->params, "tty");
        for (size_t i = 0; i < ELEMENTSOF(of_terminals) && !s->terminal; i++)
                if (get(s->params, of_terminals[i])) {
                        call_fail_params(call, "parameter `%s` needs `tty`", of_terminals[i]);
                        return -EINVAL;
                }
        s->term = get_text(s->params, "term");
        s->rows = 24;
        s->columns = 80;
        return exec_read_size(call, s->params, &s->rows, &s->columns);
}

static int read_output(Call *call, const AgentContext *context, ExecSettings *s)
{
        static const char *const words[] = {
                [EXEC_OUTPUT_CAPTURE] = "capture",
                [EXEC_OUTPUT_STREAM] = "stream",
                [EXEC_OUTPUT_DISCARD] = "discard",
        };
        const char *word = get_text(s->params, "output");
        uint64_t limit = context->config->agent.max_output, bytes = limit;
        int r;

        s->keep = get_boolean(s->params, "keep");
        r = exec_read_number(call, s->params, "max_output", 0, INT64_MAX, &bytes);
        if (r < 0)
                return r;
        if (bytes > limit) {
                call_fail(call, REASON_LIMIT, 0,
                          "max-output of the agent allows %" PRIu64 " bytes of each stream", limit);
                return -E2BIG;
        }
        s->max_output = bytes;
        if (get_boolean(s->params, "raw")) {
                s->output = EXEC_OUTPUT_RAW;
                if (!word)
                        return 0;
                call_fail_params(call, "`raw` says where the output goes: `output` has no place "
                                       "there");
                return -EINVAL;
        }
        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (!word || strcmp(word, words[i]) == 0) {
                        s->output = (ExecOutput)i;
                        return 0;
                }
        call_fail_params(call, "parameter `output` must be capture, stream or discard");
        return -EINVAL;
}

static int read_limits(Call *call, ExecSettings *s)
{
        int r;

        r = exec_read_number(call, s->params, "memory_max", 1, INT64_MAX, &s->limits.memory_max);
        if (r >= 0)
                r = exec_read_number(call, s->params, "tasks_max", 1, INT64_MAX,
                                     &s->limits.tasks_max);
        if (r >= 0)
                r = exec_read_number(call, s->params, "cpu_weight", 1, CPU_WEIGHT_MAX,
                                     &s->limits.cpu_weight);
        return r;
}

/* The configuration's scope, unless the caller names one; properties of a unit from the most
 * general to the caller's own, where there is a unit. */
static int read_scope(Call *call, const AgentContext *context, ExecSettings *s)
{
        static const struct {
                const char *word;
                ProgramScope scope;
        } words[] = { { "auto", SCOPE_AUTO }, { "unit", SCOPE_UNIT }, { "agent", SCOPE_AGENT } };
        const AgentSettings *agent = &context->config->agent;
        const ListenSettings *port = call_port_settings(call);
        const char *word = get_text(s->params, "scope");
        size_t i = 0;
        int r;

        s->scope = port ? port->program.scope : agent->scope;
        while (word && i < ELEMENTSOF(words) && strcmp(word, words[i].word) != 0)
                i++;
        if (i == ELEMENTSOF(words)) {
                call_fail_params(call, "parameter `scope` must be auto, unit or agent");
                return -EINVAL;
        }
        if (word)
                s->scope = words[i].scope;
        r = properties_new(context->spawner, s->scope, agent, port ? &port->program : NULL,
                           &s->properties);
        if (r < 0)
                return fail_memory(call);
        return read_assignments(call, s->params, "properties", &s->properties);
}

int exec_settings_read(Call *call, json_object *params, const AgentContext *context,
                       ExecSettings *ret)
{
        _cleanup_exec_settings_ ExecSettings s = { .params = json_object_get(params) };
        int r;

        r = read_argv(call, &s);
        if (r >= 0)
                r = read_assignments(call, params, "env", &s.variables);
        if (r >= 0)
                r = read_directory(call, &s);
        if (r >= 0)
                r = read_input(call, &s);
        if (r >= 0)
                r = read_times(call, &s);
        if (r >= 0)
                r = read_terminal(call, &s);
        if (r >= 0)
                r = read_output(call, context, &s);
        if (r >= 0)
                r = read_limits(call, &s);
        if (r >= 0)
                r = read_scope(call, context, &s);
        if (r < 0)
                return r;
        s.clear_environment = get_boolean(params, "clear_env");
        s.user = get_text(params, "user");
        *ret = s;
        s = (ExecSettings){ 0 };
        return 0;
}
