/* SPDX-License-Identifier: MIT */

/* file.*: what may be asked for. Helpers do it (file-helper.h). */
#include "methods/context.h"
#include "methods/file-helper.h"
#include "methods/file-params.h"
#include "rpc/call.h"
#include "rpc/frame.h"

static void run(Call *call, json_object *params, void *userdata)
{
        if (file_params_check(call, params))
                file_helper_run(userdata, call, params, false, 0);
}

static void file_rename(Call *call, json_object *params, void *userdata)
{
        if (file_params_check(call, params) &&
            file_params_check_one(call, params, "to", "to_base64"))
                file_helper_run(userdata, call, params, false, 0);
}

static void file_chown(Call *call, json_object *params, void *userdata)
{
        if (!file_params_check(call, params))
                return;
        if (!file_params_have(params, "owner") && !file_params_have(params, "group"))
                call_fail_params(call, "parameter `owner` is missing, or `group`");
        else
                file_helper_run(userdata, call, params, false, 0);
}

static void file_write(Call *call, json_object *params, void *userdata)
{
        json_object *append = NULL;

        if (!file_params_check(call, params) ||
            !file_params_check_one(call, params, "data", "base64"))
                return;
        (void)json_object_object_get_ex(params, "append", &append);
        if (json_object_get_boolean(append) && file_params_have(params, "offset"))
                call_fail_params(call, "parameters `append` and `offset` exclude each other");
        else
                file_helper_run(userdata, call, params, false, 0);
}

/* How a raw call differs from others: the channels that its caller may use. */
static void run_raw(Call *call, json_object *params, void *userdata)
{
        const unsigned *channels = call_method(call)->data;
        json_object *raw = NULL;

        if (!file_params_check(call, params))
                return;
        (void)json_object_object_get_ex(params, "raw", &raw);
        if (!json_object_get_boolean(raw))
                call_fail_params(call,
                                 "parameter `raw` must be true: %s carries frames; file.read "
                                 "and file.write do without",
                                 call_name(call));
        else
                file_helper_run(userdata, call, params, true, *channels);
}

static const unsigned get_channels = 0;
static const unsigned put_channels = 1U << FRAME_DATA | 1U << FRAME_HOLE | 1U << FRAME_RECORDS;

#define PATH_FIELDS                                                                       \
        { "path", FIELD_STRING, FIELD_OPTIONAL, "The path, absolute", NULL },             \
        {                                                                                 \
                "path_base64", FIELD_STRING, FIELD_OPTIONAL,                              \
                        "Instead: the path's bytes in base64, where it is no UTF-8", NULL \
        }
#define USER_FIELD                                                                                 \
        {                                                                                          \
                "user", FIELD_STRING, FIELD_OPTIONAL,                                              \
                        "As which user, by name or number; else as the agent, which is root", NULL \
        }
#define FOLLOW_FIELD(summary)                                          \
        {                                                              \
                "follow", FIELD_BOOLEAN, FIELD_OPTIONAL, summary, NULL \
        }
#define BASIC_FIELDS                                                                           \
        { "type", FIELD_STRING, 0,                                                             \
          "file, directory, link, fifo, socket, block-device or character-device", NULL },     \
                { "size", FIELD_INTEGER, 0, "Bytes", NULL },                                   \
                { "mode", FIELD_INTEGER, 0, "Permission bits: 420 is 0644", NULL },            \
                { "mtime_ns", FIELD_INTEGER, 0,                                                \
                  "Last change of the content, nanoseconds since 1970", NULL },                \
                { "uid", FIELD_INTEGER, 0, "The owner's number", NULL },                       \
                { "gid", FIELD_INTEGER, 0, "The group's number", NULL },                       \
                { "target", FIELD_STRING, FIELD_OPTIONAL, "Of a link: where it leads", NULL }, \
        {                                                                                      \
                "target_base64", FIELD_STRING, FIELD_OPTIONAL,                                 \
                        "Instead, where that is no UTF-8: its bytes in base64", NULL           \
        }

static const Field stat_params[] = {
        PATH_FIELDS,
        FOLLOW_FIELD("Whether a link at the end of the path is followed; true"),
        USER_FIELD,
        {},
};

