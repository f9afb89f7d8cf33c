/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <systemd/sd-id128.h>
#include <time.h>
#include <unistd.h>

#include "io/vsock.h"
#include "methods/context.h"
#include "methods/facts.h"
#include "methods/members.h"
#include "methods/reload.h"
#include "methods/virtualization.h"
#include "rpc/call.h"
#include "rpc/session.h"

/* The identity of guestwire in sd_id128_get_machine_app_specific(): machine-id itself is not
 * to be shown to others, machine-id(5). */
#define AGENT_APPLICATION_ID \
        SD_ID128_MAKE(2a, 38, 3e, f5, 2d, 05, 4c, 58, be, d9, 25, 4d, 23, 08, 95, 02)

/* The fast path of monitoring: constant text, nothing built. */
static void agent_ping(Call *call, json_object *params, void *userdata)
{
        call_reply_text(call, "{}", strlen("{}"));
}

static void add_cid(Members *m)
{
        uint32_t cid;
        int r = vsock_get_cid(&cid);

        if (r >= 0 && vsock_cid_is_guest(cid))
                members_add_unsigned(m, "cid", cid);
        else
                members_add_null(m, "cid");
        if (r >= 0)
                members_add_unsigned(m, "cid_raw", cid);
        else
                members_add_null(m, "cid_raw");
}

static void add_id(Members *m, const char *key, int r, sd_id128_t id)
{
        char text[SD_ID128_STRING_MAX];

        members_add_text(m, key, r < 0 ? NULL : sd_id128_to_string(id, text));
}

static void add_identity(Members *m)
{
        char hostname[HOST_NAME_MAX + 1];
        sd_id128_t id = SD_ID128_NULL;
        int r;

        r = gethostname(hostname, sizeof hostname);
        members_add_text(m, "hostname", r < 0 ? NULL : hostname);
        r = sd_id128_get_boot(&id);
        add_id(m, "boot_id", r, id);
        r = sd_id128_get_machine_app_specific(AGENT_APPLICATION_ID, &id);
        add_id(m, "machine_id", r, id);
}

static json_object *dialects_to_json(void)
{
        _cleanup_json_ json_object *array = json_object_new_array();

        for (const char *const *d = session_dialects(); *d; d++)
                if (members_array_take(array, json_object_new_string(*d)) < 0)
                        return NULL;
        return TAKE_PTR(array);
}

/* What a host can reach by a port's number: Unix and TCP sockets have none of these. */
static json_object *ports_to_json(const Config *config)
{
        _cleanup_json_ json_object *array = json_object_new_array();

        for (size_t i = 0; i < config->n_listens; i++) {
                const ListenSettings *l = config->listens[i];
                char guid[VSOCK_GUID_LENGTH + 1];
                Members m;

                if (l->address.kind != ADDRESS_VSOCK)
                        continue;
                vsock_guid_from_port(guid, l->address.port);
                members_init(&m);
                members_add_unsigned(&m, "port", l->address.port);
                members_add_text(&m, "guid", guid);
                members_add_text(&m, "handler", handler_kind_to_text(l->handler));
                members_add_text(&m, "description",
                                 l->description && l->description[0] != '\0' ? l->description
                                                                             : NULL);
                if (members_array_take(array, members_take(&m)) < 0)
                        return NULL;
        }
        return TAKE_PTR(array);
}

static json_object *caller_to_json(const Call *call)
{
        const Peer *p = call_peer(call);
        Members m;

        members_init(&m);
        if (p->kind == PEER_VSOCK)
                members_add_unsigned(&m, "cid", p->cid);
        else
                members_add_null(&m, "cid");
        if (p->kind == PEER_VSOCK || p->kind == PEER_TCP)
                members_add_unsigned(&m, "port", p->port);
        else
                members_add_null(&m, "port");
        if (p->kind == PEER_UNIX)
                members_add_unsigned(&m, "uid", p->uid);
        else
                members_add_null(&m, "uid");
        members_add_boolean(&m, "privileged", call_is_privileged(call));
        return members_take(&m);
}

static void agent_info(Call *call, json_object *params, void *userdata)
{
        const AgentContext *context = userdata;
        _cleanup_members_ Members m;

        members_init(&m);
        members_add_text(&m, "name", PACKAGE_NAME);
        members_add_text(&m, "version", PACKAGE_VERSION);
        add_cid(&m);
        add_identity(&m);
        members_add_text(&m, "virtualization", virtualization_detect());
        members_add_unsigned(&m, "uptime_us", facts_now(CLOCK_MONOTONIC) - context->started);
        members_add_value(&m, "dialects", dialects_to_json());
        members_add_value(&m, "ports", ports_to_json(context->config));
        members_add_value(&m, "caller", caller_to_json(call));
        call_reply(call, members_take(&m));
}

