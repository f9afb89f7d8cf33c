/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <linux/vm_sockets.h>

#include "base/text.h"
#include "io/address.h"
#include "io/problem.h"
#include "io/vsock.h"

#define DIGITS "0123456789"
#define HEX_DIGITS DIGITS "abcdefABCDEF"
#define LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
/* RFC 1035's limit for a name, in its printed form. */
#define HOST_MAX 253U
#define SHOWN_MAX 120U

#define TARGET_FORMS                                                                             \
        "write a CID such as 21, vsock:21:1000, mux:/path/of/vm.sock, unix:/path/of/agent.sock " \
        "or tcp:127.0.0.1:1000"
#define LISTEN_FORMS \
        "write unix:/run/guestwire/NAME.sock, tcp:127.0.0.1:PORT, tcp:[::1]:PORT or vsock:PORT"

static const char *after_prefix(const char *text, const char *prefix)
{
        size_t n = strlen(prefix);

        return strncmp(text, prefix, n) == 0 ? text + n : NULL;
}

/* -EINVAL with "'text' why" as the problem. */
static int refuse(const char *text, const char *why, char **ret_problem)
{
        _cleanup_free_ char *shown = text_show(text, strlen(text), SHOWN_MAX);

        if (!shown)
                return -ENOMEM;
        return problem_take(ret_problem, text_format("'%s' %s", shown, why), -EINVAL);
}

static bool has_form_of_guid(const char *text)
{
        return strlen(text) == VSOCK_GUID_LENGTH && strspn(text, HEX_DIGITS "-") == 36 &&
               text[8] == '-' && text[13] == '-' && text[18] == '-' && text[23] == '-';
}

static bool is_all_of(const char *text, const char *set)
{
        return *text && text[strspn(text, set)] == '\0';
}

static bool has_form_of_port(const char *text)
{
        if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X'))
                return is_all_of(text + 2, HEX_DIGITS);
        return is_all_of(text, DIGITS) || has_form_of_guid(text);
}

int address_parse_port(const char *text, uint32_t *ret, char **ret_problem)
{
        uint32_t port = 0;
        int r;

        r = text_to_u32(text, &port);
        if (r == -EINVAL && has_form_of_guid(text)) {
                r = vsock_guid_to_port(text, &port);
                if (r < 0)
                        return refuse(text,
                                      "is not the GUID of a vsock port: those are "
                                      "XXXXXXXX-facb-11e6-bd58-64006a7986d3 with the port in hex "
                                      "first (port 1000 is 000003e8-facb-11e6-bd58-64006a7986d3)",
                                      ret_problem);
        }
        if (r == -ERANGE)
                return refuse(text, "is too large for a vsock port: the last is 4294967294",
                              ret_problem);
        if (r < 0)
                return refuse(text,
                              "is not a vsock port: write it in decimal (1000), in hex (0x3e8) or "
                              "as a Hyper-V service GUID (000003e8-facb-11e6-bd58-64006a7986d3)",
                              ret_problem);
        if (port == VMADDR_PORT_ANY)
                return refuse(text,
                              "is VMADDR_PORT_ANY, which no listener can have: write a port from "
                              "0 to 4294967294",
                              ret_problem);
        *ret = port;
        return 0;
}

static int parse_tcp_port(const char *text, uint32_t *ret, char **ret_problem)
{
        uint32_t port;

        if (text_to_u32(text, &port) < 0 || port < 1 || port > 65535)
                return refuse(text, "is not a TCP port: write a number from 1 to 65535",
                              ret_problem);
        *ret = port;
        return 0;
}

static int parse_path(const char *path, size_t n, bool absolute, Address *a, char **ret_problem)
{
        if (n == 0)
                return problem_take(ret_problem,
                                    text_format("the path of the socket is missing: write it "
                                                "after the colon, as in unix:/run/x.sock"),
                                    -EINVAL);
        if (n > ADDRESS_PATH_MAX)
                return refuse(path,
                              "is too long for the path of a Unix socket: it may have 107 bytes",
                              ret_problem);
        if (absolute && *path != '/')
                return refuse(path, "is not an absolute path: begin it with '/'", ret_problem);
        if (absolute && path[n - 1] == '/')
                return refuse(path, "names a folder: add the socket's own name", ret_problem);
        a->path = strndup(path, n);
        return a->path ? 0 : -ENOMEM;
}

