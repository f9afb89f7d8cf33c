/* SPDX-License-Identifier: MIT */
#include "handlers/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/fd.h"
#include "io/vsock.h"

static void connection_judge(Connection *c)
{
        unsigned trust = c->settings->trust;

        c->root = ((trust & TRUST_PRIVILEGED) || c->handler->guards_connection) &&
                  peer_is_root(&c->peer, &c->settings->peers,
                               c->peer.kind == PEER_VSOCK ? vsock_transports() : 0);
        c->privileged = (trust & TRUST_PEERS) || ((trust & TRUST_PRIVILEGED) && c->root) ||
                        ((trust & TRUST_TOKEN) && c->authenticated);
}

int connection_new(const ConnectionContext *context, int fd, const Peer *peer, Config *config,
                   const ListenSettings *settings, void (*closed)(Connection *, void *),
                   void *userdata, Connection **ret)
{
        _cleanup_(connection_freep) Connection *c = NULL;
        _cleanup_close_ int fd_owned = fd;
        int r;

        c = malloc(sizeof(*c));
        if (!c)
                return -ENOMEM;
        *c = (Connection){
                .context = context,
                .config = config_ref(config),
                .settings = settings,
                .peer = *peer,
                .closed = closed,
                .userdata = userdata,
                .handler = handler_get(settings->handler),
        };
        list_init(&c->link);
        if (settings->address.kind == ADDRESS_VSOCK)
                c->peer.local_port = settings->address.port;
        context->stats->connections_current++;
        connection_judge(c);
        if (c->handler->guards_connection && !c->privileged)
                return -EPERM;

        r = c->handler->open(c, fd_owned, &c->state);
        if (r < 0)
                return r;
        (void)TAKE_FD(fd_owned);
        *ret = TAKE_PTR(c);
        return 0;
}

bool connection_change(Connection *c, Config *config, const ListenSettings *settings)
{
        Config *old = c->config;

        /* Another handler is for those who come; a conversation is finished as it was begun. */
        if (settings->handler != c->settings->handler) {
                connection_orphan(c);
                return true;
        }
        if (settings->trust != c->settings->trust || !token_equal(config->token, old->token))
                c->authenticated = false;
        /* Its port may have had another handler in the meantime. */
        c->orphaned = false;
        c->config = config_ref(config);
        c->settings = settings;
        connection_judge(c);
        if (c->handler->guards_connection && !c->privileged) {
                config_unref(old);
                return false;
        }
        c->handler->changed(c, c->state);
        config_unref(old);
        return true;
}

void connection_authenticate(Connection *c)
{
        if (c->orphaned)
                return;
        c->authenticated = true;
        connection_judge(c);
}

void connection_orphan(Connection *c)
{
        c->orphaned = true;
        if (!c->authenticated)
                return;
        c->authenticated = false;
        connection_judge(c);
        c->handler->changed(c, c->state);
}

void connection_stop(Connection *c)
{
        if (c->stopped)
                return;
        c->stopped = true;
        c->handler->stop(c, c->state);
}

void connection_cancel(Connection *c)
{
        c->handler->cancel(c, c->state);
}

bool connection_may_be_evicted(const Connection *c)
{
        return c->handler->guards_connection ? !c->root : !c->privileged;
}

uint64_t connection_idle_since(const Connection *c)
{
        return c->handler->idle_since(c, c->state);
}

void connection_closed(Connection *c, int error)
{
        log_debug("%s: %s: closed%s%s", c->settings->section, c->peer.text, error < 0 ? ": " : "",
                  error < 0 ? strerror(-error) : "");
        c->closed(c, c->userdata);
}

void connection_log_fields(const ListenSettings *settings, const Peer *peer, LogFields *fields)
{
        log_fields_add(fields, "GUESTWIRE_LISTENER", "%s", settings->section);
        if (settings->address.kind == ADDRESS_VSOCK)
                log_fields_add(fields, "GUESTWIRE_PORT", "%u", settings->address.port);
        if (!peer)
                return;
        log_fields_add(fields, "GUESTWIRE_PEER", "%s", peer->text);
        switch (peer->kind) {
        case PEER_VSOCK:
                log_fields_add(fields, "GUESTWIRE_PEER_CID", "%u", peer->cid);
                log_fields_add(fields, "GUESTWIRE_PEER_PORT", "%u", peer->port);
                break;
        case PEER_UNIX:
                log_fields_add(fields, "GUESTWIRE_PEER_UID", "%u", (unsigned)peer->uid);
                log_fields_add(fields, "GUESTWIRE_PEER_PID", "%d", (int)peer->pid);
                break;
        case PEER_TCP:
                break;
        }
}

Connection *connection_free(Connection *c)
{
        if (!c)
                return NULL;
        list_remove(&c->link);
        if (c->state)
                c->handler->close(c, c->state);
        c->context->stats->connections_current--;
        config_unref(c->config);
        free(c);
        return NULL;
}
