#!/bin/sh
# Hook "initqueue/online", called for each network device that is up: the first one streams. A failure ends in the emergency
# shell, and nothing is tried again by itself: leaving that shell goes on without an image.
type emergency_shell >/dev/null 2>&1 || . /lib/dracut-lib.sh

# systemd_target NAME: starts it, with the units that want it, and waits for them.
systemd_target() {
    [ ! -d /run/systemd/system ] || systemctl start "$1"
}

if [ ! -e /run/stream-disk/started ] && /usr/lib/stream-disk/stream-disk-initramfs wanted; then
    mkdir -p /run/stream-disk
    : >/run/stream-disk/started
    # Disks that udev has not finished with could not be judged.
    udevadm settle --timeout=30
    if ! systemd_target stream-disk-pre.target; then
        emergency_shell -n stream-disk "stream-disk: failed: a unit that stream-disk-pre.target requires failed"
    elif ! /usr/lib/stream-disk/stream-disk-initramfs stream; then
        emergency_shell -n stream-disk "stream-disk failed: the line above says why"
    elif ! systemd_target stream-disk-post.target; then
        emergency_shell -n stream-disk "stream-disk: failed: a unit that stream-disk-post.target requires failed"
    elif ! /usr/lib/stream-disk/stream-disk-initramfs finish; then
        emergency_shell -n stream-disk "stream-disk failed: the line above says why"
    fi
    udevadm settle --timeout=30
    : >/run/stream-disk/done
fi
