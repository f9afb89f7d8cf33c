/* SPDX-License-Identifier: MIT */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/doctor.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/verb.h"
#include "io/vsock.h"

#define CHECK_WIDTH 10 /* of the longest name of a check */

static const struct {
        const char *name;
        Style style;
} statuses[] = {
        [DOCTOR_OK] = { "ok", STYLE_GOOD },
        [DOCTOR_WARN] = { "warn", STYLE_WARN },
        [DOCTOR_FAIL] = { "fail", STYLE_BAD },
};

static void (*const checks[])(Doctor *d) = {
        doctor_check_kernel, doctor_check_transports, doctor_check_devices,
        doctor_check_cid,    doctor_check_callers,    doctor_check_ports,
};

static int add_finding(json_object *list, const char *check, DoctorStatus status, const char *text,
                       const char *todo)
{
        _cleanup_json_ json_object *o = json_object_new_object();

        if (!o || json_object_object_add(o, "check", json_object_new_string(check)) < 0 ||
            json_object_object_add(o, "status", json_object_new_string(statuses[status].name)) <
                    0 ||
            json_object_object_add(o, "text", json_object_new_string(text)) < 0 ||
            json_object_object_add(o, "todo", todo ? json_object_new_string(todo) : NULL) < 0 ||
            json_object_array_add(list, o) < 0)
                return -1;
        o = NULL;
        return 0;
}

void doctor_say(Doctor *d, const char *check, DoctorStatus status, const char *todo,
                const char *format, ...)
{
        _cleanup_free_ char *text = NULL, *shown = NULL;
        va_list ap;
        int r;

        va_start(ap, format);
        r = vasprintf(&text, format, ap);
        va_end(ap);
        if (r < 0)
                text = NULL;
        shown = output_shown(text ?: "out of memory");

        d->failed = d->failed || status == DOCTOR_FAIL;
        if (d->list) {
                if (!shown || add_finding(d->list, check, status, shown, todo) < 0)
                        output_error("out of memory");
                return;
        }
        printf("%s%-4s%s  %-*s  %s\n", output_style(statuses[status].style), statuses[status].name,
               output_style(STYLE_OFF), CHECK_WIDTH, check, shown ?: "?");
        if (todo)
                printf("      %-*s  %sTo do: %s%s\n", CHECK_WIDTH, "", output_style(STYLE_BOLD),
                       output_style(STYLE_OFF), todo);
}

int verb_doctor(const Verb *verb, char **args, size_t n, const Settings *s)
{
        _cleanup_json_ json_object *list = NULL;
        Doctor d = {};

        if (s->json) {
                list = json_object_new_array();
                if (!list) {
                        output_error("out of memory");
                        return EXIT_REFUSED;
                }
                d.list = list;
        }
        for (size_t i = 0; i < ELEMENTSOF(checks); i++)
                checks[i](&d);
        if (s->json)
                output_json(list, false);
        return d.failed ? EXIT_REFUSED : EXIT_OK;
}