static int parse_unix(const char *path, bool absolute, Address *a, char **ret_problem)
{
        a->kind = ADDRESS_UNIX;
        return parse_path(path, strlen(path), absolute, a, ret_problem);
}

static int parse_mux(const char *text, Address *a, char **ret_problem)
{
        const char *colon = strrchr(text, ':');
        size_t n = strlen(text);
        int r;

        a->kind = ADDRESS_MUX;
        a->port = ADDRESS_PORT_DEFAULT;
        if (colon && colon[1] == '\0')
                return refuse(text,
                              "ends where a port should follow: add one, as in mux:/path:1000, "
                              "or drop the last colon",
                              ret_problem);
        if (colon && has_form_of_port(colon + 1)) {
                r = address_parse_port(colon + 1, &a->port, ret_problem);
                if (r < 0)
                        return r;
                n = (size_t)(colon - text);
        }
        return parse_path(text, n, false, a, ret_problem);
}

/* A scope ("%eth0") stays as it is; the address itself gets its canonical form. */
static int parse_ipv6(const char *host, Address *a, char **ret_problem)
{
        char canonical[INET6_ADDRSTRLEN];
        const char *scope = strchrnul(host, '%');
        _cleanup_free_ char *bare = strndup(host, (size_t)(scope - host));
        struct in6_addr in6;

        if (!bare)
                return -ENOMEM;
        if (inet_pton(AF_INET6, bare, &in6) != 1 ||
            (*scope &&
             (strlen(scope + 1) >= IF_NAMESIZE || !is_all_of(scope + 1, LETTERS DIGITS "._-"))))
                return refuse(host, "is not an IPv6 address: write one as in tcp:[::1]:1000",
                              ret_problem);
        if (!inet_ntop(AF_INET6, &in6, canonical, sizeof(canonical)))
                return -errno;
        a->host = text_format("%s%s", canonical, scope);
        return a->host ? 0 : -ENOMEM;
}

static int parse_host(const char *host, bool numeric, Address *a, char **ret_problem)
{
        struct in_addr in;

        if (*host == '\0')
                return problem_take(ret_problem,
                                    text_format("the host is missing: write tcp:127.0.0.1:1000 or "
                                                "tcp:[::1]:1000"),
                                    -EINVAL);
        if (numeric && inet_pton(AF_INET, host, &in) != 1)
                return refuse(host,
                              "is not a numeric address, and a listener needs one: write "
                              "tcp:127.0.0.1:PORT or tcp:[::1]:PORT",
                              ret_problem);
        if (strlen(host) > HOST_MAX || !is_all_of(host, LETTERS DIGITS "._-"))
                return refuse(host,
                              "is not a host: write a name, an IPv4 address, or an IPv6 address "
                              "in brackets",
                              ret_problem);
        a->host = strdup(host);
        return a->host ? 0 : -ENOMEM;
}

/* listening: both a numeric address and a port are demanded. */
static int parse_tcp(const char *text, bool listening, Address *a, char **ret_problem)
{
        _cleanup_free_ char *host = NULL;
        const bool bracket = *text == '[';
        const char *end, *port;
        int r;

        a->kind = ADDRESS_TCP;
        a->port = ADDRESS_PORT_DEFAULT;
        end = bracket ? strchr(text, ']') : strchrnul(text, ':');
        if (!end || (bracket && end[1] != ':' && end[1] != '\0'))
                return refuse(text, "does not end its IPv6 address: write tcp:[::1]:1000",
                              ret_problem);
        port = bracket ? end + 1 : end;
        if (*port && strchr(port + 1, ':'))
                return refuse(text,
                              "has too many colons: an IPv6 address goes in brackets, as in "
                              "tcp:[::1]:1000",
                              ret_problem);
        host = strndup(text + bracket, (size_t)(end - text) - bracket);
        if (!host)
                return -ENOMEM;
        r = bracket ? parse_ipv6(host, a, ret_problem)
                    : parse_host(host, listening, a, ret_problem);
        if (r < 0)
                return r;
        if (*port)
                return parse_tcp_port(port + 1, &a->port, ret_problem);
        if (listening)
                return refuse(text, "has no port: add one, as in tcp:127.0.0.1:1000", ret_problem);
        return 0;
}

