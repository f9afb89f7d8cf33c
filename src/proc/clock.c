/* SPDX-License-Identifier: MIT */
#include "proc/clock.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/rtc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/timex.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"

#define USEC_PER_SEC INT64_C(1000000)
#define RTC_DEVICE "/dev/rtc"
#define ADJTIME_FILE "/etc/adjtime"

/* hwclock(8): the third line says whether the hardware clock has local time. */
static bool rtc_is_local(void)
{
        char line[64];
        bool local = false;
        FILE *f;

        f = fopen(ADJTIME_FILE, "re");
        if (!f)
                return false;
        for (int i = 0; i < 3 && fgets(line, sizeof(line), f); i++)
                local = i == 2 && strncmp(line, "LOCAL", strlen("LOCAL")) == 0;
        (void)fclose(f);
        return local;
}

static int rtc_set(int64_t usec)
{
        _cleanup_close_ int fd = -EBADF;
        time_t seconds = (time_t)((usec + USEC_PER_SEC / 2) / USEC_PER_SEC);
        struct rtc_time rtc = { 0 };
        struct tm tm;

        fd = open(RTC_DEVICE, O_WRONLY | O_CLOEXEC);
        if (fd < 0)
                fd = open(RTC_DEVICE "0", O_WRONLY | O_CLOEXEC);
        if (fd < 0)
                return -errno;
        if (!(rtc_is_local() ? localtime_r(&seconds, &tm) : gmtime_r(&seconds, &tm)))
                return -EOVERFLOW;
        rtc = (struct rtc_time){
                .tm_sec = tm.tm_sec,
                .tm_min = tm.tm_min,
                .tm_hour = tm.tm_hour,
                .tm_mday = tm.tm_mday,
                .tm_mon = tm.tm_mon,
                .tm_year = tm.tm_year,
                .tm_isdst = -1,
        };
        return ioctl(fd, RTC_SET_TIME, &rtc) < 0 ? -errno : 0;
}

static int64_t clock_read(void)
{
        struct timespec ts = { 0 };

        (void)clock_gettime(CLOCK_REALTIME, &ts);
        return (int64_t)ts.tv_sec * USEC_PER_SEC + ts.tv_nsec / 1000;
}

/* *ret: what time it should be now. */
static int clock_step(int64_t offset, int64_t *ret)
{
        struct timespec ts;
        int64_t now;

        if (__builtin_add_overflow(clock_read(), offset, &now) || now < 0)
                return -ERANGE;
        ts.tv_sec = (time_t)(now / USEC_PER_SEC);
        ts.tv_nsec = (long)(now % USEC_PER_SEC * 1000);
        if (clock_settime(CLOCK_REALTIME, &ts) < 0)
                return -errno;
        *ret = now;
        return 0;
}

static int clock_slew(int64_t offset, int64_t *ret)
{
        const struct timeval delta = {
                .tv_sec = (time_t)(offset / USEC_PER_SEC),
                .tv_usec = (suseconds_t)(offset % USEC_PER_SEC),
        };

        if (adjtime(&delta, NULL) < 0)
                return -errno;
        *ret = clock_read() + offset;
        return 0;
}

int clock_main(char *const *arguments)
{
        bool slew = strcmp(arguments[0], "slew") == 0, rtc = strcmp(arguments[2], "yes") == 0;
        int64_t offset, now = 0;
        char *end;
        int r;

        errno = 0;
        offset = strtoll(arguments[1], &end, 10);
        if (errno != 0 || end == arguments[1] || *end ||
            (!slew && strcmp(arguments[0], "step") != 0))
                return CLOCK_USAGE;
        r = slew ? clock_slew(offset, &now) : clock_step(offset, &now);
        if (r < 0)
                return -r;
        if (rtc && rtc_set(now) < 0)
                return CLOCK_WITHOUT_RTC;
        return 0;
}
