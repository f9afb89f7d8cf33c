/* SPDX-License-Identifier: MIT */

/* The guest's clock beside ours, and setting it by ours. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/target.h"

#define USEC_PER_SEC INT64_C(1000000)
/* The quickest answer of so many tells most exactly what time it was in the guest. */
#define SAMPLES 5
/* As ntpd(8): what is less is worn off in minutes, at 500 us a second, and no time is lost or
 * happens twice. */
#define STEP_USEC INT64_C(128000)

typedef struct Sample Sample;

struct Sample {
        int64_t guest;  /* its clock, microseconds since 1970 */
        int64_t host;   /* ours, at the middle of the round trip */
        int64_t offset; /* guest - host: positive where the guest is ahead */
        int64_t rtt;
};

static int64_t clock_read(clockid_t clock)
{
        struct timespec ts = { 0 };

        (void)clock_gettime(clock, &ts);
        return (int64_t)ts.tv_sec * USEC_PER_SEC + ts.tv_nsec / 1000;
}

/* EXIT_OK, or the reason has been printed. The round trip is measured by a clock that nobody sets.
 */
static int sample_once(Client *c, const Settings *s, Sample *ret)
{
        _cleanup_json_ json_object *info = NULL;
        json_object *time_us = NULL;
        int64_t begin, rtt, host;
        int r;

        begin = clock_read(CLOCK_MONOTONIC_RAW);
        r = target_call(c, s, "system.info", NULL, &info);
        host = clock_read(CLOCK_REALTIME);
        rtt = clock_read(CLOCK_MONOTONIC_RAW) - begin;
        if (r != EXIT_OK)
                return r;
        time_us = json_object_object_get(info, "time_us");
        if (!json_object_is_type(time_us, json_type_int) || json_object_get_int64(time_us) < 0 ||
            json_object_get_int64(time_us) == INT64_MAX) {
                output_error("the guest's system.info has no time_us that is a time");
                return EXIT_REFUSED;
        }
        *ret = (Sample){
                .guest = json_object_get_int64(time_us),
                .host = host - rtt / 2,
                .rtt = rtt,
        };
        ret->offset = ret->guest - ret->host;
        return EXIT_OK;
}

static int sample_best(Client *c, const Settings *s, Sample *ret)
{
        Sample best = { .rtt = INT64_MAX }, sample;
        int r;

        for (int i = 0; i < SAMPLES; i++) {
                r = sample_once(c, s, &sample);
                if (r != EXIT_OK)
                        return r;
                if (sample.rtt < best.rtt)
                        best = sample;
        }
        *ret = best;
        return EXIT_OK;
}

static void print_clock(const char *whose, int64_t usec)
{
        time_t seconds = (time_t)(usec / USEC_PER_SEC);
        char text[64] = "?", value[128];
        struct tm tm;

        if (gmtime_r(&seconds, &tm))
                (void)strftime(text, sizeof(text), "%F %T", &tm);
        snprintf(value, sizeof(value), "%s.%06d UTC", text, (int)(usec % USEC_PER_SEC));
        output_pair(6, whose, value);
}

static void print_offset(const Sample *b)
{
        uint64_t size = b->offset < 0 ? 0 - (uint64_t)b->offset : (uint64_t)b->offset;
        char value[128];

        snprintf(value, sizeof(value),
                 "%c%" PRIu64 ".%06" PRIu64 " s (the guest is %s), +/- %.3f ms",
                 b->offset < 0 ? '-' : '+', size / USEC_PER_SEC, size % USEC_PER_SEC,
                 b->offset < 0 ? "behind" : "ahead", (double)b->rtt / 2000);
        output_pair(6, "offset", value);
}

static void print_text(const Sample *b, const char *mode)
{
        print_clock("guest", b->guest);
        print_clock("host", b->host);
        print_offset(b);
        if (mode)
                output_pair(6, "sync",
                            strcmp(mode, "step") == 0 ? "set to the host's clock"
                            : strcmp(mode, "slew") == 0
                                    ? "drifting to the host's clock"
                                    : "not needed: within what can be measured");
}

/* `synced`: how, null where it was not asked for. */
static void print_json(const Sample *b, const char *mode)
{
        _cleanup_json_ json_object *o = json_object_new_object();

        if (!o || json_object_object_add(o, "guest_time_us", json_object_new_int64(b->guest)) < 0 ||
            json_object_object_add(o, "host_time_us", json_object_new_int64(b->host)) < 0 ||
            json_object_object_add(o, "offset_us", json_object_new_int64(b->offset)) < 0 ||
            json_object_object_add(o, "rtt_us", json_object_new_int64(b->rtt)) < 0 ||
            json_object_object_add(o, "sync", mode ? json_object_new_string(mode) : NULL) < 0) {
                output_error("out of memory");
                return;
        }
        output_json(o, false);
}

/* *ret_mode: what was done. */
static int time_sync(Client *c, const Settings *s, const Sample *b, const char **ret_mode)
{
        _cleanup_json_ json_object *params = NULL, *result = NULL;
        const char *mode = llabs(b->offset) >= STEP_USEC ? "step" : "slew";
        int r;

        if (llabs(b->offset) <= b->rtt / 2) {
                *ret_mode = "none";
                return EXIT_OK;
        }
        params = json_object_new_object();
        /* What time it will be when the guest reads this. */
        if (!params || json_object_object_add(params, "mode", json_object_new_string(mode)) < 0 ||
            json_object_object_add(params, "time_us",
                                   json_object_new_int64(clock_read(CLOCK_REALTIME) + b->rtt / 2)) <
                    0) {
                output_error("out of memory");
                return EXIT_REFUSED;
        }
        r = target_call(c, s, "system.set_time", params, &result);
        if (r == EXIT_OK)
                *ret_mode = mode;
        return r;
}

int verb_time(const Verb *verb, char **args, size_t n, const Settings *s)
{
        _cleanup_(client_freep) Client *c = NULL;
        const char *mode = NULL;
        Sample best;
        int r;

        r = target_open(args[0], s, &c);
        if (r == EXIT_OK)
                r = sample_best(c, s, &best);
        if (r == EXIT_OK && s->sync)
                r = time_sync(c, s, &best, &mode);
        if (r != EXIT_OK)
                return r;
        if (s->json)
                print_json(&best, mode);
        else
                print_text(&best, mode);
        return EXIT_OK;
}