/* CID[:PORT] */
static int parse_vsock(const char *text, Address *a, char **ret_problem)
{
        const char *colon = strchrnul(text, ':');
        _cleanup_free_ char *cid = strndup(text, (size_t)(colon - text));
        int r;

        if (!cid)
                return -ENOMEM;
        a->kind = ADDRESS_VSOCK;
        a->port = ADDRESS_PORT_DEFAULT;
        r = vsock_cid_from_text(cid, &a->cid);
        if (r == -ERANGE)
                return refuse(cid, "is too large for a CID: the last is 4294967294", ret_problem);
        if (r < 0)
                return refuse(cid,
                              "is no CID: write a number such as 21, local (loopback, lo) or host "
                              "(parent)",
                              ret_problem);
        if (a->cid == VMADDR_CID_ANY)
                return refuse(cid,
                              "is the CID that listeners bind, nobody can be called by it: write "
                              "the guest's own, a number from 3",
                              ret_problem);
        return *colon ? address_parse_port(colon + 1, &a->port, ret_problem) : 0;
}

/* What has no prefix: a CID, or a CID and a port. */
static int parse_bare(const char *text, Address *a, char **ret_problem)
{
        _cleanup_free_ char *first = NULL;
        uint32_t cid;

        if (strchr(text, '/'))
                return refuse(text,
                              "is not a target: if it is an agent's Unix socket put unix: before "
                              "it, if it is a VMM's vsock socket mux:",
                              ret_problem);
        first = strndup(text, strcspn(text, ":"));
        if (!first)
                return -ENOMEM;
        if (vsock_cid_from_text(first, &cid) == -EINVAL)
                return refuse(text, "is not a target: " TARGET_FORMS, ret_problem);
        return parse_vsock(text, a, ret_problem);
}

int address_parse_target(const char *text, Address *ret, char **ret_problem)
{
        _cleanup_address_ Address a = ADDRESS_NULL;
        const char *rest;
        int r;

        if ((rest = after_prefix(text, "vsock:")))
                r = parse_vsock(rest, &a, ret_problem);
        else if ((rest = after_prefix(text, "mux:")))
                r = parse_mux(rest, &a, ret_problem);
        else if ((rest = after_prefix(text, "unix:")))
                r = parse_unix(rest, false, &a, ret_problem);
        else if ((rest = after_prefix(text, "tcp:")))
                r = parse_tcp(rest, false, &a, ret_problem);
        else
                r = parse_bare(text, &a, ret_problem);
        if (r < 0)
                return r;
        *ret = a;
        a = ADDRESS_NULL;
        return 0;
}

static int parse_vsock_listen(const char *text, Address *a, char **ret_problem)
{
        const char *colon = strchr(text, ':');

        if (colon)
                return refuse(text,
                              "has a CID, and a listener takes calls to any: write vsock:PORT and "
                              "say who may call in peers",
                              ret_problem);
        a->kind = ADDRESS_VSOCK;
        a->cid = VMADDR_CID_ANY;
        return address_parse_port(text, &a->port, ret_problem);
}

int address_parse_listen(const char *text, Address *ret, char **ret_problem)
{
        _cleanup_address_ Address a = ADDRESS_NULL;
        const char *rest;
        int r;

        if ((rest = after_prefix(text, "unix:")))
                r = parse_unix(rest, true, &a, ret_problem);
        else if ((rest = after_prefix(text, "tcp:")))
                r = parse_tcp(rest, true, &a, ret_problem);
        else if ((rest = after_prefix(text, "vsock:")))
                r = parse_vsock_listen(rest, &a, ret_problem);
        else
                r = refuse(text, "is not an address to listen on: " LISTEN_FORMS, ret_problem);
        if (r < 0)
                return r;
        *ret = a;
        a = ADDRESS_NULL;
        return 0;
}

