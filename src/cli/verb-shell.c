/* SPDX-License-Identifier: MIT */
#include <string.h>
#include <unistd.h>

#include "base/text.h"
#include "cli/json.h"
#include "cli/output.h"
#include "cli/program.h"

/* The program is not ours to name: the guest knows the user's shell. */
static json_object *shell_params(const char *user)
{
        static const char *const flags[] = { "login", "raw", "input" };
        _cleanup_json_ json_object *params = json_object_new_object();

        if (!params || program_add_terminal(params) < 0)
                return NULL;
        for (size_t i = 0; i < ELEMENTSOF(flags); i++)
                if (json_object_object_add(params, flags[i], json_object_new_boolean(true)) < 0)
                        return NULL;
        if (user && json_object_object_add(params, "user", json_object_new_string(user)) < 0)
                return NULL;
        return TAKE_PTR(params);
}

int verb_shell(const Verb *verb, char **args, size_t n, const Settings *s)
{
        const ExecStreamSettings settings = {
                .input = EXEC_INPUT_OURS,
                .terminal = true,
                .take_over = isatty(STDIN_FILENO) > 0,
                .pass_signals = isatty(STDIN_FILENO) <= 0,
                .whose = "call",
        };
        _cleanup_(client_freep) Client *c = NULL;
        _cleanup_json_ json_object *params = NULL;
        int r;

        if (n > 1 && (!args[1][0] || !text_is_utf8(args[1], strlen(args[1])))) {
                output_error("a user's name is UTF-8 and not empty");
                return EXIT_USAGE;
        }
        params = shell_params(n > 1 ? args[1] : NULL);
        if (!params) {
                output_error("out of memory");
                return EXIT_PROGRAM;
        }
        r = program_open(args[0], s, &c);
        return r == EXIT_OK ? program_run(c, s, "exec.run", params, &settings) : r;
}
