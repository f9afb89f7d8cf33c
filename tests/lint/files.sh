#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What every file must be: licensed in its first lines, of a size to be read, without tabs or
# space at the end of a line.

top=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
cd "$top" || exit 1
# A column is a character, not a byte.
export LC_ALL=C.UTF-8

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

sources() {
        find src tests -name '*.[ch]'
}
# Whatever is interpreted, whether its name or only its first line says so.
scripts() {
        find src tests scripts -type f \( -name '*.py' -o -name '*.sh' \)
        find src tests scripts -type f ! -name '*.*' ! -path 'tests/fuzz/corpus/*' |
                while read -r f; do
                        test "$(head -c 2 "$f")" != '#!' || echo "$f"
                done
}
code() {
        sources
        scripts
}
texts() {
        code
        find tests systemd conf -type f \( -name '*.in' -o -name '*.conf' \) \
                ! -path 'tests/fuzz/corpus*' ! -path '*/data/*'
        echo configure.ac
        echo Makefile.am
}

verdict "every file names its license" "$(texts | while read -r f; do
        head -n 3 "$f" | grep -q 'SPDX-License-Identifier: MIT' || echo "$f"
done)"
verdict "no file is longer than 600 lines" "$(code | while read -r f; do
        lines=$(wc -l <"$f")
        test "$lines" -le 600 || echo "$f: $lines lines"
done)"
verdict "no tabs in C" "$(sources | xargs grep -ln "$(printf '\t')")"
verdict "no space at the end of a line" "$(texts | xargs grep -n '[[:space:]]$' | head -n 20)"
verdict "no line is longer than 100 columns" "$(code | xargs grep -nE '^.{101}' | head -n 20)"

echo "1..$n"
exit $failed
