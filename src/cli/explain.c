/* SPDX-License-Identifier: MIT */
#include "cli/explain.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <string.h>

#include "base/text.h"
#include "cli/output.h"
#include "rpc/error.h"

char *explain_dial(const Address *target, int error, const char *problem)
{
        _cleanup_free_ char *to = address_to_text(target), *shown = NULL;
        bool doctor = target->kind == ADDRESS_VSOCK &&
                      (error == -EAFNOSUPPORT || error == -ENODEV || error == -EADDRNOTAVAIL ||
                       error == -ENETUNREACH || error == -EHOSTUNREACH || error == -ETIMEDOUT);

        /* A mux's answer may be part of the dial's words. */
        shown = output_shown(problem ?: strerror(-error));
        return text_format("no connection to %s: %s%s", to ?: "?", shown ?: "?",
                           doctor ? ". `guestwire doctor` looks at this machine's side" : "");
}

char *explain_end(const Address *target, int error, uint64_t n_answers)
{
        _cleanup_free_ char *to = address_to_text(target);

        switch (-error) {
        case EBADMSG:
                return text_format("what answers at %s does not speak JSON-RPC 2.0 as guestwired "
                                   "does. Is it the right port?",
                                   to ?: "?");
        case EMSGSIZE:
                return text_format("the answer of %s is larger than guestwire takes", to ?: "?");
        case ETIMEDOUT:
                return text_format("%s took the call but did not answer in time. --timeout TIME "
                                   "gives it longer",
                                   to ?: "?");
        case ECONNRESET:
        case EPIPE:
        case ENOTCONN:
                break;
        default:
                return text_format("the connection to %s broke: %s", to ?: "?", strerror(-error));
        }
        if (n_answers == 0)
                return text_format(
                        "%s closed the connection before any answer. The agent there may not let "
                        "us in: `peers` of its port decides that, and `journalctl -u guestwired` "
                        "there tells",
                        to ?: "?");
        return text_format("%s closed the connection. Did the agent stop, or the guest? "
                           "`journalctl -u guestwired` there tells",
                           to ?: "?");
}

/* What to do, by the reason that an application error names. */
static const char *const reason_hints[REASON_MAX] = {
        [REASON_NOT_ALLOWED] =
                "`methods` and `block-methods` of that port in the guest's guestwire.conf decide",
        [REASON_NOT_PRIVILEGED] =
                ("run guestwire as root; where that proves nothing (Hyper-V, a VMM's Unix socket, "
                 "TCP) give --token FILE, or `trust` of that port in the guest's guestwire.conf "
                 "decides otherwise"),
        [REASON_UNSUPPORTED] = "this guest cannot do it",
        [REASON_NOT_READY] = "try again in a moment",
        [REASON_UNAVAILABLE] = "something that it needs is not running in the guest",
        [REASON_BUSY] = "try again in a moment",
        [REASON_LIMIT] = "a limit in the guest's guestwire.conf was reached",
};

static const char *hint_for_reason(const char *reason)
{
        for (int i = 0; reason && i < REASON_MAX; i++)
                if (strcmp(reason_to_text((Reason)i), reason) == 0)
                        return reason_hints[i];
        return NULL;
}

static const char *string_member(json_object *object, const char *key)
{
        json_object *member = NULL;

        if (!json_object_is_type(object, json_type_object) ||
            !json_object_object_get_ex(object, key, &member) ||
            !json_object_is_type(member, json_type_string))
                return NULL;
        return json_object_get_string(member);
}

/* Without a full stop at its end: a hint may follow. */
static char *message_of(json_object *error)
{
        char *shown = output_shown(string_member(error, "message"));
        size_t n = shown ? strlen(shown) : 0;

        if (n > 1 && shown[n - 1] == '.' && shown[n - 2] != '.')
                shown[n - 1] = 0;
        return shown;
}

/* Takes lines over. */
static char *add_line(char *lines, const char *line)
{
        _cleanup_free_ char *before = lines, *shown = output_shown(line);

        return text_format("%s\n  %s", before ?: "", shown ?: "?");
}

/* What a guest lists under `errors`, and what a program of its wrote to its standard error, each
 * line on one of its own; "" where there is nothing. */
static char *lines_of_errors(json_object *data)
{
        json_object *errors = json_object_object_get(data, "errors");
        _cleanup_free_ char *text = NULL;
        char *lines = strdup(""), *rest;

        for (size_t i = 0;
             json_object_is_type(errors, json_type_array) && i < json_object_array_length(errors);
             i++)
                lines = add_line(lines,
                                 json_object_get_string(json_object_array_get_idx(errors, i)));
        rest = text = string_member(data, "stderr") ? strdup(string_member(data, "stderr")) : NULL;
        for (const char *line = strsep(&rest, "\n"); line; line = strsep(&rest, "\n"))
                if (*line)
                        lines = add_line(lines, line);
        return lines;
}

char *explain_refusal(const Address *target, const char *method, json_object *error)
{
        _cleanup_free_ char *to = address_to_text(target), *name = output_shown(method);
        _cleanup_free_ char *message = message_of(error), *number = NULL, *errors = NULL;
        json_object *data = json_object_object_get(error, "data");
        const char *hint = NULL, *reason = string_member(data, "reason");
        int64_t code = json_object_get_int64(json_object_object_get(error, "code"));

        errors = lines_of_errors(data);
        if (string_member(data, "errno"))
                number = output_shown(string_member(data, "errno"));
        if (code == rpc_code_to_number(RPC_METHOD_NOT_FOUND))
                return text_format(
                        "the guest has no method `%s`; `guestwire methods %s` lists them", name,
                        to ?: "TARGET");
        if (code == rpc_code_to_number(RPC_INVALID_PARAMS))
                return text_format("the guest does not take these parameters for `%s`: %s; "
                                   "`guestwire methods %s` shows which it takes",
                                   name, message, to ?: "TARGET");
        /* What is wrong with a token is said there, and no other way is to be advertised. */
        if (code == RPC_APPLICATION_ERROR && reason && strcmp(method, "agent.authenticate") != 0)
                hint = hint_for_reason(reason);
        if (!hint && code == RPC_APPLICATION_ERROR)
                return text_format("the guest said no to `%s`: %s%s%s%s%s", name, message,
                                   number ? " (" : "", number ?: "", number ? ")" : "",
                                   errors ?: "");
        if (hint)
                return text_format("the guest said no to `%s`: %s%s%s%s; %s%s", name, message,
                                   number ? " (" : "", number ?: "", number ? ")" : "", hint,
                                   errors ?: "");
        return text_format("the guest said no to `%s`: %s (code %" PRId64 ")", name, message, code);
}
