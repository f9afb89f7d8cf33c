/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/macros.h"

/*
 * The look-up of a host's name, in a thread of its own since getaddrinfo(3) blocks for as
 * long as a name server pleases.
 */
typedef struct Lookup Lookup;
typedef struct LookupAddress LookupAddress;

/* At once, also of those that nobody waits for any more: a name server that is silent keeps a
 * thread for longer than most callers stay. */
#define LOOKUPS_MAX 256U
/* Of the addresses of a name, those beyond are dropped. */
#define LOOKUP_ADDRESSES_MAX 16U

struct LookupAddress {
        struct sockaddr_storage sa;
        socklen_t length;
};

/* 0; -EBUSY where there are LOOKUPS_MAX already; -errno where no thread could be started. */
int lookup_start(const char *host, uint32_t port, Lookup **ret);

/* Readable when the look-up has ended. Stays the Lookup's. */
int lookup_get_fd(const Lookup *l);

/*
 * What came of it, to be asked once: 0 and at least one address (the caller frees the
 * array); -EAGAIN while it still runs; -EHOSTUNREACH where the name does not resolve, with
 * *ret_detail the reason in words (allocated); -ENOMEM.
 */
int lookup_finish(Lookup *l, LookupAddress **ret, size_t *ret_n, char **ret_detail);

/* Does not wait: a thread that still runs cleans up after itself. NULL is fine. */
Lookup *lookup_free(Lookup *l);
DEFINE_CLEANUP(Lookup, lookup_free)
