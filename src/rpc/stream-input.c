/* SPDX-License-Identifier: MIT */
#include <string.h>

#include "rpc/stream-internal.h"
#include "rpc/stream-raw.h"

/* Texts (or units of work) in one turn, so that one busy peer leaves the loop to the others. */
#define TURN_BUDGET 64U

void stream_next_text(Stream *s)
{
        s->text_begun = 0;
        s->scan.limits = s->limits;
        scan_reset(&s->scan);
}

/* What a raw call's frames may take of the output before texts are no longer taken: a program's
 * output that is not read must not keep the caller from ending it. */
#define RAW_OUTPUT_MAX (STREAM_OUTPUT_HIGH + FRAME_HEADER_SIZE + FRAME_PAYLOAD_MAX)

bool stream_is_congested(Stream *s)
{
        size_t waiting = s->out.size;

        if (s->raw)
                waiting -= MIN_OF(waiting, (size_t)RAW_OUTPUT_MAX);
        if (waiting >= STREAM_OUTPUT_HIGH)
                s->congested = true;
        else if (waiting <= STREAM_OUTPUT_LOW)
                s->congested = false;
        return s->congested;
}

void stream_fault(Stream *s, StreamFault fault, ScanResult result)
{
        s->text_begun = 0;
        s->owner->fault(s, fault, result, s->userdata);
        stream_next_text(s);
        if (fault == STREAM_FAULT_SYNTAX) {
                s->skipping = !s->raw;
        } else if (fault != STREAM_FAULT_CUT) {
                stream_finish(s);
                s->finish_by = stream_now(s) + STREAM_DRAIN_USEC;
        }
}

/*
 * Cuts one text from the n bytes at data, which begin where the last one ended (or with the
 * part of this text that the scan has seen). Returns how many of them are done with; what a
 * text begun leaves stays for the next time. *ret_more: whether it is worth trying again.
 */
static size_t stream_cut(Stream *s, const char *data, size_t n, bool *ret_more)
{
        size_t seen = scan_begun(&s->scan) ? scan_length(&s->scan) : 0, used = 0, leading;
        ScanResult r;

        r = scan_feed(&s->scan, data + seen, n - seen, &used);
        used += seen;

        switch (r) {
        case SCAN_MORE:
                *ret_more = false;
                if (!scan_begun(&s->scan))
                        return n;
                if (s->text_begun == 0)
                        s->text_begun = stream_now(s);
                return n - scan_length(&s->scan);
        case SCAN_DONE:
                leading = used - scan_length(&s->scan);
                s->text_begun = 0;
                s->owner->text(s, data + leading, &s->scan, s->userdata);
                stream_next_text(s);
                break;
        case SCAN_BAD_SYNTAX:
        case SCAN_BAD_UTF8:
                stream_fault(s, STREAM_FAULT_SYNTAX, r);
                break;
        case SCAN_NO_MEMORY:
                stream_fault(s, STREAM_FAULT_MEMORY, r);
                break;
        case SCAN_TOO_LONG:
        case SCAN_TOO_MANY_VALUES:
        case SCAN_TOO_DEEP:
                stream_fault(s, STREAM_FAULT_LIMIT, r);
                break;
        }
        *ret_more = true;
        return used;
}

/* Whether input is read to be dropped. The conversation of a raw call goes on to its end. */
static bool stream_is_dropping(const Stream *s)
{
        return s->finishing && (!s->raw || s->finish_by > 0);
}

size_t stream_take(Stream *s, const char *data, size_t n)
{
        size_t done = 0;
        bool more = true;

        for (unsigned budget = TURN_BUDGET;; budget--) {
                if (stream_is_congested(s)) {
                        s->stalled = true;
                        return stream_is_dropping(s) ? n : done;
                }
                if (budget == 0) {
                        s->unfinished = true;
                        return done;
                }
                if (s->owner->work(s, s->userdata))
                        continue;
                if (stream_is_dropping(s))
                        return n;
                if (!more || done == n)
                        return done;
                if (s->skipping) {
                        const char *newline = memchr(data + done, '\n', n - done);

                        if (!newline)
                                return n;
                        done = (size_t)(newline - data) + 1;
                        s->skipping = false;
                        continue;
                }
                done += s->raw ? stream_raw_take(s, data + done, n - done, &more)
                               : stream_cut(s, data + done, n - done, &more);
        }
}

void stream_take_end(Stream *s)
{
        ScanResult r;

        if (s->raw) {
                stream_raw_take_end(s);
                return;
        }
        if (s->cut_told || s->finishing)
                return;
        s->cut_told = true;

        r = scan_finish(&s->scan);
        if (r == SCAN_DONE) {
                s->text_begun = 0;
                s->owner->text(s, s->in.size > 0 ? buffer_peek(&s->in) : "", &s->scan, s->userdata);
                stream_next_text(s);
        } else if (r != SCAN_MORE) {
                stream_fault(s, STREAM_FAULT_CUT, r);
        }
        buffer_done(&s->in);
}

void stream_take_left(Stream *s)
{
        size_t done;

        done = stream_take(s, s->in.size > 0 ? buffer_peek(&s->in) : "", s->in.size);
        buffer_consume(&s->in, done);
}
