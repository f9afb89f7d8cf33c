/* SPDX-License-Identifier: MIT */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/json.h"
#include "cli/output.h"
#include "cli/verb.h"
#include "io/address.h"
#include "io/vsock.h"

static int print_json(uint32_t port, const char *guid)
{
        _cleanup_json_ json_object *o = json_object_new_object();

        if (!o || json_object_object_add(o, "port", json_object_new_int64(port)) < 0 ||
            json_object_object_add(o, "guid", json_object_new_string(guid)) < 0) {
                output_error("out of memory");
                return EXIT_REFUSED;
        }
        output_json(o, false);
        return EXIT_OK;
}

int verb_guid(const Verb *verb, char **args, size_t n, const Settings *s)
{
        char guid[VSOCK_GUID_LENGTH + 1];
        _cleanup_free_ char *problem = NULL;
        uint32_t port, from_guid;
        int r;

        r = address_parse_port(args[0], &port, &problem);
        if (r < 0) {
                output_error("%s", problem ?: strerror(-r));
                return EXIT_USAGE;
        }
        vsock_guid_from_port(guid, port);

        if (s->json)
                return print_json(port, guid);
        if (vsock_guid_to_port(args[0], &from_guid) >= 0)
                printf("%" PRIu32 "\n", from_guid);
        else
                printf("%s\n", guid);
        return EXIT_OK;
}
