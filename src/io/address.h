/* SPDX-License-Identifier: MIT */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/macros.h"

typedef struct Address Address;

/* The port that an address without one means: the shipped rpc port. */
#define ADDRESS_PORT_DEFAULT 1000U
/* sun_path without its terminating NUL, unix(7). */
#define ADDRESS_PATH_MAX 107U

typedef enum AddressKind {
        ADDRESS_NONE,
        ADDRESS_VSOCK, /* cid, port */
        ADDRESS_UNIX,  /* path */
        ADDRESS_TCP,   /* host, port */
        ADDRESS_MUX,   /* path, port: a VMM's Unix socket that takes "CONNECT port\n" */
} AddressKind;

struct Address {
        AddressKind kind;
        uint32_t cid;
        uint32_t port;
        char *path;
        char *host; /* for IPv6 without its brackets */
};

#define ADDRESS_NULL ((Address){ 0 })

/*
 * A TARGET of the command line: `21`, `vsock:CID[:PORT]`, `mux:PATH[:PORT]`, `unix:PATH`,
 * `tcp:HOST[:PORT]`, `tcp:[V6][:PORT]`, CIDs also by the names local, loopback, lo, host,
 * parent. An absent port is ADDRESS_PORT_DEFAULT. In a mux address what follows the last ":"
 * is the port if it has the form of one, else it belongs to the path. 0; -EINVAL with
 * *ret_problem set to a sentence that says what is wrong and what would be right (allocated,
 * the caller frees); -ENOMEM.
 */
int address_parse_target(const char *text, Address *ret, char **ret_problem);

/*
 * Where to listen: `unix:/PATH`, `tcp:ADDRESS:PORT` with a numeric address, `tcp:[V6]:PORT`,
 * `vsock:PORT` (any CID). Errors as above.
 */
int address_parse_listen(const char *text, Address *ret, char **ret_problem);

/* A vsock port: decimal, 0x hex, or a Hyper-V service GUID; 4294967295 is refused. As above. */
int address_parse_port(const char *text, uint32_t *ret, char **ret_problem);

/*
 * In the form that the parser reads: address_parse_listen() for vsock with VMADDR_CID_ANY,
 * address_parse_target() for everything else. NULL without memory; the caller frees.
 */
char *address_to_text(const Address *a);
bool address_equal(const Address *a, const Address *b);
int address_copy(const Address *from, Address *ret);

/* Whether a TCP address is one of loopback (127.0.0.0/8, ::1). */
bool address_is_loopback(const Address *a);

/*
 * The socket address of a listening or numeric address. 0, -EINVAL for a TCP host name (it
 * needs a look-up), -ENAMETOOLONG. MUX gives its Unix socket's.
 */
int address_to_sockaddr(const Address *a, struct sockaddr_storage *ret, socklen_t *ret_length);

void address_done(Address *a);
#define _cleanup_address_ _cleanup_(address_done)
