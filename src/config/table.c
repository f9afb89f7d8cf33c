/* SPDX-License-Identifier: MIT */
#include "config/table.h"

#include <stdbool.h>
#include <string.h>
#include <strings.h>

#include "base/text.h"

#define AGENT CONFIG_SECTION_AGENT
#define LISTEN (CONFIG_SECTION_PORT | CONFIG_SECTION_LISTEN)
#define LISTEN_ONLY CONFIG_SECTION_LISTEN
#define ALL CONFIG_HANDLERS_ALL
#define RPC (1U << HANDLER_RPC)
#define UNIX (1U << ADDRESS_UNIX)

#define A(field) offsetof(AgentSettings, field)
#define L(field) offsetof(ListenSettings, field)

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

        { "address", &config_type_address, LISTEN_ONLY, ALL, 0, "", L(address), 0, 0,
          "where to listen: unix:/PATH, tcp:127.0.0.1:PORT, tcp:[::1]:PORT or vsock:PORT" },
        { "mode", &config_type_mode, LISTEN_ONLY, ALL, UNIX, "0600", L(file.mode), 0, 0,
          "permissions of the socket's file, octal" },
        { "owner", &config_type_user, LISTEN_ONLY, ALL, UNIX, "", L(file.uid), 0, 0,
          "who owns the socket's file, by name or number" },
        { "group", &config_type_group, LISTEN_ONLY, ALL, UNIX, "", L(file.gid), 0, 0,
          "the group of the socket's file, by name or number" },
        { "description", &config_type_text, LISTEN, ALL, 0, "Guest agent", L(description), 0, 0,
          "what the port is for, as agent.info tells it" },
        { "handler", &config_type_handler, LISTEN, ALL, 0, "rpc", L(handler), 0, 0,
          "what answers" },
        { "peers", &config_type_cids, LISTEN, ALL, 0, "host", L(peers), 0, 0,
          "who may connect over vsock: host, local, any, CIDs and ranges" },
        { "trust", &config_type_trust, LISTEN, RPC, 0, "privileged", L(trust), 0, 0,
          "who may call privileged methods: privileged, peers or nobody" },
        { "trust-unsafe", &config_type_boolean, LISTEN, RPC, 0, "no", L(trust_unsafe), 0, 0,
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

const char *config_section_form(unsigned kinds)
{
        switch (kinds) {
        case CONFIG_SECTION_AGENT:
                return "[agent]";
        case CONFIG_SECTION_PORT:
                return "[port N]";
        case CONFIG_SECTION_LISTEN:
                return "[listen NAME]";
        default:
                return "[port N] and [listen NAME]";
        }
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

/* Keeps the nearer one in *best. A third of the letters wrong is no longer a slip. */
static void keep_nearer(const char *written, const char *name, size_t *best_distance,
                        const char **best)
{
        size_t d = distance(written, name);

        if (d < *best_distance && d <= (strlen(name) + 2) / 3) {
                *best_distance = d;
                *best = name;
        }
}

const char *config_key_near(const char *key, unsigned kinds)
{
        const char *best = NULL;
        size_t d = SIZE_MAX;

        for (const ConfigOption *o = config_options; o->key; o++)
                if (o->sections & kinds)
                        keep_nearer(key, o->key, &d, &best);
        return best;
}

const char *config_section_near(const char *word)
{
        static const char *const words[] = { "agent", "port", "listen" };
        static const char *const forms[] = { "[agent]", "[port N]", "[listen NAME]" };
        const char *best = NULL;
        size_t d = SIZE_MAX;

        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                keep_nearer(word, words[i], &d, &best);
        for (size_t i = 0; i < ELEMENTSOF(words); i++)
                if (best == words[i])
                        return forms[i];
        return NULL;
}
