#!/bin/sh
# SPDX-License-Identifier: MIT
#
# shell.sh: a shell inside user-mode Linux, to try things on real AF_VSOCK by hand. See
# uml.sh for what is visible there. Leave it with `exit`.

test -t 0 || {
        echo "shell.sh: needs a terminal; uml.sh runs a single command" >&2
        exit 2
}
settings=$(stty -g)
stty raw -echo
UML_INTERACTIVE=1 UML_TIMEOUT=${UML_TIMEOUT:-infinity} \
        sh "$(dirname "$0")/uml.sh" "${SHELL:-/bin/sh}" -i
status=$?
stty "$settings"
exit "$status"
