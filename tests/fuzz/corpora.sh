#!/bin/sh
# SPDX-License-Identifier: MIT
# Replays each fuzzer's corpus, as one TAP stream: what a fuzzer once found stays found.
: "${srcdir:?}" "${builddir:?}" # of `make check`
n=0
for harness in address config frame raw record scan session; do
        corpus="$srcdir/tests/fuzz/corpus/$harness"
        log="tests/fuzz/fuzz-$harness.replay"
        mkdir -p tests/fuzz
        "$builddir/tests/fuzz/fuzz-$harness" "$corpus" >"$log" 2>&1
        status=$?
        files=$(find "$corpus" -type f ! -name '.*' | wc -l)
        done=$(grep -c '^ok ' "$log")
        n=$((n + 1))
        if [ "$status" -eq 0 ] && [ "$files" -gt 0 ] && [ "$done" -eq "$files" ]; then
                echo "ok $n - $harness: $files files"
                rm -f "$log"
        else
                sed 's/^/# /' "$log"
                echo "not ok $n - $harness: $done of $files files, exit status $status"
        fi
done
echo "1..$n"
