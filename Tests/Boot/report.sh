#!/bin/sh
# Runs in the system that was written: says on the console what it is and what it lies on, then powers off.
exec </dev/null 2>&1
disk=/dev/$(lsblk -no PKNAME "$(findmnt -no SOURCE /)")
echo "REPORT begin at $(cut -d ' ' -f 1 /proc/uptime) s"
echo "machine-id $(cat /etc/machine-id)"
echo "root $(findmnt -no SOURCE,FSTYPE,OPTIONS /)"
lsblk -b -o NAME,SIZE,LOG-SEC,PARTUUID,PARTLABEL,FSTYPE,MOUNTPOINT "$disk" | sed 's/^/lsblk /'
sgdisk -v "$disk" | sed 's/^/sgdisk /'
sha256sum --quiet -c /etc/boot-test/files && echo "files $(wc -l </etc/boot-test/files) OK"
echo "data $(head -c "$(cat /etc/boot-test/data-bytes)" /dev/disk/by-partlabel/data | sha256sum | cut -d ' ' -f 1)"
echo "root-bytes $(findmnt -bno SIZE /)"
systemctl list-units --failed --no-legend
echo "failed-units $(systemctl list-units --failed --no-legend | wc -l)"
echo "REPORT end"
systemctl --no-block poweroff
