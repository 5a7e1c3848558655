#!/bin/bash
# The dracut module: streams the image that the kernel's command line names, before the root file system is looked for.
# In an image only where it is asked for: dracut --add stream-disk.

# called by dracut
check() {
    require_binaries stream-disk || return 1
    return 255
}

# called by dracut
depends() {
    # Of the network's handlers, systemd-networkd runs no initqueue/online hooks. dracut takes it where there is no
    # NetworkManager, unless another one was asked for by then: so this module's number is lower than those of all others
    # that depend on the network.
    # shellcheck disable=SC2154 # set by dracut
    if [[ ! -x $dracutsysrootdir/usr/libexec/nm-initrd-generator && ! -x $dracutsysrootdir/usr/lib/nm-initrd-generator ]] &&
        command -v dhclient >/dev/null; then
        echo network-legacy
    fi
    echo network
}

# called by dracut
installkernel() {
    hostonly='' instmods '=drivers/nvme' '=drivers/ata' '=drivers/scsi' '=drivers/net/ethernet' \
        virtio_pci virtio_blk virtio_scsi virtio_net
}

# called by dracut
install() {
    inst_multiple stream-disk sync cat mkdir sleep
    inst_simple /usr/lib/stream-disk/stream-disk-initramfs
    # For https: the authorities that this system trusts.
    inst_simple /etc/ssl/certs/ca-certificates.crt
    # shellcheck disable=SC2154 # set by dracut
    if dracut_module_included systemd; then
        inst_simple "$moddir/stream-disk-pre.target" "$systemdsystemunitdir/stream-disk-pre.target"
        inst_simple "$moddir/stream-disk-post.target" "$systemdsystemunitdir/stream-disk-post.target"
    fi
    inst_hook cmdline 89 "$moddir/stream-disk-cmdline.sh"
    inst_hook initqueue/online 50 "$moddir/stream-disk-online.sh"
    dracut_need_initqueue
}