static const Field stat_fields[] = {
        BASIC_FIELDS,
        { "user", FIELD_STRING, FIELD_NULLABLE, "The owner's name; null where there is none",
          NULL },
        { "group", FIELD_STRING, FIELD_NULLABLE, "The group's name; null where there is none",
          NULL },
        { "atime_ns", FIELD_INTEGER, 0, "Last access, nanoseconds since 1970", NULL },
        { "ctime_ns", FIELD_INTEGER, 0, "Last change of these facts, nanoseconds since 1970",
          NULL },
        { "links", FIELD_INTEGER, 0, "Names that it has", NULL },
        { "inode", FIELD_INTEGER, 0, "Its number in its file system", NULL },
        { "device", FIELD_INTEGER, 0, "The number of its file system", NULL },
        { "allocated_bytes", FIELD_INTEGER, 0, "What it takes of its file system", NULL },
        {},
};

static const Field list_params[] = {
        PATH_FIELDS,
        { "limit", FIELD_INTEGER, FIELD_OPTIONAL, "At most so many entries; 1000, at most 10000",
          NULL },
        { "cursor", FIELD_STRING, FIELD_OPTIONAL, "Go on after the page whose `next` this was",
          NULL },
        USER_FIELD,
        {},
};

static const Field entry_fields[] = {
        { "name", FIELD_STRING, FIELD_OPTIONAL, "Its name", NULL },
        { "name_base64", FIELD_STRING, FIELD_OPTIONAL,
          "Instead, where that is no UTF-8: its bytes in base64", NULL },
        BASIC_FIELDS,
        {},
};

static const Field list_fields[] = {
        { "entries", FIELD_ARRAY, 0, "What is in it, by the order of the names' bytes",
          entry_fields },
        { "next", FIELD_STRING, FIELD_OPTIONAL, "The cursor for the next page; absent: that is all",
          NULL },
        {},
};

static const Field mkdir_params[] = {
        PATH_FIELDS,
        { "mode", FIELD_ANY, FIELD_OPTIONAL, "Permission bits, \"0755\" or 493; 0755", NULL },
        { "parents", FIELD_BOOLEAN, FIELD_OPTIONAL,
          "Make those above it as well, and do not mind if it is there", NULL },
        USER_FIELD,
        {},
};

static const Field mkdir_fields[] = {
        { "created", FIELD_BOOLEAN, 0, "False: it was there", NULL },
        {},
};

static const Field remove_params[] = {
        PATH_FIELDS,
        { "recursive", FIELD_BOOLEAN, FIELD_OPTIONAL, "Of a directory: with all that is in it",
          NULL },
        USER_FIELD,
        {},
};

static const Field remove_fields[] = {
        { "removed", FIELD_INTEGER, 0, "How many files and directories", NULL },
        {},
};

static const Field rename_params[] = {
        PATH_FIELDS,
        { "to", FIELD_STRING, FIELD_OPTIONAL, "The new path, absolute", NULL },
        { "to_base64", FIELD_STRING, FIELD_OPTIONAL, "Instead: its bytes in base64", NULL },
        { "replace", FIELD_BOOLEAN, FIELD_OPTIONAL, "Whether what is there may be replaced; false",
          NULL },
        USER_FIELD,
        {},
};

static const Field chmod_params[] = {
        PATH_FIELDS,
        { "mode", FIELD_ANY, 0, "Permission bits, \"0644\" or 420", NULL },
        USER_FIELD,
        {},
};

static const Field chown_params[] = {
        PATH_FIELDS,
        { "owner", FIELD_ANY, FIELD_OPTIONAL, "The new owner, a name or a number", NULL },
        { "group", FIELD_ANY, FIELD_OPTIONAL, "The new group, a name or a number", NULL },
        FOLLOW_FIELD("Whether a link at the end of the path is followed; true"),
        USER_FIELD,
        {},
};

static const Field read_params[] = {
        PATH_FIELDS,
        { "offset", FIELD_INTEGER, FIELD_OPTIONAL, "Where to begin; 0", NULL },
        { "length", FIELD_INTEGER, FIELD_OPTIONAL, "At most so many bytes; max-message", NULL },
        USER_FIELD,
        {},
};

static const Field read_fields[] = {
        { "data", FIELD_STRING, FIELD_OPTIONAL, "The content, where it is UTF-8 without NUL",
          NULL },
        { "base64", FIELD_STRING, FIELD_OPTIONAL, "Instead: the content in base64", NULL },
        { "offset", FIELD_INTEGER, 0, "Where it begins", NULL },
        { "length", FIELD_INTEGER, 0, "How many bytes it is", NULL },
        { "size", FIELD_INTEGER, 0, "Bytes of the whole file", NULL },
        { "eof", FIELD_BOOLEAN, 0, "Whether it reaches the file's end", NULL },
        {},
};

