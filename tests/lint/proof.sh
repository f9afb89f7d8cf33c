#!/bin/sh
# SPDX-License-Identifier: MIT
#
# PROOF.md names tests: each of them must exist, in the class that it names and, where the head of
# its table names files, in one of these; and each row must name something that can fail.

top=${srcdir:-$(cd "$(dirname "$0")/../.." && pwd)}
cd "$top/tests" || exit 1

# "FILE CLASS TEST", one to a line; a unit test's class is its file.
existing() {
        grep -oE '^static void test_[a-z0-9_]+' unit/test-*.c |
                sed 's|^unit/\(.*\)\.c:static void |unit/\1.c \1 |'
        awk 'FNR == 1 { class = "" }
             /^class / { class = $2; sub(/[(:].*/, "", class) }
             /^    def test_/ && class != "" {
                     name = $2
                     sub(/\(.*/, "", name)
                     print FILENAME, class, name
             }' integration/*.py vm/*.py
}

folder=$(mktemp -d) || exit 1
trap 'rm -rf "$folder"' EXIT
existing >"$folder/existing"
(cd .. && find tests scripts -type f -o -type d) >"$folder/files"

# What a reference looks like, tried from the longest.
wrong=$(awk '
        function say(what) { print "PROOF.md:" FNR ": " what }
        # Whether the head of this table lets its rows speak of that file.
        function permitted(file,    i, n, list) {
                if (heads == "" || file ~ /^unit\//) return 1
                n = split(heads, list, /, */)
                for (i = 1; i <= n; i++)
                        if ("tests/" file == list[i] || file == "integration/" list[i] ||
                            index("tests/" file, list[i] "/") == 1)
                                return 1
                return 0
        }
        # NAME may end in an asterisk; "" stands for any test of the class.
        function look(class, name,    i, begin, found) {
                begin = name
                sub(/\*$/, "", begin)
                for (i = 1; i <= tests; i++)
                        if (classes[i] == class && (names[i] == name || begin == "" ||
                            (begin != name && index(names[i], begin) == 1))) {
                                if (permitted(files[i])) return
                                found = files[i]
                        }
                name = class (name == "" || name == "*" ? "" : ": " name)
                say(found == "" ? name " does not exist" : name " is in " found ", not in " heads)
        }
        function check(text,    i, n, list, class) {
                if (text ~ /^(tests|scripts)\//) {
                        sub(/[.\/]+$/, "", text)
                        if (!(text in there)) say(text " does not exist")
                } else if (text ~ /^test_.*\.py$/) {
                        if (!(("tests/integration/" text) in there)) say(text " does not exist")
                } else if (text ~ /^fuzz-/) {
                        if (!(("tests/fuzz/" text ".c") in there)) say(text " does not exist")
                } else if (text ~ /^test_/) {
                        say(text ": of which file or class?")
                } else if (text !~ /^`/) {
                        class = text
                        sub(/(: |\.).*/, "", class)
                        n = split(substr(text, length(class) + 2), list, /, */)
                        for (i = 1; i <= n; i++) {
                                sub(/^ /, "", list[i])
                                look(class, list[i])
                        }
                        if (n == 0) look(class, "")
                }
        }
        BEGIN {
                name = "test_[a-z0-9_]+[*]?"
                several = name "(, " name ")*"
                reference = "(tests|scripts)/[A-Za-z0-9_./-]+|test_[a-z0-9_]+[.]py|fuzz-[a-z]+" \
                        "|test-[a-z-]+(: " several ")?|[A-Z][A-Za-z0-9]*[.]([*]|" several ")" \
                        "|`make bench`|" name
        }
        FILENAME ~ /existing$/ { files[++tests] = $1; classes[tests] = $2; names[tests] = $3; next }
        FILENAME ~ /files$/ { there[$0] = 1; next }
        /^#/ { heads = "" }
        /^[|] wanted/ {
                heads = ""
                if (match($0, /shown by \(.*\)/)) heads = substr($0, RSTART + 10, RLENGTH - 11)
                next
        }
        /^[|]-/ { next }
        {
                row = /^[|]/
                rest = $0
                if (row) sub(/^.* [|] /, "", rest)
                n = 0
                while (match(rest, reference)) {
                        found = substr(rest, RSTART, RLENGTH)
                        rest = substr(rest, RSTART + RLENGTH)
                        check(found)
                        n++
                }
                if (row && n == 0) say("this row names nothing that can fail")
        }' "$folder/existing" "$folder/files" PROOF.md)

if test -z "$wrong"; then
        echo "ok 1 - every test that PROOF.md names exists, and each row names one"
else
        printf '%s\n' "$wrong" | sed 's/^/# /'
        echo "not ok 1 - every test that PROOF.md names exists, and each row names one"
fi
echo "1..1"
test -z "$wrong"