static json_object *connections_to_json(const Stats *s)
{
        Members m;

        members_init(&m);
        members_add_unsigned(&m, "accepted", s->connections_accepted);
        members_add_unsigned(&m, "current", s->connections_current);
        members_add_unsigned(&m, "full", s->connections_full);
        members_add_unsigned(&m, "evicted", s->connections_evicted);
        return members_take(&m);
}

static json_object *calls_to_json(const Stats *s)
{
        Members m;

        members_init(&m);
        members_add_unsigned(&m, "total", s->calls_total);
        members_add_unsigned(&m, "running", s->calls_running);
        return members_take(&m);
}

static json_object *errors_to_json(const Stats *s)
{
        Members m;

        members_init(&m);
        for (RpcCode c = 0; c < RPC_CODE_MAX; c++)
                members_add_unsigned(&m, rpc_code_to_text(c), s->errors_protocol[c]);
        for (Reason r = 0; r < REASON_MAX; r++) {
                char key[32];

                /* Reasons have hyphens, keys of results have not. */
                (void)snprintf(key, sizeof key, "%s", reason_to_text(r));
                for (char *c = key; *c != '\0'; c++)
                        if (*c == '-')
                                *c = '_';
                members_add_value_named(&m, key, json_object_new_uint64(s->errors_reason[r]));
        }
        return members_take(&m);
}

static json_object *bytes_to_json(const Stats *s)
{
        Members m;

        members_init(&m);
        members_add_unsigned(&m, "received", s->bytes_received);
        members_add_unsigned(&m, "sent", s->bytes_sent);
        return members_take(&m);
}

/* Bytes. smaps_rollup counts pages; the sums behind statm lag by some per CPU, and are for
 * kernels without it. */
static int memory_read(uint64_t *ret_resident, uint64_t *ret_anonymous)
{
        uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
        unsigned long long resident, shared;
        uint64_t rss, anonymous;
        char text[4096];

        if (facts_read("", "/proc/self/smaps_rollup", text, sizeof text) > 0 &&
            facts_find_kibibytes(text, "Rss:", &rss) >= 0 &&
            facts_find_kibibytes(text, "Anonymous:", &anonymous) >= 0) {
                *ret_resident = rss;
                *ret_anonymous = anonymous;
                return 0;
        }
        if (facts_read("", "/proc/self/statm", text, sizeof text) <= 0 ||
            sscanf(text, "%*u %llu %llu", &resident, &shared) != 2 || shared > resident)
                return -ENODATA;
        *ret_resident = resident * page;
        *ret_anonymous = (resident - shared) * page;
        return 0;
}

static json_object *memory_to_json(void)
{
        uint64_t resident, anonymous;
        Members m;

        members_init(&m);
        if (memory_read(&resident, &anonymous) >= 0) {
                members_add_unsigned(&m, "resident_bytes", resident);
                members_add_unsigned(&m, "anonymous_bytes", anonymous);
        } else {
                members_add_null(&m, "resident_bytes");
                members_add_null(&m, "anonymous_bytes");
        }
        return members_take(&m);
}

static void agent_stats(Call *call, json_object *params, void *userdata)
{
        const AgentContext *context = userdata;
        const Stats *s = context->stats;
        _cleanup_members_ Members m;

        members_init(&m);
        members_add_unsigned(&m, "uptime_us", facts_now(CLOCK_MONOTONIC) - context->started);
        members_add_value(&m, "connections", connections_to_json(s));
        members_add_unsigned(&m, "refused_peers", s->connections_refused);
        members_add_value(&m, "calls", calls_to_json(s));
        members_add_value(&m, "errors", errors_to_json(s));
        members_add_value(&m, "bytes", bytes_to_json(s));
        members_add_value(&m, "memory", memory_to_json());
        call_reply(call, members_take(&m));
}

static const Field port_fields[] = {
        { "port", FIELD_INTEGER, 0, "The AF_VSOCK port", NULL },
        { "guid", FIELD_STRING, 0, "Its Hyper-V service GUID", NULL },
        { "handler", FIELD_STRING, 0, "What answers there", NULL },
        { "description", FIELD_STRING, FIELD_NULLABLE, "As the configuration has it", NULL },
        {},
};

