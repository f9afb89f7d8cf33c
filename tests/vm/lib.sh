# SPDX-License-Identifier: MIT
# shellcheck shell=sh disable=SC2034,SC2154
#
# What the scripts of the guest laboratory share. Sourced, with $here set to this folder.

top=$(cd "$here/../.." && pwd)
PATH=$PATH:/usr/sbin:/sbin
LC_ALL=C.UTF-8
export PATH LC_ALL

# Everything that takes long to make is kept here, under the hash of what it is made of.
if test -n "${BUILD_ROOT:-}"; then
        cache=$BUILD_ROOT/vm
else
        cache=${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/guestwire/vm
fi
mkdir -p "$cache" && cache=$(cd "$cache" && pwd) || exit 1

# fail REASON: exit status 77 says "not here", as opposed to "broken".
fail() {
        echo "$(basename "$0"): $1" >&2
        exit "${2:-77}"
}

need() {
        for program in "$@"; do
                command -v "$program" >/dev/null || fail "$program is missing"
        done
}

# One at a time makes what others then find.
lock() {
        exec 9>"$cache/$1.lock"
        flock 9
}

hash() {
        sha256sum | cut -c 1-16
}

# tree_files: the files of a checkout, whoever owns it, or of an unpacked tarball.
tree_files() (
        cd "$top" || exit 1
        if git -c safe.directory="$top" rev-parse --git-dir >/dev/null 2>&1; then
                git -c safe.directory="$top" ls-files -co --exclude-standard
        else
                find . -type f | cut -c 3-
        fi | while read -r file; do
                test ! -f "$file" || echo "$file"
        done | sort
)

# forget PREFIX KEPT: of what is named so, all but the newest three and the kept one go.
forget() {
        find "$cache" -maxdepth 1 -name "$1*" ! -name '*.lock' -printf '%T@ %p\n' | sort -rn |
                tail -n +4 | cut -d ' ' -f 2- | grep -vxF "$2" |
                while read -r old; do rm -rf "$old"; done
}

# laboratory: what lab.py wants to know. Ends the script where there can be none.
laboratory() {
        need qemu-system-x86_64 debugfs ssh ssh-keygen python3
        VM_DEVICE=$("$here/device") || exit
        VM_IMAGE=$("$here/image") || exit
        export VM_DEVICE VM_IMAGE
}
