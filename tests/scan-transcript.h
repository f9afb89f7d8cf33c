/* SPDX-License-Identifier: MIT */
#pragma once

/*
 * Everything that a scan says about some bytes, as one string: what a table of cases states and
 * what must come out the same in whatever pieces the bytes arrive. For each text
 *
 *     0+46 object{id=30+1 method=40+12}
 *
 * (offset+length of the text and of its marked members; "value" for what is no object; a batch
 * is "batch[...]" around its envelopes), then how it ended: "end", "cut" or the error and where.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "rpc/scan.h"

static const ScanKeys transcript_keys = {
        .names = { "jsonrpc", "id", "method", "params" },
        .params = 3,
};

static const ScanLimits transcript_limits = { .bytes = 1U << 20, .values = 16384, .depth = 32 };

static const char *transcript_result(ScanResult r)
{
        static const char *const texts[] = {
                [SCAN_MORE] = "more",
                [SCAN_DONE] = "done",
                [SCAN_BAD_SYNTAX] = "bad-syntax",
                [SCAN_BAD_UTF8] = "bad-utf8",
                [SCAN_TOO_LONG] = "too-long",
                [SCAN_TOO_MANY_VALUES] = "too-many-values",
                [SCAN_TOO_DEEP] = "too-deep",
                [SCAN_NO_MEMORY] = "no-memory",
        };

        return texts[r];
}

static void transcript_envelope(FILE *f, const ScanKeys *keys, const ScanEnvelope *e)
{
        const char *space = "";

        fprintf(f, "%s{", e->flags & SCAN_IS_OBJECT ? "object" : "value");
        for (unsigned i = 0; i < SCAN_KEYS_MAX; i++)
                if (e->members[i].length > 0) {
                        fprintf(f, "%s%s=%u+%u", space, keys->names[i], e->members[i].offset,
                                e->members[i].length);
                        space = " ";
                }
        if (e->params_members > 0)
                fprintf(f, "/%u", e->params_members);
        fputs(e->flags & SCAN_DOUBLED_KEY ? " doubled" : "", f);
        fputs(e->flags & SCAN_NUL_IN_KEY ? " nul" : "", f);
        fputs(e->flags & SCAN_NUMBER_TOO_LARGE ? " large" : "", f);
        fputc('}', f);
}

/* A whole text, which ended after `position` bytes of all. */
static void transcript_text(FILE *f, const Scan *s, size_t position)
{
        const ScanEnvelope *e;
        size_t n;

        e = scan_envelopes(s, &n);
        fprintf(f, "%zu+%zu ", position - scan_length(s), scan_length(s));
        if (!scan_is_batch(s)) {
                if (n != 1 || e->text.offset != 0 || e->text.length != scan_length(s))
                        abort();
                transcript_envelope(f, s->keys, e);
                fputc(' ', f);
                return;
        }
        fputs("batch[", f);
        for (size_t i = 0; i < n; i++) {
                fprintf(f, "%s%u+%u ", i > 0 ? " " : "", e[i].text.offset, e[i].text.length);
                transcript_envelope(f, s->keys, &e[i]);
        }
        fputs("] ", f);
}

/* One piece, as a block of its own, so that a sanitizer sees a read past it. false: it failed. */
static bool transcript_piece(FILE *f, Scan *s, const char *data, size_t n, size_t *position)
{
        char *piece = malloc(n + (n == 0));
        size_t at = 0, used;
        ScanResult r;

        if (!piece)
                abort();
        if (n > 0)
                memcpy(piece, data, n);
        do {
                r = scan_feed(s, piece + at, n - at, &used);
                if (used > n - at || (r == SCAN_MORE && used != n - at))
                        abort();
                at += used;
                *position += used;
                if (r == SCAN_DONE) {
                        transcript_text(f, s, *position);
                        scan_reset(s);
                } else if (r != SCAN_MORE) {
                        fprintf(f, "%s@%zu", transcript_result(r), *position);
                        break;
                }
        } while (at < n);
        free(piece);
        return r == SCAN_MORE || r == SCAN_DONE;
}

/*
 * The bytes in pieces: the first one of `first` bytes, all others of `step` bytes. The caller
 * frees.
 */
static char *transcript(const ScanKeys *keys, const ScanLimits *limits, const char *data, size_t n,
                        size_t first, size_t step)
{
        size_t position = 0, size, piece;
        char *text = NULL;
        bool good = true;
        ScanResult r;
        FILE *f;
        Scan s;

        f = open_memstream(&text, &size);
        if (!f)
                abort();
        scan_init(&s, keys, limits);
        for (size_t at = 0; good && at < n; at += piece) {
                piece = MIN_OF(MAX_OF(at == 0 ? first : step, (size_t)1), n - at);
                good = transcript_piece(f, &s, data + at, piece, &position);
        }
        if (good) {
                r = scan_finish(&s);
                if (r == SCAN_DONE)
                        transcript_text(f, &s, position);
                fputs(r == SCAN_BAD_SYNTAX ? "cut" : "end", f);
        }
        scan_done(&s);
        if (fclose(f) != 0)
                abort();
        return text;
}