char *address_to_text(const Address *a)
{
        switch (a->kind) {
        case ADDRESS_VSOCK:
                if (a->cid == VMADDR_CID_ANY)
                        return text_format("vsock:%" PRIu32, a->port);
                return text_format("vsock:%" PRIu32 ":%" PRIu32, a->cid, a->port);
        case ADDRESS_UNIX:
                return text_format("unix:%s", a->path);
        case ADDRESS_TCP:
                return text_format(strchr(a->host, ':') ? "tcp:[%s]:%" PRIu32 : "tcp:%s:%" PRIu32,
                                   a->host, a->port);
        case ADDRESS_MUX:
                return text_format("mux:%s:%" PRIu32, a->path, a->port);
        case ADDRESS_NONE:
                break;
        }
        return strdup("");
}

static bool text_equal(const char *a, const char *b)
{
        return a && b ? strcmp(a, b) == 0 : a == b;
}

bool address_equal(const Address *a, const Address *b)
{
        return a->kind == b->kind && a->cid == b->cid && a->port == b->port &&
               text_equal(a->path, b->path) && text_equal(a->host, b->host);
}

int address_copy(const Address *from, Address *ret)
{
        _cleanup_address_ Address a = { .kind = from->kind, .cid = from->cid, .port = from->port };

        if (from->path && !(a.path = strdup(from->path)))
                return -ENOMEM;
        if (from->host && !(a.host = strdup(from->host)))
                return -ENOMEM;
        *ret = a;
        a = ADDRESS_NULL;
        return 0;
}

bool address_is_loopback(const Address *a)
{
        struct in6_addr in6;
        struct in_addr in;

        if (a->kind != ADDRESS_TCP)
                return false;
        if (inet_pton(AF_INET, a->host, &in) == 1)
                return ntohl(in.s_addr) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET;
        return inet_pton(AF_INET6, a->host, &in6) == 1 && IN6_IS_ADDR_LOOPBACK(&in6);
}

static int tcp_to_sockaddr(const Address *a, struct sockaddr_storage *ret, socklen_t *ret_length)
{
        const struct addrinfo hints = {
                .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV,
                .ai_socktype = SOCK_STREAM,
        };
        struct addrinfo *info = NULL;
        char service[16];
        int r;

        (void)snprintf(service, sizeof(service), "%" PRIu32, a->port);
        r = getaddrinfo(a->host, service, &hints, &info);
        if (r == EAI_MEMORY)
                return -ENOMEM;
        if (r != 0)
                return -EINVAL;
        memset(ret, 0, sizeof(*ret));
        memcpy(ret, info->ai_addr, info->ai_addrlen);
        *ret_length = info->ai_addrlen;
        freeaddrinfo(info);
        return 0;
}

int address_to_sockaddr(const Address *a, struct sockaddr_storage *ret, socklen_t *ret_length)
{
        struct sockaddr_vm vm = { .svm_family = AF_VSOCK };
        struct sockaddr_un un = { .sun_family = AF_UNIX };

        switch (a->kind) {
        case ADDRESS_VSOCK:
                vm.svm_cid = a->cid;
                vm.svm_port = a->port;
                memset(ret, 0, sizeof(*ret));
                memcpy(ret, &vm, sizeof(vm));
                *ret_length = sizeof(vm);
                return 0;
        case ADDRESS_UNIX:
        case ADDRESS_MUX:
                if (strlen(a->path) > ADDRESS_PATH_MAX)
                        return -ENAMETOOLONG;
                memset(ret, 0, sizeof(*ret));
                memcpy(un.sun_path, a->path, strlen(a->path));
                memcpy(ret, &un, sizeof(un));
                *ret_length =
                        (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(a->path) + 1);
                return 0;
        case ADDRESS_TCP:
                return tcp_to_sockaddr(a, ret, ret_length);
        case ADDRESS_NONE:
                break;
        }
        return -EINVAL;
}

void address_done(Address *a)
{
        free(a->path);
        free(a->host);
        *a = ADDRESS_NULL;
}
