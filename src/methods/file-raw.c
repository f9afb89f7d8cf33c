/* SPDX-License-Identifier: MIT */

/* Raw calls of file.*: the connection is lent to the helper. */
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>

#include "base/fd.h"
#include "methods/file-internal.h"
#include "methods/members.h"
#include "rpc/raw.h"

/* To remove what has come in part. */
#define ABORT_USEC UINT64_C(5000000)
/* To write down what had come, once the caller has gone. */
#define GONE_USEC UINT64_C(10000000)

void file_call_unwatch(FileCall *c)
{
        c->watch = sd_event_source_disable_unref(c->watch);
        c->watch_fd = fd_close(c->watch_fd);
}

/* What the caller sends is the helper's to take. */
static size_t on_data(Call *call, uint8_t channel, const char *data, size_t n, void *userdata)
{
        return 0;
}

static void on_channel_end(Call *call, uint8_t channel, void *userdata)
{
}

static const RawOwner raw_owner = {
        .data = on_data,
        .end = on_channel_end,
};

static int on_hang_up(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
        FileCall *c = userdata;

        file_call_unwatch(c);
        file_process_set_deadline(c->helper->process, GONE_USEC);
        return 0;
}

/* The helper sees for itself that the caller has gone, unless it hangs. The end of input of one
 * that has ended its channel 0 is nothing new. */
static void file_call_watch(FileCall *c, int fd)
{
        uint32_t events = call_raw_is_input_over(c->call) ? 0 : EPOLLRDHUP;

        c->watch_fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (c->watch_fd >= 0)
                (void)sd_event_add_io(c->helper->set->context->event, &c->watch, c->watch_fd,
                                      events, on_hang_up, c);
}

/* The helper is to stop, and says when it has. */
void file_call_abort(FileCall *c)
{
        if (c->aborting || !c->helper)
                return;
        c->aborting = true;
        file_process_send(c->helper->process, HELPER_ABORT, NULL, 0);
        file_process_set_deadline(c->helper->process, ABORT_USEC);
}

static void on_ready(Call *call, int fd, const char *received, size_t n, void *userdata)
{
        FileCall *c = userdata;
        int r;

        if (!c->aborting) {
                c->lent = true;
                r = file_process_lend(c->helper->process, fd, call_raw_is_input_over(call),
                                      received, n);
                if (r >= 0) {
                        file_call_watch(c, fd);
                        return;
                }
                c->lent = false;
                c->error = -r;
                file_call_abort(c);
        }
        /* Its end is being waited for. */
        call_raw_return(call, received, n, 0, 0, 0);
}

void file_call_begin(FileCall *c)
{
        Members m;
        int r;

        if (!c->raw || c->begun || !c->call) {
                file_call_abort(c);
                return;
        }
        members_init(&m);
        members_add_boolean(&m, "raw", true);
        c->begun = true;
        r = call_raw_begin(c->call, members_take(&m), c->channels_in, &raw_owner, c);
        if (r >= 0) {
                call_raw_lend(c->call, on_ready, c);
                return;
        }
        c->call = NULL; /* it has ended */
        file_call_abort(c);
}

void file_call_take_back(FileCall *c, const char *data, size_t n)
{
        HelperReturn back;

        if (!c->lent || helper_return_read(&back, data, n) < 0)
                return;
        c->lent = false;
        file_call_unwatch(c);
        if (!c->aborting)
                file_process_set_idle(c->helper->process, false);
        if (!c->call)
                return;
        call_raw_return(c->call, data + HELPER_RETURN_SIZE, n - HELPER_RETURN_SIZE, back.received,
                        back.sent, back.error);
        if (c->call && back.paused && back.error == 0 && !c->aborting)
                call_raw_lend(c->call, on_ready, c);
}
