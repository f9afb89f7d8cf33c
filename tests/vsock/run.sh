#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Runs tests/integration over real AF_VSOCK in user-mode Linux, all in one guest, and passes
# the results on as one TAP stream. Where that guest cannot run here, all of it is skipped,
# loudly; with MUST_RUN=1 that is a failure.

set -u

here=$(cd "$(dirname "$0")" && pwd)
srcdir=${srcdir:-$(cd "$here/../.." && pwd)}
builddir=${builddir:-$PWD}
python=${PYTHON:-/usr/bin/python3}
export srcdir builddir

give_up() {
        if test "${MUST_RUN:-}" = 1; then
                echo "Bail out! $*"
                exit 1
        fi
        echo "1..0 # SKIP $*"
        exit 0
}

command -v linux.uml >/dev/null || give_up "linux.uml is missing (Debian: user-mode-linux)"
PATH=$PATH:/usr/sbin:/sbin
command -v insmod >/dev/null || give_up "insmod is missing (Debian: kmod)"
test -x "$builddir/guestwired" || give_up "$builddir/guestwired is missing"
if grep -q __asan_init "$builddir/guestwired"; then
        give_up "AddressSanitizer's shadow memory cannot be mapped in user-mode Linux"
fi

output=$(mktemp -d) || exit 1
trap 'rm -rf "$output"' EXIT
trap 'exit 143' INT TERM HUP

# What the guest runs: each file's TAP and exit status go to the outside's folder as it ends.
# shellcheck disable=SC2016
inside='
        export GUESTWIRE_TEST_TRANSPORT=vsock
        # First what takes modules out: sockets of other tests can hold them for minutes.
        for test in "$srcdir"/tests/integration/test_vsock.py \
                "$srcdir"/tests/integration/test_[!v]*.py; do
                name=$(basename "$test" .py)
                "$PYTHON" -B "$test" >"/run/state/output/$name.tap" 2>&1 </dev/null
                echo $? >"/run/state/output/$name.status"
        done'
PYTHON=$python UML_OUTPUT=$output UML_TIMEOUT=${UML_TIMEOUT:-2400} UML_MEMORY=1G \
        sh "$here/uml.sh" sh -c "$inside" >"$output/console" 2>&1
status=$?

# The guest wrote all it had to say or there is no verdict.
for test in "$srcdir"/tests/integration/test_*.py; do
        name=$(basename "$test" .py)
        if ! test -s "$output/$name.status"; then
                sed 's/^/# /' "$output/console"
                test ! -e "$output/$name.tap" || sed 's/^/# /' "$output/$name.tap"
                # A guest that never came up may be skipped; one that fell over may not.
                if test "$status" = 125 && ! ls "$output"/*.tap >/dev/null 2>&1; then
                        give_up "$(tail -n 1 "$output/console")"
                fi
                echo "Bail out! no result of $name (uml.sh: $status)"
                exit 1
        fi
done

for test in "$srcdir"/tests/integration/test_*.py; do
        name=$(basename "$test" .py)
        echo "@ $name $(cat "$output/$name.status")"
        cat "$output/$name.tap"
done | awk '
        function finish() {
                if (file != "" && (planned < 0 || ran != planned || (status != 0 && !failed))) {
                        n++
                        failures++
                        printf "not ok %d - %s is complete\n", n, file
                        printf "# planned %d, ran %d, exit status %d\n", planned, ran, status
                }
        }
        /^@ / { finish(); file = $2; status = $3; planned = -1; ran = 0; failed = 0; next }
        /^1\.\.[0-9]+/ { planned = substr($1, 4) + 0; next }
        /^(not )?ok [0-9]+/ {
                ran++
                n++
                bad = ($1 == "not")
                if (bad) { failed = 1; failures++ }
                sub(/^(not )?ok [0-9]+( - )?/, "")
                printf "%s %d - vsock: %s: %s\n", bad ? "not ok" : "ok", n, file, $0
                next
        }
        /^Bail out!/ {
                failed = 1
                failures++
                n++
                printf "not ok %d - %s: %s\n", n, file, $0
                next
        }
        { print (/^#/ ? "" : "# ") $0 }
        END { finish(); printf "1..%d\n", n; exit failures > 0 }'
