/* SPDX-License-Identifier: MIT */

/*
 * Every text that names who is called, where to listen, or who may call. What a parser takes
 * must print as a text that it reads as the same again; what it refuses comes with a sentence.
 */
#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "io/address.h"
#include "io/cids.h"
#include "io/vsock.h"

typedef int (*ParseFunction)(const char *text, Address *ret, char **ret_problem);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void demand(bool holds)
{
        if (!holds)
                abort();
}

/* A refusal has a sentence, fit for a terminal however odd the text was. */
static void check_refusal(int r, const char *problem)
{
        demand(r == -EINVAL);
        demand(problem && *problem);
        demand(text_is_utf8(problem, strlen(problem)));
        for (const char *p = problem; *p; p++)
                demand((unsigned char)*p >= 0x20 && *p != 0x7f);
}

static void check_socket_address(const Address *a)
{
        struct sockaddr_storage sa;
        socklen_t length = 0;
        int r = address_to_sockaddr(a, &sa, &length);

        /* Only a name has none. */
        demand(r == 0 || (r == -EINVAL && a->kind == ADDRESS_TCP));
        demand(r < 0 || (length > 0 && length <= sizeof(sa)));
        if (a->kind == ADDRESS_TCP)
                demand(a->port >= 1 && a->port <= 65535);
        if (a->kind == ADDRESS_UNIX || a->kind == ADDRESS_MUX)
                demand(*a->path && strlen(a->path) <= ADDRESS_PATH_MAX);
}

static void check_address(ParseFunction parse, const char *text)
{
        _cleanup_address_ Address a = ADDRESS_NULL, again = ADDRESS_NULL, copy = ADDRESS_NULL;
        _cleanup_free_ char *problem = NULL, *printed = NULL, *reprinted = NULL;
        int r;

        r = parse(text, &a, &problem);
        if (r < 0) {
                check_refusal(r, problem);
                demand(a.kind == ADDRESS_NONE && !a.path && !a.host);
                return;
        }
        demand(!problem);
        check_socket_address(&a);
        (void)address_is_loopback(&a);

        printed = address_to_text(&a);
        demand(printed && parse(printed, &again, &problem) == 0);
        demand(address_equal(&a, &again));
        reprinted = address_to_text(&again);
        demand(reprinted && strcmp(printed, reprinted) == 0);
        demand(address_copy(&a, &copy) == 0 && address_equal(&a, &copy));
}

static void check_port(const char *text)
{
        _cleanup_free_ char *problem = NULL;
        char guid[VSOCK_GUID_LENGTH + 1];
        uint32_t port = 0, again = 0;
        int r;

        r = address_parse_port(text, &port, &problem);
        if (r < 0) {
                check_refusal(r, problem);
                return;
        }
        demand(!problem && port != UINT32_MAX);
        vsock_guid_from_port(guid, port);
        demand(strlen(guid) == VSOCK_GUID_LENGTH);
        demand(address_parse_port(guid, &again, &problem) == 0 && again == port);
}

static void check_cids(const char *text)
{
        _cleanup_cid_set_ CidSet s = CID_SET_NULL, again = CID_SET_NULL;
        _cleanup_free_ char *problem = NULL, *printed = NULL;
        bool wider = false;
        int r;

        r = cid_set_parse(text, &s, &problem);
        if (r < 0) {
                check_refusal(r, problem);
                demand(!s.ranges && s.n == 0);
                return;
        }
        demand(!problem && !cid_set_has(&s, UINT32_MAX));
        for (size_t i = 0; i < s.n; i++) {
                demand(s.ranges[i].first <= s.ranges[i].last);
                demand(cid_set_has(&s, s.ranges[i].first) && cid_set_has(&s, s.ranges[i].last));
                wider = wider || s.ranges[i].last > 2;
        }
        demand(cid_set_is_wider_than_host(&s) == (wider || cid_set_has(&s, 1)));
        demand(!s.names_local || cid_set_has(&s, 1));

        printed = cid_set_to_text(&s);
        demand(printed && cid_set_parse(printed, &again, &problem) == 0);
        demand(again.n == s.n && again.names_local == s.names_local);
        demand(s.n == 0 || memcmp(again.ranges, s.ranges, s.n * sizeof(*s.ranges)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        /* A config value has at most some kilobytes; printing a set takes time by its square. */
        char *text = size <= 4096 ? strndup((const char *)data, size) : NULL;

        if (!text)
                return 0;
        check_address(address_parse_target, text);
        check_address(address_parse_listen, text);
        check_port(text);
        check_cids(text);
        free(text);
        return 0;
}
