#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Process 1 of the user-mode Linux that uml.sh boots. The root is the real machine's file
# system, mounted read-only: what a test writes stays in the tmpfs mounts below, and only
# the folder named by guestwire.state=, and the one that is named there, reach the outside.

PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export PATH

mount -t proc proc /proc
# shellcheck disable=SC2013 # words are meant
for word in $(cat /proc/cmdline); do
        case $word in
        guestwire.state=*) state=${word#guestwire.state=} ;;
        esac
done

mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
mkdir -p /dev/pts /dev/shm
mount -t devpts devpts /dev/pts
mount -t tmpfs -o mode=1777 tmpfs /dev/shm
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs -o mode=0755 tmpfs /run
mkdir /run/state /run/kept /run/lock
mount -t hostfs -o "$state" none /run/state
test ! -e /run/state/shared ||
        mount -t hostfs -o "$(cat /run/state/shared)" none /run/state/output

# /tmp becomes a fresh tmpfs, but the source and build folders may lie under it.
n=0
while read -r folder; do
        n=$((n + 1))
        mkdir "/run/kept/$n"
        mount --bind "$folder" "/run/kept/$n"
done </run/state/folders
mount -t tmpfs -o mode=1777 tmpfs /tmp
mount -t tmpfs -o mode=1777 tmpfs /var/tmp
n=0
while read -r folder; do
        n=$((n + 1))
        case $folder in
        /tmp/* | /var/tmp/*)
                mkdir -p "$folder"
                mount --bind "/run/kept/$n" "$folder"
                ;;
        esac
done </run/state/folders

ip link set lo up 2>/dev/null
hostname guest

modules=/usr/lib/uml/modules/$(uname -r)/kernel/net/vmw_vsock
# shellcheck disable=SC2013 # words are meant
for module in $(cat /run/state/modules); do
        insmod "$modules/$module.ko" || echo "insmod $module: $?" >>/run/state/boot-errors
done
# As udev leaves it.
test ! -e /dev/vsock || chmod 0666 /dev/vsock
# Where a test that inserts modules itself finds them.
GUESTWIRE_TEST_MODULES=$modules
export GUESTWIRE_TEST_MODULES

# /dev/tty1 leads to the outside's standard input and output. Raw: bytes pass as they are,
# unless a person sits there.
: >/run/state/booted
if test -e /run/state/interactive; then
        stty sane </dev/tty1
        setsid -c /bin/sh /run/state/command </dev/tty1 >/dev/tty1 2>&1
        echo "$?" >/run/state/status.new
else
        stty raw -echo </dev/tty1
        # Through a pipe, so that no program takes the console for a person's terminal.
        {
                setsid /bin/sh /run/state/command </dev/null
                echo "$?" >/run/state/status.new
        } 2>&1 | cat >/dev/tty1
fi
mv /run/state/status.new /run/state/status
# Wait until the outside has read what was printed.
stty -F /dev/tty1 drain 2>/dev/null
sync
halt -f
