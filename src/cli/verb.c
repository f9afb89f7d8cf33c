/* SPDX-License-Identifier: MIT */
#include "cli/verb.h"

#include <errno.h>
#include <string.h>

#include "base/text.h"

#define OPTIONS_RPC (OPTION_TIMEOUT | OPTION_WAIT | OPTION_JSON | OPTION_TOKEN)
#define INTERVAL_MIN 1000U /* a ping each millisecond is enough for anybody */

const Verb verbs[] = {
        { .name = "ping",
          .args = "TARGET",
          .summary = "Measure how long the guest's agent takes to answer",
          .help = "Calls agent.ping once a second until Ctrl-C, or --count times, and prints each\n"
                  "round-trip time and a summary.",
          .options = OPTIONS_RPC | OPTION_COUNT | OPTION_INTERVAL,
          .takes_target = true,
          .min_args = 1,
          .max_args = 1,
          .run = verb_ping },
        { .name = "info",
          .args = "TARGET",
          .summary = "Show what the guest says of itself and of its agent",
          .help = "Calls agent.info and system.info. With --json the two answers as they came, in\n"
                  "an object with the members `agent` and `system`.",
          .options = OPTIONS_RPC,
          .takes_target = true,
          .min_args = 1,
          .max_args = 1,
          .run = verb_info },
        { .name = "call",
          .args = "TARGET METHOD [PARAMS...]",
          .summary = "Call a method and print its result as JSON",
          .help = "PARAMS is one JSON object, or key=value words, or - to read JSON from the\n"
                  "standard input. A value that is JSON (5, true, null, [1,2], \"5\") is sent as\n"
                  "such, anything else as a string.",
          .options = OPTIONS_RPC,
          .takes_target = true,
          .min_args = 2,
          .max_args = ARGS_ANY,
          .run = verb_call },
        { .name = "methods",
          .args = "TARGET",
          .summary = "List the methods that the guest's agent has",
          .help = "Calls rpc.discover. With --json the OpenRPC document as it came.",
          .options = OPTIONS_RPC,
          .takes_target = true,
          .min_args = 1,
          .max_args = 1,
          .run = verb_methods },
        { .name = "connect",
          .args = "TARGET [PORT]",
          .summary = "Connect standard input and output to a port of a target",
          .help = "Any port of any target: PORT goes before the one in TARGET. The end of the\n"
                  "standard input is passed on where that is possible, and what the guest sends\n"
                  "is written until it ends. As ssh's ProxyCommand: guestwire connect 21 22",
          .options = OPTION_TIMEOUT | OPTION_WAIT,
          .takes_target = true,
          .min_args = 1,
          .max_args = 2,
          .run = verb_connect },
        { .name = "forward",
          .args = "TARGET LOCAL:REMOTE...",
          .summary = "Listen here for a target's ports",
          .help = "LOCAL is a TCP port (on 127.0.0.1), ADDRESS:PORT, [V6]:PORT or the path of a\n"
                  "Unix socket, REMOTE a vsock port of the target. Each client gets a connection\n"
                  "of its own. SIGUSR1 prints statistics; SIGINT and SIGTERM print them and end\n"
                  "it.",
          .options = OPTION_TIMEOUT | OPTION_JSON,
          .takes_target = true,
          .min_args = 2,
          .max_args = ARGS_ANY,
          .run = verb_forward },
        { .name = "exec",
          .args = "TARGET -- PROGRAM [ARGS...]",
          .summary = "Run a program in the guest",
          .help = "What the program writes comes out here as it is written, and its exit status "
                  "is\n"
                  "ours: 128+N where signal N ended it, 255 where guestwire or the guest failed. "
                  "It\n"
                  "reads /dev/null unless -i is given. Ctrl-C is passed on to it; a second one "
                  "gives\n"
                  "up. With -t it has a terminal, of the size of ours, and a terminal here is\n"
                  "handed over to it.",
          .options = OPTION_TOKEN | OPTION_WAIT | OPTION_JSON | OPTION_INPUT | OPTION_TERMINAL |
                     OPTION_USER | OPTION_ENVIRONMENT | OPTION_DIRECTORY | OPTION_TIME_LIMIT |
                     OPTION_DETACH,
          .takes_target = true,
          .takes_program = true,
          .min_args = 1,
          .max_args = ARGS_ANY, /* it says itself what is wrong */
          .run = verb_exec },
        { .name = "shell",
          .args = "TARGET [USER]",
          .summary = "Open a login shell in the guest",
          .help = "The login shell of USER, or of whom the agent runs as, in a terminal. It ends "
                  "with\n"
                  "the shell's exit status.",
          .options = OPTION_TIMEOUT | OPTION_WAIT | OPTION_TOKEN,
          .takes_target = true,
          .min_args = 1,
          .max_args = 2,
          .run = verb_shell },
        { .name = "cp",
          .args = "SRC... DST",
          .summary = "Copy files and directories to, from or between guests",
          .help = "SRC and DST are names here, TARGET:/PATH in a guest, or - for standard input "
                  "and\n"
                  "output. A directory as DST takes things in under their names. What is replaced "
                  "is\n"
                  "replaced at the end, in one step. A local name with a colon is written ./a:b.",
          .options = OPTION_TIMEOUT | OPTION_WAIT | OPTION_TOKEN | OPTION_RECURSIVE |
                     OPTION_PRESERVE | OPTION_RESUME | OPTION_USER,
          .takes_files = true,
          .min_args = 2,
          .max_args = ARGS_ANY,
          .run = verb_cp },
        { .name = "jobs",
          .args = "TARGET",
          .summary = "List the programs that were started with exec --detach",
          .help = "Those that run, and those that have ended, for a while.",
          .options = OPTIONS_RPC,
          .takes_target = true,
          .min_args = 1,
          .max_args = 1,
          .run = verb_jobs },
        { .name = "attach",
          .args = "TARGET JOB",
          .summary = "Show what a job has written, and go on with it",
          .help = "From the beginning, as far as that is kept, to the job's end, whose exit status "
                  "is\n"
                  "ours, as of exec. Ctrl-C ends it; the job goes on. With -i our standard input "
                  "is\n"
                  "sent to a job that was started with -i or -t.",
          .options = OPTION_TOKEN | OPTION_WAIT | OPTION_INPUT,
          .takes_target = true,
          .min_args = 2,
          .max_args = 2,
          .run = verb_attach },
        { .name = "wait",
          .args = "TARGET JOB",
          .summary = "Wait for a job's end",
          .help = "Its exit status is ours, as of exec.",
          .options = OPTION_TOKEN | OPTION_WAIT | OPTION_JSON | OPTION_TIME_LIMIT,
          .takes_target = true,
          .min_args = 2,
          .max_args = 2,
          .run = verb_wait },
        { .name = "kill",
          .args = "TARGET JOB [SIGNAL]",
          .summary = "Send a signal to a job",
          .help = "SIGNAL is a name, with or without SIG, or a number; TERM unless given.",
          .options = OPTIONS_RPC,
          .takes_target = true,
          .min_args = 2,
          .max_args = 3,
          .run = verb_kill },
        { .name = "shutdown",
          .args = "TARGET [MODE]",
          .summary = "Turn the guest off, or put it to sleep",
          .help = "MODE is poweroff (unless given), reboot, halt, suspend or hibernate. The guest "
                  "has\n"
                  "answered before it goes; whether it has gone is for its VMM to say.",
          .options = OPTIONS_RPC | OPTION_MESSAGE,
          .takes_target = true,
          .min_args = 1,
          .max_args = 2,
          .run = verb_shutdown },
        { .name = "reboot",
          .args = "TARGET",
          .summary = "Reboot the guest",
          .help = "The same as shutdown TARGET reboot.",
          .options = OPTIONS_RPC | OPTION_MESSAGE,
          .takes_target = true,
          .min_args = 1,
          .max_args = 1,
          .run = verb_reboot },
        { .name = "time",
          .args = "TARGET",
          .summary = "Compare the guest's clock with ours, or set it",
          .help = "Shows both, and how far the guest's is ahead (+) or behind (-), of which half "
                  "a\n"
                  "round trip is not known. With --sync the guest's clock is set by ours: at once "
                  "if\n"
                  "it is off by 128 ms or more, else slowly, as the kernel does it.",
          .options = OPTIONS_RPC | OPTION_SYNC,
          .takes_target = true,
          .min_args = 1,
          .max_args = 1,
          .run = verb_time },
        { .name = "cid",
          .args = "",
          .summary = "Show this machine's vsock CID and what it means",
          .help = "Asks /dev/vsock of the machine that it runs on. Nothing is connected.",
          .options = OPTION_JSON,
          .run = verb_cid },
        { .name = "guid",
          .args = "PORT|GUID",
          .summary = "Turn a vsock port into its Hyper-V service GUID, or back",
          .help = "PORT is a decimal or 0x hex number, GUID one of Hyper-V's form for vsock "
                  "ports,\n"
                  "XXXXXXXX-facb-11e6-bd58-64006a7986d3.",
          .options = OPTION_JSON,
          .min_args = 1,
          .max_args = 1,
          .run = verb_guid },
        { .name = "hyperv",
          .args = "TARGET|--config FILE",
          .summary = "Print what registers an agent's ports on a Hyper-V host",
          .help = "A PowerShell script, or with --reg a file for regedit, for an administrator of\n"
                  "the host. The ports are those that the agent tells, or those of a "
                  "configuration\n"
                  "file.",
          .options = OPTION_TIMEOUT | OPTION_WAIT | OPTION_TOKEN | OPTION_CONFIG | OPTION_REG |
                     OPTION_UNREGISTER,
          .takes_target = true,
          .max_args = 1,
          .run = verb_hyperv },
        { .name = "doctor",
          .args = "",
          .summary = "Check whether vsock works on this machine, and say what to do",
          .help = "Looks at the kernel, its modules and devices, the CID, who could reach an "
                  "agent\n"
                  "here, its configuration and who listens on its ports. For guests and for "
                  "hosts.\n"
                  "Nothing is connected or bound. Exits with 1 if anything fails.",
          .options = OPTION_JSON,
          .run = verb_doctor },
        {},
};

