#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Includes point down only: each room of src/ names others as a path, and none above itself
# or beside it. One result for each room.

top=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
cd "$top/src" || exit 1

# The rooms that each room may include.
may() {
        case $1 in
        base) echo base ;;
        io) echo io base ;;
        config) echo config io base ;;
        # io: a call says who is calling.
        rpc) echo rpc io base ;;
        proc) echo proc config io base ;;
        # Frames and the scanner: what goes over the wire is rpc's.
        files) echo files rpc io base ;;
        methods) echo methods files rpc proc config io base ;;
        handlers) echo handlers methods rpc proc config io base ;;
        daemon) echo daemon handlers methods files rpc proc config io base ;;
        cli) echo cli files rpc config io base ;;
        *) echo unknown ;;
        esac
}

n=0
failed=0
verdict() {
        n=$((n + 1))
        if test -z "$2"; then
                echo "ok $n - $1"
        else
                failed=1
                echo "not ok $n - $1"
                printf '%s\n' "$2" | sed 's/^/# /'
        fi
}

for room in *; do
        # A room that has been left may linger as an empty folder.
        test -n "$(find "$room" -name '*.[ch]')" || continue
        allowed=$(may "$room")
        if test "$allowed" = unknown; then
                verdict "$room has a place" "src/$room is in no row of tests/lint/includes.sh"
                continue
        fi
        # config.h and "foo.h" without a room: every include says where it points.
        bad=$(grep -Hn '^[[:space:]]*#[[:space:]]*include[[:space:]]*"' "$room"/*.[ch] |
                awk -v allowed="$allowed" '
                        BEGIN {
                                n = split(allowed, list, " ")
                                for (i = 1; i <= n; i++) ok[list[i]] = 1
                        }
                        {
                                split($0, part, "\"")
                                split(part[2], path, "/")
                                if (!(path[1] in ok)) print
                        }')
        verdict "$room includes only $allowed" "$bad"
done

echo "1..$n"
exit $failed
