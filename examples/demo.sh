#!/usr/bin/env bash
# Streams a sample image over HTTP onto a disk, and proves with other people's tools that all of it arrived.
# Touches nothing but a temporary folder and, as root, a loop device of its own. Run by: make demo
set -euo pipefail
export PATH="$PATH:/usr/sbin:/sbin"
cd "$(dirname "${BASH_SOURCE[0]}")/.."
stream_disk=${STREAM_DISK:-.build/release/stream-disk}
[[ -x $stream_disk ]] || { echo "demo: there is no $stream_disk: run 'make demo'" >&2; exit 1; }

work=$(mktemp -d "${TMPDIR:-/tmp}/stream-disk-demo.XXXXXX")
server='' loop='' mounted=''
cleanup() {
    [[ -z $mounted ]] || umount "$mounted" || true
    [[ -z $loop ]] || losetup --detach "$loop" || true
    [[ -z $server ]] || { kill "$server" && wait "$server"; } 2>/dev/null || true
    rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

step() { printf '\n== %s\n' "$*"; }
now() { date +%s.%N; }
image=$work/image.cosi manifest=$work/manifest.json
field() { jq -r "$1" "$manifest"; }

step "1. A sample image: an ESP and an ext4 root with files of this machine, made with fdisk, mkfs, zstd and tar"
Tests/Images/make-image --out "$image" --manifest "$manifest" --size 320M --esp-mib 64 --level 6
field '"   \(.regions | length) partitions on a disk of \(.diskSize / 1048576) MiB, " +
    "metadata.json has the hash sha384:\(.metadataSha384[:16])…"'
echo "   the image file: $(($(stat -c %s "$image") / 1048576)) MiB"
"$stream_disk" inspect "$image"

step "2. A web server: nginx on the loopback interface"
mkdir "$work/server" "$work/www"
ln "$image" "$work/www/image.cosi"
Tests/Images/serve-dir "$work/www" "$work/server" &
server=$!
until [[ -s $work/server/url ]]; do
    kill -0 "$server" 2>/dev/null || { echo "demo: nginx did not start" >&2; exit 1; }
    sleep 0.05
done
url=$(<"$work/server/url")/image.cosi
curl --silent --show-error --fail --head --retry 20 --retry-delay 1 --retry-connrefused "$url" >/dev/null
echo "   $url"

disk_bytes=$(($(field .diskSize) + 64 * 1048576))
head -c "$disk_bytes" /dev/urandom >"$work/disk"
disk=$work/disk
disk_text="$((disk_bytes / 1048576)) MiB, 64 more than the image's, full of random bytes"
if ((EUID == 0)) && loop=$(losetup --find --show --partscan --direct-io=on "$work/disk" 2>/dev/null); then
    disk=$loop
    step "3. A disk: loop device $loop, $disk_text"
else
    loop=''
    step "3. A disk: no loop device (that takes root), so a file of $disk_text"
fi

step "4. Stream it: fetch, check the hashes, decompress and write, all at once"
command=("$stream_disk" stream "$url" --disk "$disk" --hash "sha384:$(field .metadataSha384)" --yes)
echo "   ${command[*]}"
started=$(now)
"${command[@]}"
seconds=$(awk -v from="$started" -v to="$(now)" 'BEGIN { printf "%.2f", to - from }')
field "[.gpt, .regions[]] | map(.uncompressedSize) | add | . / 1048576 |
    \"   \(. | round) MiB onto the disk in $seconds s: \(. / $seconds | round) MiB/s\""

step "5. Proof: the bytes, the partition table and the file systems, with sha256sum, sgdisk, sfdisk and fsck"
Tests/Images/check-disk "$manifest" "$disk" | sed 's/^/   /'

step "6. Proof: the files in the root file system against the files they were made from"
offset=$(field '.regions[] | select(.name == "root") | .offset')
length=$(field '.regions[] | select(.name == "root") | .uncompressedSize')
root=$work/root
mkdir "$root"
if [[ -n $loop ]] &&
    mount -t ext4 -o "ro,loop,offset=$offset,sizelimit=$length" "$loop" "$root" 2>"$work/mount.log"; then
    mounted=$root
    echo "   mounted $loop at offset $offset"
else
    echo "   taken out of the disk at offset $offset with debugfs, which needs no root"
    dd if="$disk" of="$work/root.img" iflag=skip_bytes,count_bytes skip="$offset" count="$length" bs=1M status=none
    debugfs -R "rdump / $root" "$work/root.img" 2>"$work/debugfs.log"
fi
files=0 different=0
while IFS= read -r -d '' file; do
    if [[ -L $root/$file ]]; then
        [[ $(readlink "$root/$file") == "$(readlink "/$file")" ]] || different=$((different + 1))
    else
        cmp -s "$root/$file" "/$file" || different=$((different + 1))
    fi
    files=$((files + 1))
done < <(cd "$root" && find . \( -type f -o -type l \) -printf '%P\0')
echo "   $files files compared, $different different"
((files > 0 && different == 0)) || { echo "demo: the files are not what they should be" >&2; exit 1; }

step "Done: the image is on the disk, every byte of it. Cleaning up."