static int set_count(Settings *s, const char *value)
{
        uint64_t count;
        int r;

        r = text_to_u64(value, &count);
        if (r < 0 || count == 0)
                return -EINVAL;
        s->count = count;
        return 0;
}

static int set_interval(Settings *s, const char *value)
{
        uint64_t interval;
        int r;

        r = text_to_usec(value, &interval);
        if (r < 0 || interval < INTERVAL_MIN || interval == TEXT_INFINITY)
                return -EINVAL;
        s->interval = interval;
        return 0;
}

static int set_timeout(Settings *s, const char *value)
{
        uint64_t timeout;
        int r;

        r = text_to_usec(value, &timeout);
        if (r < 0 || timeout == 0)
                return -EINVAL;
        s->timeout = timeout;
        s->timeout_given = true;
        return 0;
}

static int set_wait(Settings *s, const char *value)
{
        uint64_t wait_time = TEXT_INFINITY;
        int r;

        r = value ? text_to_usec(value, &wait_time) : 0;
        if (r < 0)
                return -EINVAL;
        s->wait = true;
        s->wait_time = wait_time;
        return 0;
}

static int set_json(Settings *s, const char *value)
{
        s->json = true;
        return 0;
}

static int set_config(Settings *s, const char *value)
{
        s->config = value;
        return 0;
}

