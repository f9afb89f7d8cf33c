/* SPDX-License-Identifier: MIT */
#include "cli/target.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/explain.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/prove.h"
#include "io/dial.h"

/* What the last attempt of a --wait failed of. */
typedef struct Waiting {
        int error;
        char *text;
} Waiting;

static void on_attempt_failed(Client *c, int error, void *userdata)
{
        Waiting *w = userdata;
        bool is_new = error != w->error;

        if (!is_new)
                return;
        w->error = error;
        free(w->text);
        w->text = client_is_connected(c) ? explain_end(client_target(c), error, client_answers(c))
                                         : explain_dial(client_target(c), error, client_problem(c));
        /* For people only, and once for each reason: a script asked for the outcome. */
        if (w->text && isatty(STDERR_FILENO) > 0)
                output_error("waiting: %s", w->text);
}

typedef int (*WaitFunction)(Client *c, uint64_t until, ClientFailedFunction failed, void *userdata);

static int open_waiting(Client *c, const Settings *s, WaitFunction wait, uint64_t start)
{
        Waiting w = {};
        int r;

        client_set_deadline(c, s->timeout_given ? client_later(start, s->timeout) : TEXT_INFINITY);
        r = wait(c, client_later(start, s->wait_time), on_attempt_failed, &w);
        if (r == -ETIMEDOUT) {
                if (w.text)
                        output_error("the guest did not answer in time; at last: %s", w.text);
                else
                        output_error("the guest did not answer in time");
                free(w.text);
                return EXIT_TIMEOUT;
        }
        free(w.text);
        return r < 0 ? target_failed(c, r) : EXIT_OK;
}

static int open_address(const Address *target, const Settings *s, unsigned dial_flags,
                        WaitFunction wait, Client **ret)
{
        _cleanup_(client_freep) Client *c = NULL;
        uint64_t start = client_now();
        int r;

        r = client_new(target, dial_flags, &c);
        if (r < 0) {
                output_error("%s", strerror(-r));
                return EXIT_REFUSED;
        }

        if (s->wait) {
                r = open_waiting(c, s, wait, start);
                if (r != EXIT_OK)
                        return r;
                /* Without --timeout the wait may be long; the default is for what comes after. */
                if (!s->timeout_given)
                        client_set_deadline(c, client_later(client_now(), s->timeout));
        } else {
                client_set_deadline(c, client_later(start, s->timeout));
                r = client_connect(c);
                if (r < 0)
                        return target_failed(c, r);
        }
        *ret = TAKE_PTR(c);
        return EXIT_OK;
}

int target_open(const char *text, const Settings *s, Client **ret)
{
        _cleanup_address_ Address target = ADDRESS_NULL;
        _cleanup_(client_freep) Client *c = NULL;
        _cleanup_(token_freep) Token *token = NULL;
        int r;

        r = target_parse(text, NULL, &target);
        if (r == EXIT_OK)
                r = prove_load(s, &token);
        if (r == EXIT_OK)
                r = open_address(&target, s, geteuid() == 0 ? DIAL_PRIVILEGED_PORT : 0, client_wait,
                                 &c);
        if (r == EXIT_OK && token)
                r = prove_token(c, s, token);
        if (r == EXIT_OK)
                *ret = TAKE_PTR(c);
        return r;
}

int target_connect(const Address *target, const Settings *s, Client **ret)
{
        return open_address(target, s, 0, client_wait_connected, ret);
}

static int set_port(Address *target, const char *text)
{
        _cleanup_free_ char *problem = NULL;
        uint32_t port;
        int r;

        if (target->kind == ADDRESS_UNIX) {
                output_error("a Unix socket has no ports: leave the port away, or was mux: meant?");
                return EXIT_USAGE;
        }
        r = address_parse_port(text, &port, &problem);
        if (r < 0) {
                output_error("%s", problem ?: strerror(-r));
                return EXIT_USAGE;
        }
        if (target->kind == ADDRESS_TCP && (port == 0 || port > UINT16_MAX)) {
                output_error("a TCP port is a number from 1 to %d", UINT16_MAX);
                return EXIT_USAGE;
        }
        target->port = port;
        return EXIT_OK;
}

int target_parse(const char *text, const char *port, Address *ret)
{
        _cleanup_address_ Address target = ADDRESS_NULL;
        _cleanup_free_ char *problem = NULL;
        int r;

        r = address_parse_target(text, &target, &problem);
        if (r < 0) {
                output_error("%s", problem ?: strerror(-r));
                return EXIT_USAGE;
        }
        r = port ? set_port(&target, port) : EXIT_OK;
        if (r != EXIT_OK)
                return r;
        *ret = target;
        target = ADDRESS_NULL;
        return EXIT_OK;
}

int target_failed(const Client *c, int error)
{
        _cleanup_free_ char *text = NULL;
        bool connected = client_is_connected(c);

        if (error == -ENOMEM) {
                output_error("out of memory");
                return EXIT_REFUSED;
        }
        text = connected ? explain_end(client_target(c), error, client_answers(c))
                         : explain_dial(client_target(c), error, client_problem(c));
        output_error("%s", text ?: strerror(-error));
        return error == -ETIMEDOUT ? EXIT_TIMEOUT : EXIT_CONNECTION;
}

int target_refused(const Client *c, const Settings *s, const char *method, json_object *error)
{
        _cleanup_free_ char *text = explain_refusal(client_target(c), method, error);
        _cleanup_json_ json_object *outer = NULL;

        if (s->json) {
                outer = json_object_new_object();
                if (outer && json_object_object_add(outer, "error", json_object_get(error)) == 0)
                        output_json(outer, false);
        }
        output_error("%s", text ?: "out of memory");
        return EXIT_REFUSED;
}

int target_call(Client *c, const Settings *s, const char *method, json_object *params,
                json_object **ret_result)
{
        _cleanup_json_ json_object *error = NULL;
        int r;

        r = client_call(c, method, params, ret_result, &error);
        if (r == CLIENT_REFUSED)
                return target_refused(c, s, method, error);
        return r < 0 ? target_failed(c, r) : EXIT_OK;
}
