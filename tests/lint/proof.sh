#!/bin/sh
# SPDX-License-Identifier: MIT
# PROOF.md names tests: each of them must exist, and in the file or the class that it names.
: "${srcdir:?}" # of `make check`
cd "$srcdir/tests" || exit 1
missing=
for name in $(grep -oE '\btest_[a-z0-9_]+\b' PROOF.md | sort -u); do
        grep -rqE "\b$name\b" --include='*.c' --include='*.py' unit integration vm ||
                test -e "integration/$name.py" || test -e "vm/$name.py" || missing="$missing $name"
done
for name in $(grep -oE '\btest-[a-z-]+\b' PROOF.md | sort -u); do
        test -e "unit/$name.c" || missing="$missing $name"
done
for name in $(grep -oE '\b[A-Z][A-Za-z]*[a-z]\.(\*|test_)' PROOF.md | sed 's/\..*//' | sort -u); do
        grep -qE "^class $name\b" integration/*.py vm/*.py || missing="$missing $name"
done

# "FILE: a, b" and "Class.a, b", one to a line, against what there is.
named() {
        grep -oE '(\btest-[a-z-]+: |\b[A-Z][A-Za-z]*\.)test_[a-z0-9_]+\b(, test_[a-z0-9_]+\b)*' PROOF.md |
                awk '{
                        split($0, part, /(: |\.)test_/)
                        n = split(substr($0, length(part[1]) + 2), name, /, */)
                        for (i = 1; i <= n; i++) { sub(/^ /, "", name[i]); print part[1] "." name[i] }
                }' | sort -u
}
existing() {
        grep -oE '^static void test_[a-z0-9_]+' unit/test-*.c |
                sed 's|^unit/\(.*\)\.c:static void |\1.|'
        awk 'FNR == 1 { class = "" }
             /^class / { class = $2; sub(/[(:].*/, "", class) }
             /^    def test_/ && class != "" { name = $2; sub(/\(.*/, "", name); print class "." name }' \
                integration/*.py vm/*.py
}
folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
existing | sort -u >"$folder/existing"
missing="$missing $(named | comm -23 - "$folder/existing" | tr '\n' ' ')"
missing=$(echo $missing)

if test -z "$missing"; then
        echo "ok 1 - every test that PROOF.md names exists"
else
        echo "# missing: $missing"
        echo "not ok 1 - every test that PROOF.md names exists"
fi
echo "1..1"
