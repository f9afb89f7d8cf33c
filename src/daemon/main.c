/* SPDX-License-Identifier: MIT */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/log.h"
#include "config/config.h"
#include "daemon/agent.h"
#include "files/helper.h"
#include "proc/clock.h"
#include "proc/launch.h"

typedef struct Options Options;

struct Options {
        const char *config_file;
        int log_level; /* negative: as configured */
        bool check;
};

static void print_help(void)
{
        puts("guestwired [OPTION...]\n"
             "\n"
             "The guest's side of guestwire: answers the host on vsock ports.\n"
             "\n"
             "  -c, --config FILE      read FILE alone, and no drop-ins\n"
             "      --check            check the configuration and print the effective one\n"
             "      --log-level LEVEL  error, warning, notice, info or debug; goes before the\n"
             "                         configuration's log-level\n"
             "  -h, --help             show this and end\n"
             "      --version          show the version and end\n"
             "\n"
             "See guestwired(8) and guestwire.conf(5).");
}

/* Returns 0, or 1 where there is nothing more to do, or -EINVAL after saying why. */
static int parse_options(int argc, char **argv, Options *o)
{
        enum { OPTION_CHECK = 256, OPTION_LOG_LEVEL, OPTION_VERSION };
        static const struct option options[] = {
                { "config", required_argument, NULL, 'c' },
                { "check", no_argument, NULL, OPTION_CHECK },
                { "log-level", required_argument, NULL, OPTION_LOG_LEVEL },
                { "help", no_argument, NULL, 'h' },
                { "version", no_argument, NULL, OPTION_VERSION },
                { 0 },
        };
        int c;

        while ((c = getopt_long(argc, argv, "c:h", options, NULL)) >= 0)
                switch (c) {
                case 'c':
                        o->config_file = optarg;
                        break;
                case OPTION_CHECK:
                        o->check = true;
                        break;
                case OPTION_LOG_LEVEL:
                        if (log_level_from_text(optarg, &o->log_level) < 0) {
                                fprintf(stderr,
                                        "guestwired: --log-level: %s is no level; error, warning, "
                                        "notice, info and debug are\n",
                                        optarg);
                                return -EINVAL;
                        }
                        break;
                case 'h':
                        print_help();
                        return 1;
                case OPTION_VERSION:
                        puts("guestwired " PACKAGE_VERSION);
                        return 1;
                default:
                        fputs("guestwired: `guestwired --help` lists the options\n", stderr);
                        return -EINVAL;
                }
        if (optind < argc) {
                fprintf(stderr, "guestwired: %s: no arguments are taken; see --help\n",
                        argv[optind]);
                return -EINVAL;
        }
        return 0;
}

static int check_configuration(const Options *o)
{
        _cleanup_config_ Config *config = NULL;
        ConfigErrors errors = { 0 };
        int r;

        r = config_load(o->config_file, &config, &errors);
        if (r >= 0)
                r = config_load_token(config, &errors);
        for (size_t i = 0; errors.list && errors.list[i]; i++)
                fprintf(stderr, "%s\n", errors.list[i]);
        config_errors_done(&errors);
        if (r < 0) {
                if (r != -EINVAL)
                        fprintf(stderr, "guestwired: %s\n", strerror(-r));
                return EXIT_FAILURE;
        }
        if (o->log_level >= 0)
                config->agent.log_level = o->log_level;
        config_print(config, stdout);
        if (fflush(stdout) != 0) {
                fprintf(stderr, "guestwired: cannot write: %s\n", strerror(errno));
                return EXIT_FAILURE;
        }
        return EXIT_SUCCESS;
}

/* As many file descriptors as we may have: nothing here uses select(2), for which the soft
 * limit is kept low. */
static void raise_fd_limit(const Config *config)
{
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
                return;
        if (limit.rlim_cur < limit.rlim_max) {
                limit.rlim_cur = limit.rlim_max;
                (void)setrlimit(RLIMIT_NOFILE, &limit);
        }
        if (limit.rlim_cur < config->agent.max_connections + 64)
                log_warning("the limit of %llu file descriptors is reached before max-connections "
                            "(%llu): raise LimitNOFILE= of the unit",
                            (unsigned long long)limit.rlim_cur,
                            (unsigned long long)config->agent.max_connections);
}

static int run(const Options *o)
{
        _cleanup_config_ Config *config = NULL;
        _cleanup_(agent_freep) Agent *a = NULL;
        ConfigErrors errors = { 0 };
        int r;

        log_open();
        if (o->log_level >= 0)
                log_set_level(o->log_level);
        r = config_load(o->config_file, &config, &errors);
        if (r >= 0)
                r = config_load_token(config, &errors);
        for (size_t i = 0; errors.list && errors.list[i]; i++)
                log_error("%s", errors.list[i]);
        config_errors_done(&errors);
        if (r < 0) {
                log_error("not started: %s",
                          r == -EINVAL ? "the configuration has errors" : strerror(-r));
                return EXIT_FAILURE;
        }
        raise_fd_limit(config);
        r = agent_new(o->config_file, o->log_level, config, &a);
        /* The agent's alone from now on, which may take another. */
        config = config_unref(config);
        if (r >= 0)
                r = agent_run(a);
        if (r < 0) {
                log_error("cannot go on: %s", strerror(-r));
                return EXIT_FAILURE;
        }
        return EXIT_SUCCESS;
}

int main(int argc, char **argv)
{
        Options o = { .log_level = -1 };
        int r;

        /* Not for people: what the daemon starts itself. */
        if (argc == 2 && strcmp(argv[1], LAUNCH_OPTION) == 0)
                return launch_main();
        if (argc == 2 && strcmp(argv[1], "--internal-files") == 0)
                helper_main();
        if (argc == 2 + CLOCK_ARGUMENTS && strcmp(argv[1], CLOCK_OPTION) == 0)
                return clock_main(argv + 2);
        r = parse_options(argc, argv, &o);
        if (r != 0)
                return r < 0 ? 2 : EXIT_SUCCESS;
        /* A peer or a log that goes away is an error of one write, not the end of the daemon. */
        (void)signal(SIGPIPE, SIG_IGN);
        return o.check ? check_configuration(&o) : run(&o);
}
