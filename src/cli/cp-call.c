/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <string.h>

#include "base/base64.h"
#include "base/text.h"
#include "cli/cp.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/target.h"

int cp_guest(Copy *c, const CpEnd *end, Client **ret)
{
        bool is_to = end == &c->to;
        CpGuest *guests, *g = NULL;
        int r;

        for (size_t i = 0; i < c->n_guests && !g; i++)
                if (c->guests[i].is_to == is_to && strcmp(c->guests[i].target, end->target) == 0)
                        g = &c->guests[i];
        if (!g) {
                guests = reallocarray(c->guests, c->n_guests + 1, sizeof(*guests));
                if (!guests)
                        goto no_memory;
                c->guests = guests;
                g = &guests[c->n_guests];
                *g = (CpGuest){ .target = strdup(end->target), .is_to = is_to };
                if (!g->target)
                        goto no_memory;
                c->n_guests++;
        }
        if (!g->client) {
                r = target_open(end->target, c->settings, &g->client);
                if (r != EXIT_OK)
                        return r;
        }
        client_set_deadline(g->client, client_later(client_now(), c->settings->timeout));
        *ret = g->client;
        return EXIT_OK;

no_memory:
        output_error("out of memory");
        return EXIT_REFUSED;
}

void cp_guest_drop(Copy *c, const Client *client)
{
        for (size_t i = 0; i < c->n_guests; i++)
                if (c->guests[i].client == client)
                        c->guests[i].client = client_free(c->guests[i].client);
}

int cp_add_path(json_object *params, const char *path)
{
        size_t n = strlen(path);
        Buffer b = BUFFER_NULL;
        json_object *text = NULL;
        bool is_text = text_is_utf8(path, n);

        if (is_text)
                text = json_object_new_string(path);
        else if (base64_encode(&b, path, n) == 0)
                text = json_object_new_string_len(buffer_peek(&b), (int)b.size);
        buffer_done(&b);
        if (!text)
                return -ENOMEM;
        if (json_object_object_add(params, is_text ? "path" : "path_base64", text) < 0) {
                json_object_put(text);
                return -ENOMEM;
        }
        return 0;
}

static bool is_not_found(json_object *error)
{
        json_object *reason =
                json_object_object_get(json_object_object_get(error, "data"), "reason");

        return json_object_is_type(reason, json_type_string) &&
               strcmp(json_object_get_string(reason), "not-found") == 0;
}

int cp_stat(Copy *c, Client *client, const char *path, json_object **ret)
{
        _cleanup_json_ json_object *params = json_object_new_object(), *result = NULL,
                                   *error = NULL;
        const Settings *s = c->settings;
        int r;

        if (!params || cp_add_path(params, path) < 0 ||
            (s->user &&
             json_object_object_add(params, "user", json_object_new_string(s->user)) < 0)) {
                output_error("out of memory");
                return EXIT_REFUSED;
        }
        r = client_call(client, "file.stat", params, &result, &error);
        if (r == CLIENT_REFUSED && !is_not_found(error))
                return target_refused(client, s, "file.stat", error);
        if (r < 0) {
                r = target_failed(client, r);
                cp_guest_drop(c, client);
                return r;
        }
        *ret = TAKE_PTR(result);
        return EXIT_OK;
}

int cp_call_begin(CpCall *k, Client *client, const char *method, json_object *params,
                  int interrupt_fd, json_object **ret_error)
{
        _cleanup_json_ json_object *answer = NULL;
        int r;

        k->client = client;
        k->method = method;
        r = client_raw_begin(client, method, params, &k->raw, &answer, ret_error);
        if (r != 0)
                return r;
        r = wire_init(&k->wire, k->raw.fd, buffer_peek(&k->raw.received), k->raw.received.size);
        if (r < 0)
                return r;
        buffer_done(&k->raw.received);
        k->wire.interrupt_fd = interrupt_fd;
        return 0;
}

int cp_call_listen(CpCall *k)
{
        FramePiece piece;
        int r;

        do {
                r = wire_next(&k->wire, true, &piece);
                if (r < 0)
                        return r;
                if (piece.channel == FRAME_CONTROL && piece.n > 0 &&
                    buffer_append(&k->text, piece.data, piece.n) < 0)
                        return -ENOMEM;
        } while (piece.channel != FRAME_CONTROL || !piece.last);
        if (piece.n == 0) {
                k->is_over = true;
                return k->replied ? 0 : -EBADMSG;
        }
        r = k->replied
                    ? 0
                    : raw_call_find_reply(&k->raw, buffer_peek(&k->text), k->text.size, &k->reply);
        buffer_done(&k->text);
        if (r > 0)
                k->replied = true;
        return r < 0 ? r : 0;
}

int cp_call_finish(CpCall *k)
{
        const char *pending;
        size_t n;
        int r;

        while (!k->is_over) {
                r = cp_call_listen(k);
                if (r < 0)
                        return r;
        }
        r = wire_put(&k->wire, FRAME_CONTROL, NULL, 0);
        if (r >= 0)
                r = wire_flush(&k->wire);
        if (r < 0)
                return r;
        pending = wire_pending(&k->wire, &n);
        r = buffer_append(&k->raw.received, pending, n);
        return r < 0 ? r : client_raw_end(k->client, &k->raw);
}

void cp_call_done(CpCall *k)
{
        wire_done(&k->wire);
        raw_call_done(&k->raw);
        buffer_done(&k->text);
        reply_done(&k->reply);
        *k = CP_CALL_NULL;
}
