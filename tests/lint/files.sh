#!/bin/sh
# SPDX-License-Identifier: MIT
#
# What every file must be: licensed in its first lines, of a size to be read, without tabs or
# space at the end of a line.

top=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
cd "$top" || exit 1

n=0
failed=0
verdict() {
        n=$((n + 1))
        if test -z "$2"; then
                echo "ok $n - $1"
        else
                failed=1
                echo "not ok $n - $1"
                echo "$2" | sed 's/^/# /'
        fi
}

sources() {
        find src tests -name '*.[ch]'
}
texts() {
        sources
        find tests scripts systemd conf -type f \
                \( -name '*.sh' -o -name '*.py' -o -name '*.in' -o -name '*.conf' \) \
                ! -path 'tests/fuzz/corpus*' ! -path '*/data/*'
        find scripts -type f
        echo configure.ac
        echo Makefile.am
}

verdict "every file names its license" "$(texts | sort -u | while read -r f; do
        head -n 3 "$f" | grep -q 'SPDX-License-Identifier: MIT' || echo "$f"
done)"
verdict "no file is longer than 600 lines" "$(sources | while read -r f; do
        lines=$(wc -l <"$f")
        test "$lines" -le 600 || echo "$f: $lines lines"
done)"
verdict "no tabs in C" "$(sources | xargs grep -ln "$(printf '\t')")"
verdict "no space at the end of a line" "$(texts | sort -u | xargs grep -n '[[:space:]]$' | head -n 20)"
verdict "no line of C is longer than 100 columns" "$(sources | xargs grep -nE '^.{101}' | head -n 20)"

echo "1..$n"
exit $failed
