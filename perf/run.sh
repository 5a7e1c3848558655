#!/usr/bin/env bash
# Repeats every figure of perf/README.md: builds the images and the alternatives in C, runs each scenario of `bench`, keeps the
# figures of every run as JSON, and makes tables, page and plot from them. See perf/README.md for what each one measures.
set -euo pipefail
export LC_ALL=C PATH="$PATH:/usr/sbin:/sbin"
cd "$(dirname "${BASH_SOURCE[0]}")/.."

all=(before stream writer writer-4096 writer-tmpfs writer-knobs decode decode-frames hash cpu stream-4096 stream-tmpfs window-4m frames
    zeros connections connections-free scaling allocations instructions)
usage() {
    cat <<END
usage: run.sh [options]      (root: loop devices, dropping caches; nobody else should be at work on the machine)

  --short           three rounds of stream and writer with a small image: under three minutes
  --ceilings        allocations and instructions once, and fail where one is above perf/ceilings.json
  --rounds N        counted rounds of each scenario                                  (default 5)
  --mib N           content of the dense image                                       (default 1024)
  --content DIR     program files to fill the images with                            (default /usr)
  --dir DIR         where images and the disks' files lie, on a real disk            (default perf/build)
  --before FILE     compare the stream-disk command of an earlier revision with this tree's, side by side
  --image FILE      use this dense image, made for 512-byte blocks, instead of building one
  --results DIR     where the JSON files go (default perf/results, and then only from a tree without changes;
                    perf/build/short with --short, perf/build/ceilings with --ceilings)
  --only A,B,...    only these scenarios: ${all[*]}
END
}
die() { echo "run.sh: $*" >&2; exit 1; }

short=no ceilings=no rounds='' mib='' content=/usr dir=perf/build image='' results='' only='' before=''
while (($#)); do
    case $1 in
        -h | --help) usage; exit 0 ;;
        --short) short=yes; shift; continue ;;
        --ceilings) ceilings=yes; shift; continue ;;
    esac
    (($# > 1)) || die "$1: a value is missing, or there is no such option (see --help)"
    case $1 in
        --rounds) rounds=$2 ;;
        --mib) mib=$2 ;;
        --content) content=$2 ;;
        --dir) dir=$2 ;;
        --image) image=$2 ;;
        --before) before=$2 ;;
        --results) results=$2 ;;
        --only) only=$2 ;;
        *) die "$1: no such option (see --help)" ;;
    esac
    shift 2
done
((EUID == 0)) || die "this takes root: loop devices, and dropping the page cache"
if [[ $short == yes ]]; then
    : "${rounds:=3}" "${mib:=256}" "${results:=perf/build/short}" "${only:=stream,writer}"
    write_size=512M scan_rounds=1
elif [[ $ceilings == yes ]]; then
    : "${rounds:=1}" "${mib:=256}" "${results:=perf/build/ceilings}" "${only:=allocations,instructions}"
    write_size=512M scan_rounds=1
else
    : "${rounds:=5}" "${mib:=1024}" "${results:=perf/results}" "${only:=$(IFS=,; echo "${all[*]:1}")}"
    write_size=2G scan_rounds=3
fi
[[ -z $before || ,$only, == *,before,* ]] || only=before,$only
IFS=, read -r -a chosen <<<"$only"
for name in "${chosen[@]}"; do [[ " ${all[*]} " == *" $name "* ]] || die "--only $name: no such scenario"; done

# Figures that are kept must be those of a revision that others can build.
if [[ $(realpath -m "$results") == "$(realpath -m perf/results)" ]]; then
    changes=$(git status --porcelain 2>&1) ||
        die "perf/results holds figures of git revisions only, and this is no git tree: give --results"
    [[ -z $changes ]] || die "perf/results holds figures of clean revisions only: commit or stash first, or give --results
$changes"
fi

# --- programs ------------------------------------------------------------------------------------------------------
bench=${BENCH:-.build/release/bench}
[[ -n ${BENCH-} ]] || make --no-print-directory build PRODUCT=bench
# Fresh figures go to a folder of their own first: to write perf/results is a change to the tree.
fresh=perf/build/fresh timelines=perf/build/timelines
rm -rf "$fresh"
mkdir -p "$fresh" "$timelines" "$dir" "$results"
dir=$(realpath "$dir")
read -r -a flags <<<"$(pkg-config --cflags --libs libcurl libzstd libcrypto liburing)"
for program in buffered reference; do
    cc -O2 -Wall -Wextra -o "perf/build/$program" "perf/$program.c" "${flags[@]}" -lpthread
done
cc -O2 -Wall -Wextra -fPIC -shared -o perf/build/count-malloc.so perf/count-malloc.c

