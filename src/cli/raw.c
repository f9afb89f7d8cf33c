/* SPDX-License-Identifier: MIT */
#include "cli/raw.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/fd.h"
#include "cli/json.h"
#include "rpc/frame.h"

void raw_call_done(RawCall *raw)
{
        raw->fd = fd_close(raw->fd);
        buffer_done(&raw->received);
}

int client_raw_begin(Client *c, const char *method, json_object *params, RawCall *ret,
                     json_object **ret_answer, json_object **ret_error)
{
        json_object *answer = NULL;
        int r;

        r = client_call_last(c, method, params, &answer, ret_error);
        if (r != 0)
                return r;
        /* Of a method that is not raw. */
        if (!json_object_is_type(answer, json_type_object) ||
            !json_object_get_boolean(json_object_object_get(answer, "raw"))) {
                json_object_put(answer);
                return -EBADMSG;
        }
        *ret = (RawCall){ .fd = client_take_fd(c), .received = client_take_received(c) };
        snprintf(ret->id, sizeof(ret->id), "%s", client_last_id(c));
        *ret_answer = answer;
        return 0;
}

int client_raw_end(Client *c, RawCall *raw)
{
        return client_give_fd(c, TAKE_FD(raw->fd), &raw->received);
}

int raw_call_find_reply(const RawCall *raw, const char *text, size_t n, Reply *ret)
{
        size_t used;
        Scan scan;
        int r;

        reply_scan_init(&scan, FRAME_PAYLOAD_MAX, CLIENT_REPLY_VALUES_MAX);
        switch (scan_feed(&scan, text, n, &used)) {
        case SCAN_DONE:
                r = reply_find(&scan, text + used - scan_length(&scan), raw->id, ret);
                break;
        case SCAN_NO_MEMORY:
                r = -ENOMEM;
                break;
        default:
                r = -EBADMSG;
                break;
        }
        scan_done(&scan);
        return r;
}
