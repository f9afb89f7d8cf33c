/* SPDX-License-Identifier: MIT */
#include "config/table.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

#define AGENT CONFIG_SECTION_AGENT
#define LISTEN (CONFIG_SECTION_PORT | CONFIG_SECTION_LISTEN)
#define LISTEN_ONLY CONFIG_SECTION_LISTEN
#define METHOD CONFIG_SECTION_METHOD
#define ALL CONFIG_HANDLERS_ALL
#define RPC (1U << HANDLER_RPC)
#define ECHO (1U << HANDLER_ECHO)
#define FORWARD (1U << HANDLER_FORWARD)
#define EXEC (1U << HANDLER_EXEC)
#define PROGRAM (1U << CONFIG_METHOD_PROGRAM)
#define SERVER (1U << CONFIG_METHOD_SERVER)
#define UNIX (1U << ADDRESS_UNIX)

#define A(field) offsetof(AgentSettings, field)
#define L(field) offsetof(ListenSettings, field)
#define M(field) offsetof(MethodSettings, field)

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define MSEC UINT64_C(1000)
#define WEEK (7 * 24 * 60 * 60 * 1000 * MSEC)

/* clang-format off */
const ConfigOption config_options[] = {
        { "log-level", &config_type_level, AGENT, 0, 0, "info", A(log_level), 0, 0,
          "what is logged: error, warning, notice, info or debug" },
        { "max-connections", &config_type_count, AGENT, 0, 0, "1024",
          A(max_connections), 1, 1048576,
          "connections over all ports" },
        { "max-message", &config_type_size, AGENT, 0, 0, "1M", A(max_message), 64, 256 * MIB,
          "bytes of one JSON text" },
        { "max-values", &config_type_count, AGENT, 0, 0, "16384", A(max_values), 1, 16777216,
          "JSON values in one text" },
        { "max-calls", &config_type_count, AGENT, 0, 0, "64", A(max_calls), 1, 65536,
          "calls in flight on one connection" },
        { "message-timeout", &config_type_time, AGENT, 0, 0, "30s",
          A(message_timeout), MSEC, 52 * WEEK,
          "the time for a text once begun" },
        { "shutdown-timeout", &config_type_time, AGENT, 0, 0, "5s",
          A(shutdown_timeout), 0, 52 * WEEK,
          "the time that running calls have to end when the agent stops" },
        { "exit-on-idle", &config_type_time_or_none, AGENT, 0, 0, "0",
          A(exit_on_idle), 0, 52 * WEEK,
          "how long an agent that a socket unit has started stays unused; 0: for ever" },
        { "scope", &config_type_scope, AGENT, 0, 0, "auto", A(scope), 0, 0,
          "where programs run: unit, agent or auto, which is unit where systemd is PID 1" },
        { "properties", &config_type_properties, AGENT, 0, 0, "", A(properties), 0, 0,
          "NAME=VALUE of all transient units, separated by spaces" },
        { "max-programs", &config_type_count, AGENT, 0, 0, "256", A(max_programs), 1, 65536,
          "programs of exec.* running at once, over all connections" },
        { "max-output", &config_type_size, AGENT, 0, 0, "4M", A(max_output), 0, 256 * MIB,
          "bytes captured of each stream of exec.run" },
        { "max-jobs", &config_type_count, AGENT, 0, 0, "64", A(max_jobs), 1, 65536,
          "jobs of exec.start, running and finished" },
        { "job-output", &config_type_size, AGENT, 0, 0, "1M", A(job_output), 4 * KIB, 256 * MIB,
          "bytes kept of each stream of a job" },
        { "job-keep", &config_type_time, AGENT, 0, 0, "1h", A(job_keep), 0, 52 * WEEK,
          "how long a finished job is kept" },
        { "token-file", &config_type_root, AGENT, 0, 0, "", A(token_file), 0, 0,
          "the file of the token; else the credential guestwire.token is it" },

        { "address", &config_type_address, LISTEN_ONLY, ALL, 0, "", L(address), 0, 0,
          "where to listen: unix:/PATH, tcp:127.0.0.1:PORT, tcp:[::1]:PORT or vsock:PORT" },
        { "mode", &config_type_mode, LISTEN_ONLY, ALL, UNIX, "0600", L(file.mode), 0, 0,
          "permissions of the socket's file, octal" },
        { "owner", &config_type_user, LISTEN_ONLY, ALL, UNIX, "", L(file.uid), 0, 0,
          "who owns the socket's file, by name or number" },
        { "group", &config_type_group, LISTEN_ONLY, ALL & ~EXEC, UNIX, "", L(file.gid), 0, 0,
          "the group of the socket's file, by name or number" },
        { "socket-group", &config_type_group, LISTEN_ONLY, EXEC, UNIX, "", L(file.gid), 0, 0,
          "the group of the socket's file, by name or number" },
        { "description", &config_type_text, LISTEN, RPC, 0, "Guest agent", L(description), 0, 0,
          "what the port is for, as agent.info tells it" },
        { "description", &config_type_text, LISTEN, ECHO, 0, "Guest echo", L(description), 0, 0,
          "what the port is for, as agent.info tells it" },
        { "description", &config_type_text, LISTEN, FORWARD, 0, "Guest forward",
          L(description), 0, 0,
          "what the port is for, as agent.info tells it" },
        { "description", &config_type_text, LISTEN, EXEC, 0, "Guest program", L(description), 0, 0,
          "what the port is for, as agent.info tells it" },
        { "handler", &config_type_handler, LISTEN, ALL, 0, "rpc", L(handler), 0, 0,
          "what answers" },
        { "peers", &config_type_cids, LISTEN, ALL, 0, "host", L(peers), 0, 0,
          "who may connect over vsock: host, local, any, CIDs and ranges" },
        { "trust", &config_type_trust, LISTEN, RPC | EXEC, 0, "privileged", L(trust), 0, 0,
          "who may call privileged methods, or run the program: privileged, token, peers or "
          "nobody" },
        { "trust", &config_type_trust, LISTEN, ECHO | FORWARD, 0, "peers", L(trust), 0, 0,
          "who may connect: privileged, peers or nobody" },
        { "trust-unsafe", &config_type_boolean, LISTEN, RPC | EXEC, 0, "no", L(trust_unsafe), 0, 0,
          "allow trust = peers where it lets in more than the host" },
        { "methods", &config_type_globs, LISTEN, RPC, 0, "*", L(methods), 0, 0,
          "globs of the methods that may be called" },
        { "block-methods", &config_type_globs, LISTEN, RPC, 0, "", L(block_methods), 0, 0,
          "globs of the methods that may not, whatever methods says" },
        { "max-connections", &config_type_count, LISTEN, ALL, 0, "64",
          L(max_connections), 1, 1048576,
          "connections of this port" },
        { "idle-timeout", &config_type_time_or_none, LISTEN, ALL, 0, "0",
          L(idle_timeout), 0, 52 * WEEK,
          "how long a connection may be silent; 0: for ever" },

        { "prefix", &config_type_text, LISTEN, ECHO, 0, "", L(prefix), 0, 0,
          "what stands before each answer" },
        { "once", &config_type_boolean, LISTEN, ECHO, 0, "no", L(once), 0, 0,
          "close after the first answer" },

        { "to", &config_type_forward_to, LISTEN, FORWARD, 0, "", L(to), 0, 0,
          "where to: tcp:HOST:PORT, unix:/PATH, vsock:CID:PORT or mux:/PATH:PORT" },
        { "connect-timeout", &config_type_time, LISTEN, FORWARD, 0, "10s",
          L(connect_timeout), MSEC, 52 * WEEK,
          "the time to connect there" },

        { "command", &config_type_command, LISTEN, EXEC, 0, "", L(program.command), 0, 0,
          "the program and its arguments, split as systemd splits ExecStart" },
        { "user", &config_type_program_user, LISTEN, EXEC, 0, "", L(program.user), 0, 0,
          "whom the program runs as, by name or number" },
        { "group", &config_type_group, LISTEN, EXEC, 0, "", L(program.gid), 0, 0,
          "the group that the program runs as, by name or number" },
        { "directory", &config_type_directory, LISTEN, EXEC, 0, "/", L(program.directory), 0, 0,
          "the folder that the program starts in" },
        { "environment", &config_type_environment, LISTEN, EXEC, 0, "",
          L(program.environment), 0, 0,
          "NAME=VALUE for the program, separated by spaces" },
        { "timeout", &config_type_time, LISTEN, EXEC, 0, "infinity",
          L(program.timeout), MSEC, 52 * WEEK,
          "how long the program may run" },
        { "kill-timeout", &config_type_time, LISTEN, EXEC, 0, "5s",
          L(program.kill_timeout), 0, 52 * WEEK,
          "the time from SIGTERM to SIGKILL" },
        { "max-instances", &config_type_count_or_all, LISTEN, EXEC, 0, "0",
          L(program.max_instances), 0, 1048576,
          "programs at once; 0: as many as connections" },
        { "memory-max", &config_type_limit_size, LISTEN, EXEC, 0, "infinity",
          L(program.limits.memory_max), MIB, UINT64_MAX >> 1,
          "memory of all processes of one program" },
        { "tasks-max", &config_type_limit_count, LISTEN, EXEC, 0, "infinity",
          L(program.limits.tasks_max), 1, 4194304,
          "processes and threads of one program" },
        { "cpu-weight", &config_type_weight, LISTEN, EXEC, 0, "100",
          L(program.limits.cpu_weight), 1, 10000,
          "the program's share of the CPUs among others" },

        { "root", &config_type_root, LISTEN, RPC, 0, "", L(root), 0, 0,
          "the folder that confines file.*; exec.* is refused then" },
        { "scope", &config_type_scope, LISTEN, RPC | EXEC, 0, "auto", L(program.scope), 0, 0,
          "where programs run: unit, agent or auto; auto: as [agent] says" },
        { "properties", &config_type_properties, LISTEN, RPC | EXEC, 0, "",
          L(program.properties), 0, 0,
          "NAME=VALUE of the transient units, beside those of [agent], separated by spaces" },

        { "summary", &config_type_text, METHOD, PROGRAM | SERVER, 0, "", M(summary), 0, 0,
          "what the method does, as rpc.discover tells it" },
        { "command", &config_type_command, METHOD, PROGRAM, 0, "", M(program.command), 0, 0,
          "the program of each call and its arguments, split as systemd splits ExecStart" },
        { "params", &config_type_params, METHOD, PROGRAM, 0, "", M(params), 0, 0,
          "the parameters, as in target:string, level:integer?" },
        { "to", &config_type_server, METHOD, SERVER, 0, "", M(to), 0, 0,
          "the JSON-RPC server that answers: unix:/PATH" },
        { "privileged", &config_type_boolean, METHOD, PROGRAM | SERVER, 0, "yes",
          M(privileged), 0, 0,
          "only privileged callers may call it" },
        { "timeout", &config_type_time, METHOD, PROGRAM | SERVER, 0, "30s",
          M(timeout), MSEC, 52 * WEEK,
          "the time for a call" },
        { "kill-timeout", &config_type_time, METHOD, PROGRAM, 0, "5s",
          M(program.kill_timeout), 0, 52 * WEEK,
          "the time from SIGTERM to SIGKILL" },
        { "user", &config_type_program_user, METHOD, PROGRAM, 0, "", M(program.user), 0, 0,
          "whom the program runs as, by name or number" },
        { "group", &config_type_group, METHOD, PROGRAM, 0, "", M(program.gid), 0, 0,
          "the group that the program runs as, by name or number" },
        { "directory", &config_type_directory, METHOD, PROGRAM, 0, "/",
          M(program.directory), 0, 0,
          "the folder that the program starts in" },
        { "environment", &config_type_environment, METHOD, PROGRAM, 0, "",
          M(program.environment), 0, 0,
          "NAME=VALUE for the program, separated by spaces" },
        { "max-instances", &config_type_count_or_all, METHOD, PROGRAM, 0, "0",
          M(program.max_instances), 0, 1048576,
          "programs at once; 0: as many as calls" },
        { "memory-max", &config_type_limit_size, METHOD, PROGRAM, 0, "infinity",
          M(program.limits.memory_max), MIB, UINT64_MAX >> 1,
          "memory of all processes of one program" },
        { "tasks-max", &config_type_limit_count, METHOD, PROGRAM, 0, "infinity",
          M(program.limits.tasks_max), 1, 4194304,
          "processes and threads of one program" },
        { "cpu-weight", &config_type_weight, METHOD, PROGRAM, 0, "100",
          M(program.limits.cpu_weight), 1, 10000,
          "the program's share of the CPUs among others" },
        { "scope", &config_type_scope, METHOD, PROGRAM, 0, "auto", M(program.scope), 0, 0,
          "where programs run: unit, agent or auto; auto: as [agent] says" },
        { "properties", &config_type_properties, METHOD, PROGRAM, 0, "",
          M(program.properties), 0, 0,
          "NAME=VALUE of the transient units, beside those of [agent], separated by spaces" },
        { "output", &config_type_output, METHOD, PROGRAM, 0, "json", M(output), 0, 0,
          "what the program writes: json or text" },
        { NULL },
};
/* clang-format on */

