#!/bin/sh
# Hook "cmdline": where an image is named, the network is needed, and the start goes on when the image is on the disk.
if /usr/lib/stream-disk/stream-disk-initramfs wanted; then
    echo 'rd.neednet=1' >/etc/cmdline.d/90-stream-disk.conf
    # shellcheck disable=SC2154 # hookdir is dracut's
    echo '[ -e /run/stream-disk/done ]' >"$hookdir/initqueue/finished/stream-disk.sh"
fi
