#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Runs tests/integration over real AF_VSOCK in user-mode Linux, in as many guests as there are
# CPUs up to two, since each guest has one. Passes the results on as one TAP stream. Where no
# guest can run here, all of it is skipped, loudly; with MUST_RUN=1 that is a failure.
#
# UML_GUESTS   how many guests

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

guests=${UML_GUESTS:-$(nproc)}
test -n "${UML_GUESTS:-}" || test "$guests" -le 2 || guests=2

output=$(mktemp -d) || exit 1
case $output in
*[!A-Za-z0-9/._-]*) # A mount option inside of the guests.
        rmdir "$output"
        output=$(TMPDIR=/tmp mktemp -d) || exit 1
        ;;
esac
running=
cleanup() {
        for pid in $running; do
                kill "$pid" 2>/dev/null
        done
        # Their folders are theirs to remove.
        wait
        rm -rf "$output"
}
trap cleanup EXIT
trap 'exit 143' INT TERM HUP

# First what takes modules out: sockets of other tests can hold them for minutes. Then what takes
# longest, so that all guests end at the same time.
order="test_vsock test_token test_forward_pressure test_methods test_cli_streams test_file_streams"
for test in "$srcdir"/tests/integration/test_*.py; do
        name=$(basename "$test" .py)
        case " $order " in
        *" $name "*) ;;
        *) order="$order $name" ;;
        esac
done
export order

# What each guest runs: of the files that no other has taken the next. Its TAP and exit status go
# to the outside's folder as it ends.
# shellcheck disable=SC2016
inside='
        export GUESTWIRE_TEST_TRANSPORT=vsock
        cd /run/state/output || exit 1
        for name in $order; do
                mkdir "$name.taken" 2>/dev/null || continue
                begin=$(date +%s)
                (cd "$OLDPWD" && "$PYTHON" -B "$srcdir/tests/integration/$name.py") \
                        >"$name.tap" 2>&1 </dev/null
                echo $? >"$name.status"
                echo "# $name: $(($(date +%s) - begin)) s" >"$name.time"
        done'
guest=0
while test "$guest" -lt "$guests"; do
        guest=$((guest + 1))
        PYTHON=$python UML_OUTPUT=$output UML_TIMEOUT=${UML_TIMEOUT:-2400} UML_MEMORY=1G \
                sh "$here/uml.sh" sh -c "$inside" >"$output/console.$guest" 2>&1 &
        running="$running $!"
done
guest=0
booted=
for pid in $running; do
        guest=$((guest + 1))
        wait "$pid"
        status=$?
        if test "$status" != 0; then
                echo "# guest $guest of $guests: exit status $status"
                sed 's/^/# /' "$output/console.$guest"
        fi
        # A guest that never came up may be skipped; one that fell over may not.
        test "$status" = 125 || booted=1
done
running=

# The guests wrote all they had to say or there is no verdict.
for name in $order; do
        if ! test -s "$output/$name.status"; then
                if test -z "$booted" && ! ls "$output"/*.taken >/dev/null 2>&1; then
                        give_up "$(tail -n 1 "$output/console.1")"
                fi
                test ! -e "$output/$name.tap" || sed 's/^/# /' "$output/$name.tap"
                echo "Bail out! no result of $name"
                exit 1
        fi
done
cat "$output"/*.time

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
