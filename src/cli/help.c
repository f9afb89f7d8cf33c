/* SPDX-License-Identifier: MIT */
#include <stdio.h>
#include <string.h>

#include "cli/output.h"
#include "cli/verb.h"

#define COLUMN_VERBS 34
#define COLUMN_OPTIONS 20

static void print_option(const Option *o)
{
        char text[64];

        snprintf(text, sizeof(text), "--%s%s%s%s", o->name,
                 o->value ? (o->optional ? "[=" : " ") : "", o->value ?: "",
                 o->value && o->optional ? "]" : "");
        if (o->letter)
                printf("  -%c, %-*s%s\n", o->letter, COLUMN_OPTIONS, text, o->summary);
        else
                printf("      %-*s%s\n", COLUMN_OPTIONS, text, o->summary);
}

static void print_heading(const char *text)
{
        printf("\n%s%s%s\n", output_style(STYLE_BOLD), text, output_style(STYLE_OFF));
}

static void print_target(void)
{
        print_heading("TARGET:");
        printf("  21, vsock:CID[:PORT]  a guest by its CID, or local, or host\n"
               "  mux:PATH[:PORT]       a guest behind its VMM's Unix socket (Firecracker, Cloud\n"
               "                        Hypervisor, vhost-device-vsock)\n"
               "  unix:PATH             an agent's Unix socket\n"
               "  tcp:HOST:PORT         an agent on TCP\n"
               "  PORT is 1000 unless given.\n");
}

static void print_all(void)
{
        char text[64];

        printf("guestwire VERB [ARGS...] [OPTIONS...]\n\n"
               "Talk to guestwired, the agent in a virtual machine, from its host.\n");
        print_heading("Verbs:");
        for (const Verb *v = verbs; v->name; v++) {
                snprintf(text, sizeof(text), "%s %s", v->name, v->args);
                printf("  %-*s%s\n", COLUMN_VERBS, text, v->summary);
        }
        print_heading("Options (guestwire VERB --help tells which a verb takes):");
        for (const Option *o = options; o->name; o++)
                print_option(o);
        print_target();
        printf("\nExit codes: 0 done, 1 the guest said no, 2 usage, 3 no connection, 124 timeout;\n"
               "of exec, shell, attach and wait the program's own, or 255.\n"
               "See guestwire(1).\n");
}

void help_print(const Verb *verb)
{
        if (!verb) {
                print_all();
                return;
        }
        printf("guestwire %s%s%s [OPTIONS...]\n\n%s.\n\n%s\n", verb->name, verb->args[0] ? " " : "",
               verb->args, verb->summary, verb->help);
        print_heading("Options:");
        for (const Option *o = options; o->name; o++)
                if (verb_takes(verb, o))
                        print_option(o);
        if (verb->takes_target)
                print_target();
}
