/* SPDX-License-Identifier: MIT */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * The caller's side of the handshake that Firecracker, Cloud Hypervisor and
 * vhost-device-vsock speak on their Unix socket: "CONNECT port\n" there, "OK n\n" back; every
 * byte after that line is the guest's and stays unread.
 */
typedef struct Mux Mux;

#define MUX_LINE_MAX 64U

struct Mux {
        char request[24];
        size_t request_size;
        size_t sent;
        char line[MUX_LINE_MAX];
        size_t line_size;
};

enum {
        MUX_DONE = 0,
        MUX_WANTS_READ,
        MUX_WANTS_WRITE,
};

void mux_begin(Mux *m, uint32_t port);

/*
 * Goes on as far as it can without blocking, on a stream socket. One of the outcomes above;
 * -ECONNRESET where the other side ended it: nobody listens on that port in the guest;
 * -EPROTO where the answer is no "OK n", with *ret_detail a text that shows it (allocated);
 * -ENOMEM; -errno of the socket.
 */
int mux_step(Mux *m, int fd, char **ret_detail);