# --- images, each built once -----------------------------------------------------------------------------------------
make_image() { # make_image NAME OPTION...: sets the variable `made`; the same options give the same image
    made=$dir/$1.cosi
    if [[ ! -e $made || "$(<"$made.options")" != "${*:2}" ]]; then
        echo "building $1.cosi (${*:2})"
        rm -f "$made" "$made.options"
        TMPDIR=$dir Tests/Images/make-image --out "$made" --random-seed perf "${@:2}"
        echo "${*:2}" >"$made.options"
    fi
}
dense=(--content "$content" --content-mib "$mib" --size "$((mib + mib / 8 + 128))M" --min-file-kib 64 --style customizer)
dense_image() { # into `made`
    if [[ -n $image ]]; then made=$image; else make_image "dense-$mib" "${dense[@]}"; fi
}
# Files that are the same on every machine, half of them compressible.
fixed_content() {
    [[ ! -d $dir/fixed ]] || return 0
    mkdir "$dir/fixed.new"
    local number
    for number in {10..25}; do
        seq "${number}00000" "${number}99999" | head -c 1M >"$dir/fixed.new/numbers-$number"
        head -c 1M /dev/zero | openssl enc -aes-128-ctr -K "${number}000000000000000000000000000000" \
            -iv 00000000000000000000000000000000 >"$dir/fixed.new/noise-$number"
    done
    mv "$dir/fixed.new" "$dir/fixed"
}

# --- scenarios -------------------------------------------------------------------------------------------------------
run() { # run NAME TITLE SCENARIO OPTION...
    echo "== $2"
    local check=()
    [[ $ceilings == no ]] || check=(--check)
    "$bench" "$3" --dir "$dir" --rounds "$rounds" --title "$2" --json "$fresh/$1.json" --timelines "$timelines/$1.json" \
        "${check[@]}" "${@:4}"
}
alternatives=(--with stream-disk --with shell:at-least=2 --with buffered:at-least=4 --with reference:at-least=0.95)

