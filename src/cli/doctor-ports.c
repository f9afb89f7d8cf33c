/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/doctor.h"
#include "cli/listeners.h"
#include "config/config.h"
#include "io/vsock.h"

#define AGENT_NAME "guestwired"

static void check_peers(Doctor *d, const ListenSettings *l)
{
        _cleanup_free_ char *peers = NULL;

        if (l->address.kind != ADDRESS_VSOCK)
                return;
        peers = cid_set_to_text(&l->peers);
        if (!cid_set_is_wider_than_host(&l->peers))
                doctor_say(d, "callers", DOCTOR_OK, NULL, "[%s] lets in: %s", l->section,
                           peers && peers[0] ? peers : "nobody");
        else
                doctor_say(d, "callers", DOCTOR_WARN,
                           "peers = host, unless the others are meant to call",
                           "[%s] lets in more than the host: %s", l->section, peers ?: "?");
}

void doctor_check_callers(Doctor *d)
{
        if (d->transports & VSOCK_TRANSPORT_LOOPBACK)
                doctor_say(
                        d, "callers", DOCTOR_OK, NULL,
                        "every process here can call as CID 1 (loopback); `peers = host` refuses "
                        "them");
        else
                doctor_say(d, "callers", DOCTOR_OK, NULL,
                           "no loopback now, but any process here may cause it to be loaded; "
                           "`peers = host` refuses those callers");
        if (d->transports &
            (VSOCK_TRANSPORT_VIRTIO | VSOCK_TRANSPORT_HYPERV | VSOCK_TRANSPORT_VMCI))
                doctor_say(d, "callers", DOCTOR_OK, NULL,
                           "the host can call, as CID 2; other guests of it as their own CIDs "
                           "where the VMM passes them on, which cannot be seen from here");
        if (d->transports & VSOCK_TRANSPORT_VHOST)
                doctor_say(d, "callers", DOCTOR_OK, NULL,
                           "guests of this machine can call, as CIDs from 3 up");
}

static void say_taken(Doctor *d, const char *where, uint64_t inode)
{
        char name[LISTENERS_NAME_SIZE];
        pid_t pid;

        if (listeners_owner(inode, &pid, name) <= 0)
                doctor_say(d, "port", geteuid() == 0 ? DOCTOR_OK : DOCTOR_WARN,
                           geteuid() == 0 ? NULL : "run this as root to see who it is",
                           "%s: somebody listens", where);
        else if (strcmp(name, AGENT_NAME) == 0 || pid == 1) /* systemd holds activated sockets */
                doctor_say(d, "port", DOCTOR_OK, NULL, "%s: %s listens (pid %d)", where, name,
                           (int)pid);
        else
                doctor_say(d, "port", DOCTOR_FAIL,
                           "stop that program, or give guestwired another port",
                           "%s: taken by %s (pid %d)", where, name, (int)pid);
}

/* section: the one that wants the address, or NULL where no agent is configured. */
static void check_listener(Doctor *d, const char *section, const Address *a)
{
        _cleanup_free_ char *address = NULL, *where = NULL;
        uint64_t inode;
        int r;

        if (a->kind == ADDRESS_VSOCK)
                address = text_format("vsock port %" PRIu32, a->port);
        else
                address = address_to_text(a);
        where = section ? text_format("[%s] %s", section, address ?: "?") : TAKE_PTR(address);
        if (!where)
                return;

        r = listeners_find(a, &inode);
        if (r > 0)
                say_taken(d, where, inode);
        else if (r == 0 && section)
                doctor_say(d, "port", DOCTOR_WARN, "systemctl start guestwired",
                           "%s: free, nobody listens", where);
        else if (r == 0)
                doctor_say(d, "port", DOCTOR_OK, NULL, "%s: free, an agent could have it", where);
        else
                doctor_say(d, "port", DOCTOR_WARN,
                           a->kind == ADDRESS_VSOCK ? "modprobe vsock_diag" : "mount proc on /proc",
                           "%s: who listens cannot be seen (%s)", where, text_errno_name(-r));
}

void doctor_check_ports(Doctor *d)
{
        _cleanup_(config_errors_done) ConfigErrors errors = {};
        _cleanup_config_ Config *config = NULL;
        int r;

        r = config_load(NULL, &config, &errors);
        if (r < 0) {
                for (char **e = errors.list; e && *e; e++)
                        doctor_say(d, "config", DOCTOR_FAIL,
                                   "correct it; guestwired --check reads it all again", "%s", *e);
                if (!errors.list)
                        doctor_say(d, "config", DOCTOR_FAIL, NULL, "cannot be read: %s",
                                   strerror(-r));
                return;
        }
        if (config->n_listens == 0) {
                const Address standard = { .kind = ADDRESS_VSOCK, .port = ADDRESS_PORT_DEFAULT };

                doctor_say(d, "config", DOCTOR_OK, NULL,
                           "no ports are configured: no agent is to run on this machine");
                check_listener(d, NULL, &standard);
                return;
        }
        doctor_say(d, "config", DOCTOR_OK, NULL, "sound, with %zu port%s", config->n_listens,
                   config->n_listens == 1 ? "" : "s");
        for (size_t i = 0; i < config->n_listens; i++) {
                check_peers(d, config->listens[i]);
                if (config->listens[i]->trust_unsafe)
                        doctor_say(d, "callers", DOCTOR_WARN,
                                   "trust-unsafe = no, unless every caller may do everything",
                                   "[%s] has trust-unsafe: whoever gets in may be privileged",
                                   config->listens[i]->section);
                check_listener(d, config->listens[i]->section, &config->listens[i]->address);
        }
}
