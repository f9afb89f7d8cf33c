/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cli/json.h"
#include "cli/output.h"
#include "cli/verb.h"
#include "io/vsock.h"

/* The keys are always there, as agent.info's are: `cid` null where it is no guest's own. */
static int print_json(int error, uint32_t cid, const char *meaning)
{
        _cleanup_json_ json_object *o = json_object_new_object();
        bool own = error == 0 && vsock_cid_is_guest(cid);

        if (!o || json_object_object_add(o, "cid", own ? json_object_new_int64(cid) : NULL) < 0 ||
            json_object_object_add(o, "cid_raw", error == 0 ? json_object_new_int64(cid) : NULL) <
                    0 ||
            json_object_object_add(o, "meaning", json_object_new_string(meaning)) < 0) {
                output_error("out of memory");
                return EXIT_REFUSED;
        }
        output_json(o, false);
        return EXIT_OK;
}

int verb_cid(const Verb *verb, char **args, size_t n, const Settings *s)
{
        const char *meaning;
        uint32_t cid = 0;
        int r, code;

        r = vsock_get_cid(&cid);
        if (r >= 0)
                meaning = vsock_cid_meaning(cid);
        else if (r == -ENOENT || r == -ENXIO || r == -ENODEV)
                meaning = "There is no /dev/vsock: the kernel's vsock module is not loaded "
                          "(modprobe vsock). `guestwire doctor` tells more.";
        else if (r == -EACCES || r == -EPERM)
                meaning = "/dev/vsock may not be opened: its mode is to be 0666, or run this as "
                          "root.";
        else
                meaning = "/dev/vsock does not answer. `guestwire doctor` tells more.";

        if (s->json) {
                code = print_json(r, cid, meaning);
                return code != EXIT_OK || r >= 0 ? code : EXIT_REFUSED;
        }
        if (r < 0) {
                output_error("%s", meaning);
                return EXIT_REFUSED;
        }
        printf("%sCID %" PRIu32 "%s: %s\n", output_style(STYLE_BOLD), cid, output_style(STYLE_OFF),
               meaning);
        return EXIT_OK;
}