do_stream() {
    dense_image
    run stream "Dense one-frame image onto a loop device with direct I/O" stream --image "$made" "${alternatives[@]}"
}
# The same image through the commands of two revisions: dense, of many frames, and small, where a run's beginning and end count.
do_before() {
    [[ -n $before ]] || die "--only before: --before FILE is missing"
    make --no-print-directory build PRODUCT=stream-disk
    local revisions=(--with "program:label=this tree,path=.build/release/stream-disk"
        --with "program:label=before,path=$before,at-least=0.98")
    dense_image
    run before "This tree and the revision before it: dense image" stream --image "$made" "${revisions[@]}"
    make_image "dense-$mib-frames" "${dense[@]}" --frames $((mib / 16))
    run before-frames "The same, $((mib / 16)) frames" stream --image "$made" "${revisions[@]}"
    fixed_content
    make_image fixed --content "$dir/fixed" --content-mib 40 --size 128M
    run before-small "The same, an image of 40 MiB" stream --image "$made" "${revisions[@]}"
}
do_stream-4096() {
    make_image "dense-$mib-4096" "${dense[@]}" --lba 4096
    run stream-4096 "The same, 4096-byte blocks" stream --image "$made" "${alternatives[@]}"
}
do_stream-tmpfs() {
    dense_image
    run stream-tmpfs "The same, loop device over tmpfs" stream --image "$made" --backing tmpfs "${alternatives[@]}"
}
do_window-4m() {
    make_image "dense-$mib-window-4m" "${dense[@]}" --window-log 22
    local small=$made
    dense_image
    run window-4m "Peak memory with one lane: windows of 4 and 128 MiB" stream --image "$small" \
        --with "stream-disk:label=4 MiB window,lanes=1" --with "stream-disk:label=128 MiB window,lanes=1,image=$made" \
        --memory-beside-windows-at-most 48
}
do_frames() {
    # Frames of about 16 MiB, as tools that write several frames make them.
    make_image "dense-$mib-frames" "${dense[@]}" --frames $((mib / 16))
    local frames=$made
    make_image "dense-$mib-eight-frames" "${dense[@]}" --frames 8
    local eight=$made
    make_image "dense-$mib" "${dense[@]}"
    run frames "The same content in $((mib / 16)) frames, in eight and in one" stream --image "$made" \
        --with "stream-disk:label=$((mib / 16)) frames,image=$frames" \
        --with "stream-disk:label=one frame,at-least=1.25" --with "stream-disk:label=eight frames,image=$eight" \
        --memory-beside-windows-at-most 48
}
do_zeros() {
    make_image "zeros-$mib" --content "$content" --content-mib 32 --data-mib "$mib" --zero-percent 70 \
        --size "$((mib + 256))M" --min-file-kib 64
    run zeros "Image with 70 % zeros onto a disk of 500 MB/s: zeroed by the device, and written" stream --image "$made" \
        --write-limit 500M --with stream-disk --with "stream-disk:label=zeros written,zeros=off,at-least=2" \
        --written-at-most 1.02
    run zeros-fast "The same without a limit: the device is faster than hash and decoder" stream --image "$made" \
        --with stream-disk --with "stream-disk:label=zeros written,zeros=off" --written-at-most 1.02
}
do_connections() {
    dense_image
    run connections "nginx with limit_rate 20m: eight connections and one" stream --image "$made" --limit-rate 20m \
        --with "stream-disk:label=8 connections,connections=8,lanes=1" \
        --with "stream-disk:label=1 connection,connections=1,lanes=1,at-least=7" \
        --memory-beside-windows-at-most 48
}
do_connections-free() {
    dense_image
    run connections-free "nginx without a limit: what more connections cost" stream --image "$made" \
        --with "stream-disk:label=1 connection,connections=1" --with "stream-disk:label=2 connections,connections=2" \
        --with "stream-disk:label=4 connections,connections=4" --with "stream-disk:label=8 connections,connections=8"
}
do_writer() { run writer "Writer alone, loop device with direct I/O" writer --size "$write_size" --scan-rounds "$scan_rounds"; }
do_writer-4096() {
    run writer-4096 "Writer alone, 4096-byte blocks" writer --size "$write_size" --scan-rounds "$scan_rounds" --sector 4096
}
do_writer-tmpfs() {
    run writer-tmpfs "Writer alone, loop device over tmpfs" writer --size "$write_size" --scan-rounds "$scan_rounds" \
        --backing tmpfs
}
do_writer-knobs() {
    run writer-knobs "What each setting of the writer brings" writer --size "$write_size" --with library \
        --with library:file=off \
        --with library:setup=cooperative --with library:setup=plain --with library:setup=polled \
        --with library:setup=pwrite --with library:write=256K --with library:write=512K --with library:write=2M \
        --with library:write=4M,flight=32M --with library:flight=4M --with library:flight=8M --with library:flight=32M \
        --with library:flight=64M
}
do_decode() { dense_image; run decode "Decoder alone" decode --image "$made"; }
do_decode-frames() {
    make_image "dense-$mib-frames" "${dense[@]}" --frames $((mib / 16))
    local frames=$made
    make_image "dense-$mib" "${dense[@]}"
    run decode-frames "The same content in $((mib / 16)) frames and in one: hash and decoder, without server and disk" decode \
        --image "$made" --frames "$frames"
}
do_hash() { dense_image; run hash "SHA-384 alone" hash --image "$made"; }
do_cpu() { dense_image; run cpu "Processor time, against the sum of the parts" cpu --image "$made"; }
do_scaling() {
    # About a hundred frames of 16 MiB: several a lane also where there are sixteen.
    make_image scaling --content "$content" --content-mib 1536 --size 1792M --min-file-kib 64 --style customizer --frames 100
    # One lane takes a minute: three rounds are six minutes.
    run scaling "Lanes on processors of 2.5 % of a core" scaling --image "$made" --percent 2.5 --rounds 3
}
do_allocations() {
    local options=(--content "$content" --content-mib 8 --zero-percent 0 --level 3)
    make_image slots-64 "${options[@]}" --data-mib 64 --size 160M
    local small=$made
    make_image slots-256 "${options[@]}" --data-mib 256 --size 352M
    run allocations "Allocations on the hot path" allocations --small "$small" --large "$made"
}
do_instructions() {
    fixed_content
    make_image fixed --content "$dir/fixed" --content-mib 40 --size 128M
    run instructions "Instructions of one run under callgrind" instructions --image "$made" --rounds 1
}

for name in "${chosen[@]}"; do "do_$name"; done
cp "$fresh"/*.json "$results/"

# --- tables, page, plot ------------------------------------------------------------------------------------------------
reports=() detailed=()
for name in "${all[@]}" before-frames before-small zeros-fast; do
    [[ ! -e $results/$name.json ]] || reports+=("$results/$name.json")
    [[ ! -e $fresh/$name.json ]] || detailed+=("$timelines/$name.json")
done
"$bench" report "${detailed[@]}" --html perf/build/report.html
if [[ $results -ef perf/results ]]; then
    "$bench" report "${reports[@]}" --into perf/README.md --svg "$results/rates.svg"
fi
echo "figures: $results; page: perf/build/report.html"
