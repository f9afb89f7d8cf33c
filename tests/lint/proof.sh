#!/bin/sh
# SPDX-License-Identifier: MIT
# PROOF.md names tests: each of them must exist.
: "${srcdir:?}" # of `make check`
cd "$srcdir/tests" || exit 1
missing=
for name in $(grep -oE '\btest_[a-z0-9_]+\b' PROOF.md | sort -u); do
        grep -rqE "\b$name\b" --include='*.c' --include='*.py' unit integration ||
                test -e "integration/$name.py" || missing="$missing $name"
done
for name in $(grep -oE '\btest-[a-z-]+\b' PROOF.md | sort -u); do
        test -e "unit/$name.c" || missing="$missing $name"
done
for name in $(grep -oE '\b[A-Z][A-Za-z]*[a-z]\.(\*|test_)' PROOF.md | sed 's/\..*//' | sort -u); do
        grep -qE "^class $name\b" integration/*.py || missing="$missing $name"
done
if test -z "$missing"; then
        echo "ok 1 - every test that PROOF.md names exists"
else
        echo "# missing:$missing"
        echo "not ok 1 - every test that PROOF.md names exists"
fi
echo "1..1"