static const Field caller_fields[] = {
        { "cid", FIELD_INTEGER, FIELD_NULLABLE, "The caller's CID; null but for vsock", NULL },
        { "port", FIELD_INTEGER, FIELD_NULLABLE, "The caller's source port; null on a Unix socket",
          NULL },
        { "uid", FIELD_INTEGER, FIELD_NULLABLE, "The caller's user; null but on a Unix socket",
          NULL },
        { "privileged", FIELD_BOOLEAN, 0, "Whether privileged methods are open to the caller",
          NULL },
        {},
};

static const Field info_fields[] = {
        { "name", FIELD_STRING, 0, "The agent's name, guestwire", NULL },
        { "version", FIELD_STRING, 0, "The agent's version", NULL },
        { "cid", FIELD_INTEGER, FIELD_NULLABLE,
          "The guest's CID; null where it has none of its own", NULL },
        { "cid_raw", FIELD_INTEGER, FIELD_NULLABLE,
          "What /dev/vsock says; null where it cannot be asked", NULL },
        { "hostname", FIELD_STRING, FIELD_NULLABLE, "The guest's host name", NULL },
        { "boot_id", FIELD_STRING, FIELD_NULLABLE, "32 hex digits, new at every boot", NULL },
        { "machine_id", FIELD_STRING, FIELD_NULLABLE,
          "32 hex digits, the installation's; derived from machine-id for guestwire alone", NULL },
        { "virtualization", FIELD_STRING, 0, "In systemd-detect-virt's words; none on bare metal",
          NULL },
        { "uptime_us", FIELD_INTEGER, 0, "Microseconds since the agent's start", NULL },
        { "dialects", FIELD_ARRAY, 0, "Names of the protocols understood", NULL },
        { "ports", FIELD_ARRAY, 0, "The configured AF_VSOCK ports", port_fields },
        { "caller", FIELD_OBJECT, 0, "How the agent sees who asks", caller_fields },
        {},
};

static const Field connections_fields[] = {
        { "accepted", FIELD_INTEGER, 0, "Connections let in", NULL },
        { "current", FIELD_INTEGER, 0, "Connections open now", NULL },
        { "full", FIELD_INTEGER, 0, "Connections turned away at a limit", NULL },
        { "evicted", FIELD_INTEGER, 0, "Idle connections closed to make room", NULL },
        {},
};

static const Field calls_fields[] = {
        { "total", FIELD_INTEGER, 0, "Calls begun", NULL },
        { "running", FIELD_INTEGER, 0, "Calls running now, this one among them", NULL },
        {},
};

static const Field bytes_fields[] = {
        { "received", FIELD_INTEGER, 0, "Bytes read from callers", NULL },
        { "sent", FIELD_INTEGER, 0, "Bytes written to callers", NULL },
        {},
};

static const Field memory_fields[] = {
        { "resident_bytes", FIELD_INTEGER, FIELD_NULLABLE, "Memory in use, shared pages included",
          NULL },
        { "anonymous_bytes", FIELD_INTEGER, FIELD_NULLABLE, "Memory of the agent's own", NULL },
        {},
};

static const Field stats_fields[] = {
        { "uptime_us", FIELD_INTEGER, 0, "Microseconds since the agent's start", NULL },
        { "connections", FIELD_OBJECT, 0, "Connections", connections_fields },
        { "refused_peers", FIELD_INTEGER, 0, "Connections refused by `peers`", NULL },
        { "calls", FIELD_OBJECT, 0, "Calls", calls_fields },
        { "errors", FIELD_OBJECT, 0,
          "Errors answered: by protocol error (parse_error ...) and by reason (not_allowed ...)",
          NULL },
        { "bytes", FIELD_OBJECT, 0, "Bytes over all connections", bytes_fields },
        { "memory", FIELD_OBJECT, 0, "The agent's own memory", memory_fields },
        {},
};

const Method agent_methods[] = {
        { .name = "agent.info",
          .run = agent_info,
          .summary = "Says what the agent is, where it runs, and how it sees the caller",
          .result = info_fields },
        { .name = "agent.ping", .run = agent_ping, .summary = "Answers: the agent is there" },
        { .name = "agent.reload",
          .run = reload_run,
          .flags = METHOD_PRIVILEGED | METHOD_ASYNC,
          .summary = "Reads the configuration anew; on an error the old one stays in force",
          .reasons = 1U << REASON_FAILED },
        { .name = "agent.stats",
          .run = agent_stats,
          .summary = "Counts connections, calls, errors and bytes since the agent's start",
          .result = stats_fields },
        {},
};