size_t config_options_count(void)
{
        return ELEMENTSOF(config_options) - 1;
}

const ConfigOption *config_option_find(const char *key, ConfigSectionKind kind)
{
        for (const ConfigOption *o = config_options; o->key; o++)
                if ((o->sections & kind) && strcmp(o->key, key) == 0)
                        return o;
        return NULL;
}

const ConfigOption *config_option_elsewhere(const char *key, ConfigSectionKind kind)
{
        for (const ConfigOption *o = config_options; o->key; o++)
                if (!(o->sections & kind) && strcmp(o->key, key) == 0)
                        return o;
        return NULL;
}

unsigned config_option_sections(const char *key)
{
        unsigned sections = 0;

        for (const ConfigOption *o = config_options; o->key; o++)
                if (strcmp(o->key, key) == 0)
                        sections |= o->sections;
        return sections;
}

bool config_option_is_for(const ConfigOption *o, ConfigSectionKind kind, unsigned handler,
                          AddressKind address)
{
        return (o->sections & kind) && (kind == AGENT || (o->handlers & handler)) &&
               (!o->addresses || (o->addresses & (1U << address)));
}

bool config_option_has_field(const ConfigOption *o, ConfigSectionKind kind)
{
        return (o->sections & kind) || ((o->sections & LISTEN) && (kind & LISTEN));
}