static const Field write_params[] = {
        PATH_FIELDS,
        { "data", FIELD_STRING, FIELD_OPTIONAL, "The content, as text", NULL },
        { "base64", FIELD_STRING, FIELD_OPTIONAL, "Instead: the content in base64", NULL },
        { "offset", FIELD_INTEGER, FIELD_OPTIONAL, "Where to write; 0", NULL },
        { "append", FIELD_BOOLEAN, FIELD_OPTIONAL, "Write at the file's end", NULL },
        { "truncate", FIELD_BOOLEAN, FIELD_OPTIONAL,
          "Empty the file first; true, unless `offset` or `append` is given", NULL },
        { "create", FIELD_BOOLEAN, FIELD_OPTIONAL, "Make the file if it is not there; true", NULL },
        { "mode", FIELD_ANY, FIELD_OPTIONAL, "Permission bits of a new file; 0644", NULL },
        USER_FIELD,
        {},
};

static const Field write_fields[] = {
        { "written", FIELD_INTEGER, 0, "Bytes", NULL },
        { "size", FIELD_INTEGER, 0, "Bytes of the file now", NULL },
        { "created", FIELD_BOOLEAN, 0, "Whether the file was not there", NULL },
        {},
};

static const Field hash_params[] = {
        PATH_FIELDS,
        { "offset", FIELD_INTEGER, FIELD_OPTIONAL, "Where to begin; 0", NULL },
        { "length", FIELD_INTEGER, FIELD_OPTIONAL, "At most so many bytes; all", NULL },
        USER_FIELD,
        {},
};

static const Field hash_fields[] = {
        { "algorithm", FIELD_STRING, 0, "sha256", NULL },
        { "hash", FIELD_STRING, 0, "64 hexadecimal digits", NULL },
        { "length", FIELD_INTEGER, 0, "Of how many bytes it is", NULL },
        { "size", FIELD_INTEGER, 0, "Bytes of the whole file", NULL },
        { "changed", FIELD_BOOLEAN, 0, "Whether the file changed while it was read", NULL },
        {},
};

#define RAW_FIELD                                                               \
        {                                                                       \
                "raw", FIELD_BOOLEAN, 0, "True: frames follow the answer", NULL \
        }
#define RESUME_FIELDS                                                                            \
        { "offset", FIELD_INTEGER, FIELD_OPTIONAL,                                               \
          "Of a single file: leave out so many bytes of its beginning, which are there", NULL }, \
        {                                                                                        \
                "hash", FIELD_STRING, FIELD_OPTIONAL,                                            \
                        "The XXH3-128 of these bytes, which is compared", NULL                   \
        }

static const Field get_params[] = {
        PATH_FIELDS,
        RAW_FIELD,
        { "recursive", FIELD_BOOLEAN, FIELD_OPTIONAL, "A directory, with all that is in it", NULL },
        { "count", FIELD_BOOLEAN, FIELD_OPTIONAL,
          "Add up a directory's bytes first, so that its records have a total", NULL },
        FOLLOW_FIELD("Whether a link at the end of the path is followed; true"),
        RESUME_FIELDS,
        USER_FIELD,
        {},
};

static const Field put_params[] = {
        PATH_FIELDS,
        RAW_FIELD,
        { "recursive", FIELD_BOOLEAN, FIELD_OPTIONAL, "More than a single file may come", NULL },
        { "preserve", FIELD_BOOLEAN, FIELD_OPTIONAL,
          "Owner, all of the mode, and times as they are at the sender", NULL },
        { "mode", FIELD_ANY, FIELD_OPTIONAL, "Permission bits, whatever the sender says", NULL },
        { "owner", FIELD_ANY, FIELD_OPTIONAL, "The owner, a name or a number", NULL },
        { "group", FIELD_ANY, FIELD_OPTIONAL, "The group, a name or a number", NULL },
        { "mtime_ns", FIELD_INTEGER, FIELD_OPTIONAL, "Last change, nanoseconds since 1970", NULL },
        { "keep_partial", FIELD_BOOLEAN, FIELD_OPTIONAL,
          "Keep what has come if the rest does not, beside the target", NULL },
        RESUME_FIELDS,
        USER_FIELD,
        {},
};

static const Field error_fields[] = {
        { "path", FIELD_STRING, FIELD_OPTIONAL, "Which, relative to the call's path", NULL },
        { "path_base64", FIELD_STRING, FIELD_OPTIONAL, "Instead: its bytes in base64", NULL },
        { "reason", FIELD_STRING, 0, "As in data.reason", NULL },
        { "errno", FIELD_STRING, 0, "The error's name", NULL },
        { "message", FIELD_STRING, 0, "What it means", NULL },
        {},
};

