/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/base64.h"
#include "base/text.h"
#include "cli/cp.h"
#include "cli/explain.h"
#include "cli/output.h"
#include "cli/target.h"

/* Of entries that were told; beyond it the guest may tell one a second time. */
#define TOLD_MAX 1000U

void cp_tell(Copy *c, const char *path, const char *message)
{
        _cleanup_free_ char *shown = NULL, *what = output_shown(c->from->word),
                            *words = output_shown(message);
        size_t n = strlen(c->from->word);

        progress_hide(&c->progress);
        c->failed = true;
        if (!path[0]) {
                output_error("%s: %s", what, words);
                return;
        }
        shown = output_shown(path);
        output_error("%s%s%s: %s", what, n > 0 && c->from->word[n - 1] == '/' ? "" : "/", shown,
                     words);
        if (text_list_length(c->told) < TOLD_MAX)
                (void)text_list_take(&c->told, strdup(path));
}

static bool was_told(const Copy *c, const char *path)
{
        for (size_t i = 0; c->told && c->told[i]; i++)
                if (strcmp(c->told[i], path) == 0)
                        return true;
        return false;
}

static const char *text_of(json_object *object, const char *key)
{
        json_object *member = json_object_object_get(object, key);

        return json_object_is_type(member, json_type_string) ? json_object_get_string(member)
                                                             : NULL;
}

static void tell_entry(Copy *c, json_object *entry)
{
        const char *path = text_of(entry, "path"), *encoded = text_of(entry, "path_base64");
        _cleanup_free_ char *bytes = NULL;
        Buffer b = BUFFER_NULL;

        if (!path && encoded && base64_decode(&b, encoded, strlen(encoded)) == 0 && b.size > 0)
                path = bytes = strndup(buffer_peek(&b), b.size);
        buffer_done(&b);
        if (path && !was_told(c, path))
                cp_tell(c, path, text_of(entry, "message") ?: "it did not arrive");
}

void cp_tell_result(Copy *c, json_object *result)
{
        json_object *errors = json_object_object_get(result, "errors");
        json_object *failed = json_object_object_get(result, "failed");

        for (size_t i = 0;
             json_object_is_type(errors, json_type_array) && i < json_object_array_length(errors);
             i++)
                if (json_object_is_type(json_object_array_get_idx(errors, i), json_type_object))
                        tell_entry(c, json_object_array_get_idx(errors, i));
        if (json_object_get_int64(failed) <= 0)
                return;
        c->failed = true;
        output_error("%" PRId64 " of what is in it did not arrive", json_object_get_int64(failed));
}

/* "3 directories, ", or nothing where there are none. NULL without memory. */
static char *count(uint64_t n, const char *one, const char *many)
{
        return n == 0 ? strdup("") : text_format("%" PRIu64 " %s, ", n, n == 1 ? one : many);
}

void cp_tell_arrived(Copy *c, const TransferStats *stats, const char *verb, const char *hint)
{
        _cleanup_free_ char *what = output_shown(c->from->word),
                            *files = count(stats->files, "file", "files"),
                            *directories = count(stats->directories, "directory", "directories"),
                            *links = count(stats->links, "link", "links");
        char size[32], total[32];

        progress_hide(&c->progress);
        progress_size(size, stats->bytes + stats->resumed);
        progress_size(total, stats->total_bytes);
        output_error("%s: cut off: %s%s%s%s%s%s had %s%s", what, files ?: "", directories ?: "",
                     links ?: "", size, stats->total_bytes > 0 ? " of " : "",
                     stats->total_bytes > 0 ? total : "", verb, hint);
}

int cp_broke(Copy *c, CpCall *k, int error)
{
        _cleanup_free_ char *text =
                explain_end(client_target(k->client), error, client_answers(k->client));

        progress_hide(&c->progress);
        output_error("%s", text ?: strerror(-error));
        cp_guest_drop(c, k->client);
        k->client = NULL;
        return EXIT_CONNECTION;
}

int cp_refused(Copy *c, const CpCall *k)
{
        progress_hide(&c->progress);
        return target_refused(k->client, c->settings, k->method, k->reply.error);
}
