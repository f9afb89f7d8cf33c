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
        { find src tests scripts -type f ! -name '*.*' ! -path 'tests/fuzz/corpus/*' &&
                packaging; } |
                while read -r f; do
                        test "$(head -c 2 "$f")" != '#!' || echo "$f"
                done
}
leftovers='.*-stamp|autoreconf\..*|.*substvars|.*\.debhelper'
# What is neither code nor test, but for what a package's build leaves. A tarball has no .ci.
packaging() {
        find conf debian docs man rpm selinux systemd -type f ! -path 'debian/guestwire*/*' \
                ! -path 'debian/build/*' ! -path 'debian/tmp/*' ! -path 'debian/.debhelper/*'
        test ! -d .ci || find .ci -type f
}
code() {
        sources
        scripts
}
texts() {
        code
        find tests -type f \( -name '*.in' -o -name '*.conf' \) \
                ! -path 'tests/fuzz/corpus*' ! -path '*/data/*'
        # These have no place for it: their form is another's.
        packaging | grep -vxE "debian/(changelog|copyright|source/format|files|$leftovers)"
        for f in configure.ac Makefile.am README.md HACKING.md NEWS; do
                echo "$f"
        done
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

verdict "the news begin with this version" "$(
        version=$(sed -n '1s/.*(\(.*\)).*/\1/p' debian/changelog)
        news=$(grep -m 1 '^guestwire ' NEWS)
        test "$news" = "guestwire $version" || echo "$news, not $version"
)"

echo "1..$n"
exit $failed