unsigned config_method_kind(const char *name)
{
        size_t n = strlen(name);

        return n > 2 && strcmp(name + n - 2, ".*") == 0 ? SERVER : PROGRAM;
}

static const struct {
        ConfigSectionKind kind;
        const char *word;
        const char *form;
} section_kinds[] = {
        { CONFIG_SECTION_AGENT, "agent", "[agent]" },
        { CONFIG_SECTION_PORT, "port", "[port N]" },
        { CONFIG_SECTION_LISTEN, "listen", "[listen NAME]" },
        { CONFIG_SECTION_METHOD, "method", "[method NAME]" },
};

const char *config_section_form(unsigned kinds, char buffer[static CONFIG_FORM_MAX])
{
        size_t n = 0;

        *buffer = '\0';
        for (size_t i = 0; i < ELEMENTSOF(section_kinds); i++) {
                unsigned others = kinds & ~(unsigned)section_kinds[i].kind;

                if (kinds == others)
                        continue;
                n += (size_t)snprintf(buffer + n, CONFIG_FORM_MAX - n, "%s%s",
                                      n == 0 ? "" : (others ? ", " : " and "),
                                      section_kinds[i].form);
                kinds = others;
        }
        return buffer;
}

/* Letters to change, add, drop or swap; case does not count. Names are short (49 bytes). */
static size_t distance(const char *a, const char *b)
{
        size_t rows[3][64], n = strlen(a), m = strlen(b);

        if (n >= ELEMENTSOF(rows[0]) || m >= ELEMENTSOF(rows[0]))
                return SIZE_MAX;
        for (size_t j = 0; j <= m; j++)
                rows[0][j] = j;
        for (size_t i = 1; i <= n; i++) {
                size_t *row = rows[i % 3], *last = rows[(i + 2) % 3], *before = rows[(i + 1) % 3];

                row[0] = i;
                for (size_t j = 1; j <= m; j++) {
                        bool same = strncasecmp(a + i - 1, b + j - 1, 1) == 0;

                        row[j] = MIN_OF(row[j - 1], last[j]) + 1;
                        row[j] = MIN_OF(row[j], last[j - 1] + !same);
                        if (i > 1 && j > 1 && strncasecmp(a + i - 1, b + j - 2, 1) == 0 &&
                            strncasecmp(a + i - 2, b + j - 1, 1) == 0)
                                row[j] = MIN_OF(row[j], before[j - 2] + 1);
                }
        }
        return rows[n % 3][m];
}

