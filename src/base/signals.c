/* SPDX-License-Identifier: MIT */
#include "base/signals.h"

#include <errno.h>
#include <signal.h>
#include <string.h>

#include "base/text.h"

char *signal_to_text(int number)
{
        const char *name = sigabbrev_np(number);

        if (name)
                return text_format("SIG%s", name);
        if (number >= SIGRTMIN && number <= SIGRTMAX)
                return text_format("SIGRTMIN+%d", number - SIGRTMIN);
        return text_format("SIG%d", number);
}

static int signal_from_number(const char *text, int base, int last)
{
        uint32_t n;

        if (text_to_u32(text, &n) < 0 || n > (uint32_t)(last - base))
                return -EINVAL;
        return base + (int)n;
}

int signal_from_text(const char *text)
{
        int number;

        number = signal_from_number(text, 0, SIGRTMAX);
        if (number >= 0)
                return number > 0 ? number : -EINVAL;
        if (strncmp(text, "SIG", strlen("SIG")) == 0)
                text += strlen("SIG");
        if (strncmp(text, "RTMIN+", strlen("RTMIN+")) == 0)
                return signal_from_number(text + strlen("RTMIN+"), SIGRTMIN, SIGRTMAX);
        for (number = 1; number < SIGRTMIN; number++) {
                const char *name = sigabbrev_np(number);

                if (name && strcmp(name, text) == 0)
                        return number;
        }
        return -EINVAL;
}
