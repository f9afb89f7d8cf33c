/* SPDX-License-Identifier: MIT */
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"
#include "cli/output.h"
#include "cli/standard.h"
#include "cli/target.h"

typedef struct Connect Connect;

enum {
        END_OURS,
        END_GUEST,
};

struct Connect {
        sd_event *event;
        const Address *target;
        int code;
        int signal; /* 0, or by which it ends */
};

static void on_ended(Pump *p, int error, unsigned end, void *userdata)
{
        Connect *c = userdata;
        _cleanup_free_ char *to = NULL;

        c->code = error == 0 ? EXIT_OK : end == END_GUEST ? EXIT_CONNECTION : EXIT_REFUSED;
        if (error < 0 && end == END_GUEST) {
                to = address_to_text(c->target);
                output_error("the connection to %s broke before all was passed on: %s", to ?: "?",
                             strerror(-error));
        } else if (error < 0 && error != -EPIPE) {
                /* A reader that has had enough is no error worth a word. */
                output_error("standard input or output: %s", strerror(-error));
        }
        (void)sd_event_exit(c->event, 0);
}

static int on_signal(sd_event_source *source, const struct signalfd_siginfo *si, void *userdata)
{
        Connect *c = userdata;

        c->signal = (int)si->ssi_signo;
        return sd_event_exit(c->event, 0);
}

/* What must be put right before a signal ends us. */
static int add_signals(Connect *c)
{
        static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
        int r;

        for (size_t i = 0; i < ELEMENTSOF(signals); i++) {
                /* nohup's wish is respected. */
                struct sigaction old;

                if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler == SIG_IGN)
                        continue;
                r = sd_event_add_signal(c->event, NULL, signals[i] | SD_EVENT_SIGNAL_PROCMASK,
                                        on_signal, c);
                if (r < 0)
                        return r;
        }
        return 0;
}

static void die_of(int signo)
{
        sigset_t set;

        (void)signal(signo, SIG_DFL);
        sigemptyset(&set);
        sigaddset(&set, signo);
        (void)raise(signo);
        (void)sigprocmask(SIG_UNBLOCK, &set, NULL);
}

/* Takes the guest's socket over. */
static int connect_run(Connect *c, int fd)
{
        _cleanup_(standard_done) Standard standard = STANDARD_NULL;
        _cleanup_close_ int guest = fd;
        _cleanup_(pump_freep) Pump *pump = NULL;
        PumpSettings settings = {};
        PumpEnd ends[2];
        int r;

        /* A TCP peer that has left looks like one that has but ended its input, until it is sent
         * something: a person would have to find out. Elsewhere the kernel tells the two apart. */
        settings.end_with[END_GUEST] = c->target->kind == ADDRESS_TCP && isatty(STDIN_FILENO) > 0;
        r = standard_take(&standard);
        if (r < 0)
                return r;
        /* Nobody reads: what the guest sends would be thrown away for as long as the input is
         * open. Who has one socket for both, and is gone, sends no more either: his last words
         * still go. */
        settings.end_without[END_OURS] = standard.end.in != standard.end.out;
        r = add_signals(c);
        if (r < 0)
                return r;
        ends[END_OURS] = standard.end;
        ends[END_GUEST] = (PumpEnd){ .in = guest, .out = guest };
        r = pump_new(c->event, ends, &settings, on_ended, c, &pump);
        if (r < 0)
                return r;
        guest = -EBADF;
        standard.end = (PumpEnd){ .in = -EBADF, .out = -EBADF };
        return sd_event_loop(c->event);
}

/*
 * As ssh has it in ProxyCommand's %h: it takes a host that is a number for an IPv4 address, and
 * hands on 0.0.0.21 for 21. No host has an address below 1.0.0.0 (RFC 1122, 3.2.1.3).
 */
static const char *undo_ssh(const char *target, char buffer[static 16])
{
        struct in_addr in;

        if (inet_pton(AF_INET, target, &in) != 1 || ntohl(in.s_addr) >= 1U << 24)
                return target;
        snprintf(buffer, 16, "%" PRIu32, ntohl(in.s_addr));
        return buffer;
}

int verb_connect(const Verb *verb, char **args, size_t n, const Settings *s)
{
        _cleanup_address_ Address target = ADDRESS_NULL;
        _cleanup_(client_freep) Client *client = NULL;
        Connect c = { .target = &target };
        char cid[16];
        int r;

        r = standard_guard();
        if (r < 0) {
                output_error("/dev/null: %s", strerror(-r));
                return EXIT_REFUSED;
        }
        r = target_parse(undo_ssh(args[0], cid), n > 1 ? args[1] : NULL, &target);
        if (r == EXIT_OK)
                r = target_connect(&target, s, &client);
        if (r != EXIT_OK)
                return r;

        /* A reader that is gone is to be an error of write(2), as a guest that is gone is. */
        (void)signal(SIGPIPE, SIG_IGN);
        c.event = client_event(client);
        r = connect_run(&c, client_take_fd(client));
        if (r < 0) {
                output_error("%s", strerror(-r));
                return EXIT_REFUSED;
        }
        if (c.signal != 0)
                die_of(c.signal);
        return c.code;
}