/* Keeps the nearer one in *best, if it is within `most`. */
static void keep_nearer(const char *written, const char *name, size_t most, size_t *best_distance,
                        const char **best)
{
        size_t d = distance(written, name);

        if (d < *best_distance && d <= most) {
                *best_distance = d;
                *best = name;
        }
}

/* A third of the letters wrong is no longer a slip. */
static size_t slip(const char *name)
{
        return (strlen(name) + 1) / 3;
}

const char *config_key_near(const char *key, ConfigSectionKind kind)
{
        const char *best = NULL;
        size_t d = SIZE_MAX;

        for (const ConfigOption *o = config_options; o->key; o++)
                if (o->sections & kind)
                        keep_nearer(key, o->key, slip(o->key), &d, &best);
        return best;
}

const char *config_key_near_elsewhere(const char *key, ConfigSectionKind kind)
{
        const char *best = NULL;
        size_t d = SIZE_MAX;

        /* To be wrong in the letters and in the section takes more to believe. */
        for (const ConfigOption *o = config_options; o->key; o++)
                if (!(o->sections & kind))
                        keep_nearer(key, o->key, strlen(o->key) / 4, &d, &best);
        return best;
}

const char *config_section_near(const char *word)
{
        const char *best = NULL;
        size_t d = SIZE_MAX;

        for (size_t i = 0; i < ELEMENTSOF(section_kinds); i++)
                keep_nearer(word, section_kinds[i].word, slip(section_kinds[i].word), &d, &best);
        for (size_t i = 0; i < ELEMENTSOF(section_kinds); i++)
                if (best == section_kinds[i].word)
                        return section_kinds[i].form;
        return NULL;
}
