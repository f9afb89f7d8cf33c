#!/bin/sh
# SPDX-License-Identifier: MIT
#
# uml.sh COMMAND [ARGUMENT...]: runs a command inside user-mode Linux, where AF_VSOCK is
# real: the loopback transport is loaded, CID 1 is this guest. The guest sees this
# machine's files, read-only; /tmp, /var/tmp and /run are empty there. Output (both streams,
# on standard output) and exit status are passed through; input is /dev/null.
#
# UML_TIMEOUT   seconds until the guest is killed (default 900)
# UML_MEMORY    the guest's memory (default 512M)
# UML_MODULES   the modules inserted at boot; empty for none
# UML_FOLDERS   further folders that must be visible, one a line, if they lie under /tmp
# UML_OUTPUT    a folder of this machine that the guest writes to, there /run/state/output;
#               several guests may share one
#
# UML_INTERACTIVE  not empty: this terminal becomes the guest's
#
# Exit status: the command's; 125 where the guest cannot run here or has crashed, with the
# reason on standard error.

set -u

here=$(cd "$(dirname "$0")" && pwd)
modules=${UML_MODULES-"vsock vmw_vsock_virtio_transport_common vsock_loopback"}

fail() {
        echo "uml.sh: $*" >&2
        exit 125
}

test $# -gt 0 || fail "a command is needed"
command -v linux.uml >/dev/null || fail "linux.uml is missing: apt-get install user-mode-linux"
PATH=$PATH:/usr/sbin:/sbin
command -v insmod >/dev/null || fail "insmod is missing: apt-get install kmod"

# Not below /dev/shm, which may be too small to hold the guest's memory; and the kernel's
# command line, which names the folder, cannot hold spaces.
state=$(TMPDIR=${TMPDIR:-/tmp} mktemp -d) || fail "no temporary folder"
case $state in
*[!A-Za-z0-9/._-]*)
        rmdir "$state"
        state=$(TMPDIR=/tmp mktemp -d) || fail "no temporary folder"
        ;;
esac

uml=
# Reached by the trap.
# shellcheck disable=SC2317
cleanup() {
        trap '' INT TERM HUP
        if test -n "$uml"; then
                # The guest leads a session of its own: all its processes are in one group.
                test ! -s "$state/pid" || kill -KILL -- "-$(cat "$state/pid")" 2>/dev/null
                kill "$uml" 2>/dev/null
                wait "$uml" 2>/dev/null
        fi
        rm -rf "$state"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

quote() {
        for word in "$@"; do
                printf "'%s' " "$(printf '%s' "$word" | sed "s/'/'\\\\''/g")"
        done
}

mkdir "$state/memory"
cp "$here/init.sh" "$state/init" && chmod +x "$state/init"
echo "$modules" >"$state/modules"
{
        pwd
        for folder in "${builddir:-}" "${srcdir:-}" "$here/../.."; do
                if test -n "$folder" && test -d "$folder"; then
                        (cd "$folder" && pwd)
                fi
        done
        test -z "${UML_FOLDERS:-}" || printf '%s\n' "$UML_FOLDERS"
} | sort -u >"$state/folders"
{
        # What belongs to the outside's processes would only mislead those inside.
        (
                unset NOTIFY_SOCKET JOURNAL_STREAM LISTEN_FDS LISTEN_PID TMPDIR \
                        MAKEFLAGS MFLAGS MAKELEVEL DBUS_SESSION_BUS_ADDRESS XDG_RUNTIME_DIR
                export -p
        )
        # shellcheck disable=SC2016 # it is the guest's shell that expands it
        echo 'PATH=$PATH:/usr/sbin:/sbin'
        echo "cd $(quote "$(pwd)")"
        echo "exec $(quote "$@")"
} >"$state/command"
mkdir "$state/output"
if test -n "${UML_OUTPUT:-}"; then
        (cd "$UML_OUTPUT" && pwd) >"$state/shared" || fail "no folder $UML_OUTPUT"
fi
test -z "${UML_INTERACTIVE:-}" || : >"$state/interactive"

# Descriptors 3 and 4 are the guest's second console.
exec 3<&0 4>&1
# shellcheck disable=SC2016 # the inner shell expands it
TMPDIR="$state/memory" timeout ${UML_INTERACTIVE:+--foreground} -k 1 "${UML_TIMEOUT:-900}" \
        sh -c 'echo $$ >"$0/pid"; exec linux.uml "$@"' "$state" \
        "mem=${UML_MEMORY:-512M}" rootfstype=hostfs rootflags=/ ro \
        "init=$state/init" "guestwire.state=$state" quiet panic=-1 \
        con=null con0=null con1=fd:3,fd:4 ssl=null \
        </dev/null >"$state/console" 2>&1 &
uml=$!
# The kernel ends by abort(3), of which the shell would tell.
{ wait "$uml"; } 2>/dev/null
ended=$?
uml=
exec 3<&- 4>&-

if ! test -e "$state/status"; then
        tail -n 20 "$state/console" | sed 's/^/uml.sh: /' >&2
        test ! -e "$state/boot-errors" || sed 's/^/uml.sh: /' "$state/boot-errors" >&2
        if test "$ended" = 124 || test "$ended" = 137; then
                fail "the guest was killed after ${UML_TIMEOUT:-900} s"
        elif test -e "$state/booted"; then
                fail "the guest crashed while the command ran (linux.uml: $ended)"
        fi
        fail "the guest did not boot (linux.uml: $ended)"
fi
test ! -e "$state/boot-errors" || sed 's/^/uml.sh: /' "$state/boot-errors" >&2
exit "$(cat "$state/status")"