static const Field transfer_fields[] = {
        { "raw", FIELD_BOOLEAN, FIELD_OPTIONAL, "True, of the first answer, which has no more",
          NULL },
        { "files", FIELD_INTEGER, FIELD_OPTIONAL, "Files that are whole", NULL },
        { "directories", FIELD_INTEGER, FIELD_OPTIONAL, "Directories", NULL },
        { "links", FIELD_INTEGER, FIELD_OPTIONAL, "Symbolic links", NULL },
        { "bytes", FIELD_INTEGER, FIELD_OPTIONAL, "Of content, holes included", NULL },
        { "resumed", FIELD_INTEGER, FIELD_OPTIONAL, "Bytes that were there already", NULL },
        { "failed", FIELD_INTEGER, FIELD_OPTIONAL, "Entries that did not arrive", NULL },
        { "changed", FIELD_INTEGER, FIELD_OPTIONAL, "Files that changed while they were read",
          NULL },
        { "hash", FIELD_STRING, FIELD_OPTIONAL | FIELD_NULLABLE, "XXH3-128 of the last file",
          NULL },
        { "errors", FIELD_ARRAY, FIELD_OPTIONAL, "Of entries that failed: the first hundred",
          error_fields },
        {},
};

/* What a path can meet, and what a helper can. */
#define REASONS                                                                    \
        (1U << REASON_NOT_FOUND | 1U << REASON_FAILED | 1U << REASON_UNSUPPORTED | \
         1U << REASON_UNAVAILABLE | 1U << REASON_CANCELLED | 1U << REASON_BUSY)
#define FLAGS (METHOD_PRIVILEGED | METHOD_ASYNC)

const Method file_methods[] = {
        { .name = "file.chmod",
          .run = run,
          .flags = FLAGS,
          .summary = "Changes the permission bits of a file or directory",
          .params = chmod_params,
          .reasons = REASONS },
        { .name = "file.chown",
          .run = file_chown,
          .flags = FLAGS,
          .summary = "Changes the owner and group of a file or directory",
          .params = chown_params,
          .reasons = REASONS },
        { .name = "file.get",
          .run = run_raw,
          .flags = FLAGS,
          .summary = "Sends a file, or a directory with all that is in it, as frames",
          .params = get_params,
          .result = transfer_fields,
          .reasons = REASONS,
          .data = &get_channels },
        { .name = "file.hash",
          .run = run,
          .flags = FLAGS,
          .summary = "Says the SHA-256 of a file's content",
          .params = hash_params,
          .result = hash_fields,
          .reasons = REASONS },
        { .name = "file.list",
          .run = run,
          .flags = FLAGS,
          .summary = "Lists a directory, page by page",
          .params = list_params,
          .result = list_fields,
          .reasons = REASONS },
        { .name = "file.mkdir",
          .run = run,
          .flags = FLAGS,
          .summary = "Makes a directory",
          .params = mkdir_params,
          .result = mkdir_fields,
          .reasons = REASONS | 1U << REASON_EXISTS },
        { .name = "file.put",
          .run = run_raw,
          .flags = FLAGS,
          .summary = "Takes a file, or a directory with all that is in it, as frames",
          .params = put_params,
          .result = transfer_fields,
          .reasons = REASONS | 1U << REASON_EXISTS,
          .data = &put_channels },
        { .name = "file.read",
          .run = run,
          .flags = FLAGS,
          .summary = "Reads a piece of a file",
          .params = read_params,
          .result = read_fields,
          .reasons = REASONS },
        { .name = "file.remove",
          .run = run,
          .flags = FLAGS,
          .summary = "Removes a file or a directory",
          .params = remove_params,
          .result = remove_fields,
          .reasons = REASONS },
        { .name = "file.rename",
          .run = file_rename,
          .flags = FLAGS,
          .summary = "Gives a file or directory another path in the same file system",
          .params = rename_params,
          .reasons = REASONS | 1U << REASON_EXISTS },
        { .name = "file.stat",
          .run = run,
          .flags = FLAGS,
          .summary = "Says what is known of a file without opening it",
          .params = stat_params,
          .result = stat_fields,
          .reasons = REASONS },
        { .name = "file.write",
          .run = file_write,
          .flags = FLAGS,
          .summary = "Writes into a file in place; file.put replaces it at once",
          .params = write_params,
          .result = write_fields,
          .reasons = REASONS | 1U << REASON_EXISTS },
        {},
};