static int set_reg(Settings *s, const char *value)
{
        s->reg = true;
        return 0;
}

static int set_unregister(Settings *s, const char *value)
{
        s->unregister = true;
        return 0;
}

static int set_input(Settings *s, const char *value)
{
        s->input = true;
        return 0;
}

static int set_terminal(Settings *s, const char *value)
{
        s->terminal = true;
        return 0;
}

/* What goes to a guest goes as JSON. */
static bool is_word(const char *value)
{
        return value[0] && text_is_utf8(value, strlen(value));
}

static int set_user(Settings *s, const char *value)
{
        if (!is_word(value))
                return -EINVAL;
        s->user = value;
        return 0;
}

static int set_environment(Settings *s, const char *value)
{
        if (!is_word(value) || value[0] == '=' || !strchr(value, '='))
                return -EINVAL;
        return text_list_take(&s->environment, strdup(value));
}

static int set_directory(Settings *s, const char *value)
{
        if (!is_word(value) || value[0] != '/')
                return -EINVAL;
        s->directory = value;
        return 0;
}

static int set_time_limit(Settings *s, const char *value)
{
        uint64_t limit;
        int r;

        r = text_to_usec(value, &limit);
        if (r < 0 || limit == 0)
                return -EINVAL;
        s->time_limit = limit;
        return 0;
}

static int set_detach(Settings *s, const char *value)
{
        s->detach = true;
        return 0;
}

static int set_recursive(Settings *s, const char *value)
{
        s->recursive = true;
        return 0;
}

static int set_preserve(Settings *s, const char *value)
{
        s->preserve = true;
        return 0;
}

static int set_resume(Settings *s, const char *value)
{
        s->resume = true;
        return 0;
}

static int set_token(Settings *s, const char *value)
{
        if (!value[0])
                return -EINVAL;
        s->token = value;
        return 0;
}

static int set_message(Settings *s, const char *value)
{
        if (!text_is_utf8(value, strlen(value)))
                return -EINVAL;
        s->message = value;
        return 0;
}

static int set_sync(Settings *s, const char *value)
{
        s->sync = true;
        return 0;
}

