/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <linux/vm_sockets.h>

#include "base/text.h"
#include "io/dial-problem.h"
#include "io/lookup.h"
#include "io/vsock.h"

static char *timeout_problem(const Address *a, DialStage stage, uint64_t timeout, const char *text)
{
        char time[64];

        /* What is left of a caller's whole time: 9s 999ms 950us is ten seconds to people. */
        if (timeout >= 10000 && timeout < TEXT_INFINITY - 10000)
                timeout = (timeout + 5000) / 10000 * 10000;
        text_from_usec(time, timeout);
        switch (stage) {
        case DIAL_STAGE_LOOKUP:
                return text_format("the name '%s' was not resolved within %s: check the name "
                                   "server, or write the address in numbers",
                                   a->host, time);
        case DIAL_STAGE_MUX:
                return text_format("%s took the call but did not answer CONNECT within %s: does "
                                   "the guest run, and is this the VMM's vsock socket?",
                                   a->path, time);
        case DIAL_STAGE_CONNECT:
                break;
        }
        return text_format("%s did not answer within %s: check that it runs and is not stuck, or "
                           "allow more time",
                           text, time);
}

static char *vsock_problem(const Address *a, int error, const char *text)
{
        switch (-error) {
        case EAFNOSUPPORT:
                return text_format("%s", VSOCK_UNSUPPORTED_TEXT);
        /* What is ECONNREFUSED elsewhere is a reset on virtio and VMCI. */
        case ECONNRESET:
        case ECONNREFUSED:
                return text_format("nobody listens on vsock port %" PRIu32 " of CID %" PRIu32
                                   ": is guestwired, or what else serves it, running there?",
                                   a->port, a->cid);
        case ENODEV:
                if (a->cid == VMADDR_CID_LOCAL)
                        return text_format("CID 1 is loopback and this kernel has none loaded: "
                                           "modprobe vsock_loopback");
                return text_format("no vsock transport here reaches CID %" PRIu32
                                   ": is that guest running? On a host modprobe vhost_vsock; in a "
                                   "guest add a vsock device to the VM",
                                   a->cid);
        case ENETUNREACH:
        case EHOSTUNREACH:
                return text_format("no guest with CID %" PRIu32 " answers: check that it runs and "
                                   "has this CID",
                                   a->cid);
        default:
                return text_format("cannot connect to %s: %s", text, strerror(-error));
        }
}

static char *unix_problem(const Address *a, int error, const char *text)
{
        const char *who = a->kind == ADDRESS_MUX ? "the VM" : "guestwired, or what else serves it,";

        switch (-error) {
        case ENOENT:
                return text_format("there is no socket '%s': is %s running, and is the path right?",
                                   a->path, who);
        case ECONNREFUSED:
                return text_format("nobody listens on '%s': is %s running?", a->path, who);
        case EACCES:
        case EPERM:
                return text_format("no permission to connect to '%s': run as its owner or as root",
                                   a->path);
        case EPROTOTYPE:
                return text_format("'%s' is no stream socket: it belongs to something else",
                                   a->path);
        default:
                return text_format("cannot connect to %s: %s", text, strerror(-error));
        }
}

static char *mux_problem(const Address *a, int error, const char *detail, const char *text)
{
        switch (-error) {
        case ECONNRESET:
                return text_format("nobody listens on port %" PRIu32 " in the guest: '%s' took "
                                   "the call and closed it; is guestwired, or what else serves it, "
                                   "running there?",
                                   a->port, a->path);
        case EPROTO:
                return text_format("'%s' answered CONNECT with '%s' and not with OK: is this the "
                                   "VMM's vsock socket? An agent's own is named unix:%s",
                                   a->path, detail ? detail : "", a->path);
        default:
                return text_format("the handshake with %s failed: %s", text, strerror(-error));
        }
}

static char *tcp_problem(const Address *a, int error, const char *text)
{
        if (error == -ECONNREFUSED)
                return text_format("nobody listens on %s: is guestwired, or what else serves it, "
                                   "running there?",
                                   text);
        return text_format("cannot connect to %s: %s", text, strerror(-error));
}

char *dial_problem(const Address *a, DialStage stage, int error, uint64_t timeout,
                   const char *detail)
{
        _cleanup_free_ char *text = address_to_text(a);

        if (!text)
                return NULL;
        if (error == -ETIMEDOUT && timeout != TEXT_INFINITY)
                return timeout_problem(a, stage, timeout, text);
        if (stage == DIAL_STAGE_LOOKUP && error == -EBUSY)
                return text_format("the name '%s' is not looked up: %u others are, as many as may "
                                   "be at once; check the name server, or write the address in "
                                   "numbers",
                                   a->host, LOOKUPS_MAX);
        if (stage == DIAL_STAGE_LOOKUP)
                return text_format("the name '%s' does not resolve: %s", a->host,
                                   detail ? detail : strerror(-error));
        if (stage == DIAL_STAGE_MUX)
                return mux_problem(a, error, detail, text);
        switch (a->kind) {
        case ADDRESS_VSOCK:
                return vsock_problem(a, error, text);
        case ADDRESS_UNIX:
        case ADDRESS_MUX:
                return unix_problem(a, error, text);
        default:
                return tcp_problem(a, error, text);
        }
}
