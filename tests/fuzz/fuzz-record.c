/* SPDX-License-Identifier: MIT */

/*
 * The records of file streams, whatever the other side sends: what is understood must become the
 * same record once more when it is written and read again, within the room that was asked for.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files/record.h"
#include "rpc/frame.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int condition, const char *what)
{
        if (!condition) {
                fprintf(stderr, "%s\n", what);
                abort();
        }
}

static int same_text(const char *a, const char *b)
{
        return (!a && !b) || (a && b && strcmp(a, b) == 0);
}

/* But for what is written for an entry alone, or for an end alone. */
static void check_same(const Record *a, const Record *b)
{
        check(a->type == b->type, "another type");
        check(same_text(a->path, b->path), "another path");
        check(a->size == b->size && a->changed == b->changed, "another size");
        check(strcmp(a->hash, b->hash) == 0, "another hash");
        check(a->error == b->error, "another error");
        if (a->type == RECORD_END)
                return;
        check(same_text(a->target, b->target), "another target");
        check(same_text(a->user, b->user) && same_text(a->group, b->group), "another owner");
        check(a->mode == b->mode && a->uid == b->uid && a->gid == b->gid, "other attributes");
        check(a->mtime_ns == b->mtime_ns && a->atime_ns == b->atime_ns, "another time");
        check(a->offset == b->offset && a->total == b->total, "another place");
        check(strcmp(a->boot, b->boot) == 0, "another kernel");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
        Record record = RECORD_NULL, again = RECORD_NULL;
        size_t bound, n;
        char *text;
        int r;

        if (size == 0 || size > FRAME_PAYLOAD_MAX)
                return 0;
        r = record_parse((const char *)data, size, &record);
        if (r < 0) {
                check(r == -EBADMSG, "an error of another kind");
                return 0;
        }
        bound = record_bound(&record);
        text = malloc(bound);
        check(text != NULL, "no memory");
        n = record_write(&record, text);
        check(n <= bound, "it takes more room than was said");
        check(record_parse(text, n, &again) == 0, "what was written cannot be read");
        check_same(&record, &again);
        free(text);
        record_done(&record);
        record_done(&again);
        return 0;
}