static int set_help(Settings *s, const char *value)
{
        s->help = true;
        return 0;
}

static int set_version(Settings *s, const char *value)
{
        s->version = true;
        return 0;
}

#define WANTS_NUMBER "number of 1 or more"
#define WANTS_TIME "time, such as 500ms, 10s or 2min"

const Option options[] = {
        { "count", 'c', "N", false, OPTION_COUNT, "Stop after N pings", set_count, WANTS_NUMBER },
        { "interval", 'i', "TIME", false, OPTION_INTERVAL, "From one ping to the next (1s)",
          set_interval, WANTS_TIME },
        { "timeout", 0, "TIME", false, OPTION_TIMEOUT,
          "Give up after TIME (10s), with exit code 124", set_timeout, WANTS_TIME },
        { "timeout", 0, "TIME", false, OPTION_TIME_LIMIT,
          "End the program, or stop waiting for it, after TIME, with exit code 255", set_time_limit,
          WANTS_TIME },
        { "wait", 0, "TIME", true, OPTION_WAIT,
          "Wait until the guest answers, at most TIME if one is given", set_wait, WANTS_TIME },
        { "json", 0, NULL, false, OPTION_JSON, "Print JSON", set_json, NULL },
        { "input", 'i', NULL, false, OPTION_INPUT, "Send our standard input to the program",
          set_input, NULL },
        { "tty", 't', NULL, false, OPTION_TERMINAL, "Give the program a terminal", set_terminal,
          NULL },
        { "user", 'u', "USER", false, OPTION_USER, "Be this user of the guest's", set_user,
          "user's name or number" },
        { "env", 'e', "NAME=VALUE", false, OPTION_ENVIRONMENT,
          "Set a variable of the program's environment", set_environment, "NAME=VALUE" },
        { "chdir", 'C', "DIR", false, OPTION_DIRECTORY, "Run the program in this directory",
          set_directory, "absolute path" },
        { "detach", 0, NULL, false, OPTION_DETACH,
          "Start the program as a job, and print the job's number", set_detach, NULL },
        { "recursive", 'r', NULL, false, OPTION_RECURSIVE,
          "Copy directories, with all that is in them", set_recursive, NULL },
        { "preserve", 'p', NULL, false, OPTION_PRESERVE,
          "Keep owners, modes and times as they are at the source", set_preserve, NULL },
        { "resume", 0, NULL, false, OPTION_RESUME,
          "Keep what arrives of a file that is cut off, and go on with what was kept", set_resume,
          NULL },
        { "config", 0, "FILE", false, OPTION_CONFIG,
          "The agent's configuration, instead of asking it", set_config, "file" },
        { "reg", 0, NULL, false, OPTION_REG, "Print a .reg file instead of PowerShell", set_reg,
          NULL },
        { "unregister", 0, NULL, false, OPTION_UNREGISTER, "Print what removes the ports again",
          set_unregister, NULL },
        { "token", 0, "FILE", false, OPTION_TOKEN,
          "Prove the token in FILE to the agent, and have the agent prove it", set_token, "file" },
        { "message", 'm', "TEXT", false, OPTION_MESSAGE, "Tell TEXT to who is logged in there",
          set_message, "text in UTF-8" },
        { "sync", 0, NULL, false, OPTION_SYNC, "Set the guest's clock by ours", set_sync, NULL },
        { "help", 'h', NULL, false, OPTION_HELP, "Print this help", set_help, NULL },
        { "version", 0, NULL, false, OPTION_VERSION, "Print the version", set_version, NULL },
        {},
};

const Verb *verb_find(const char *name)
{
        for (const Verb *v = verbs; v->name; v++)
                if (strcmp(v->name, name) == 0)
                        return v;
        return NULL;
}

bool verb_takes(const Verb *v, const Option *o)
{
        return ((v->options | OPTION_HELP | OPTION_VERSION) & (unsigned)o->bit) != 0;
}

const Option *option_by_letter(const Verb *v, char letter)
{
        const Option *first = NULL;

        for (const Option *o = options; o->name; o++) {
                if (!o->letter || o->letter != letter)
                        continue;
                if (v && verb_takes(v, o))
                        return o;
                first = first ?: o;
        }
        return first;
}

const Option *option_by_name(const Verb *v, const char *name)
{
        size_t n = strcspn(name, "=");
        const Option *first = NULL;

        for (const Option *o = options; o->name; o++) {
                if (strncmp(o->name, name, n) != 0 || o->name[n])
                        continue;
                if (v && verb_takes(v, o))
                        return o;
                first = first ?: o;
        }
        return first;
}
