import CosiFormat

/// Six bytes that say of which disk, then the bytes of a primary region. Both CRCs are put right first unless a bit says no.
@c(LLVMFuzzerTestOneInput)
func testOneInput(_ data: UnsafePointer<UInt8>?, _ count: Int) -> CInt {
    var input = unsafe FuzzInput(data, count)
    let flags = input.byte()
    let blockBytes = flags & 1 == 0 ? 512 : 4096
    // Up to 2^63 bytes: a mantissa and a shift.
    let diskBytes = input.number(bytes: 3) << (UInt64(input.byte()) % 64)
    let surplus = UInt64(input.byte()) << 9
    var bytes = input.bytes
    if flags & 2 == 0 { GPTSeal.seal(&bytes, blockBytes: blockBytes) }
    guard let (gpt, _) = try? GPT.parse(primary: bytes, blockBytes: blockBytes, diskSizeBytes: diskBytes) else { return 0 }
    var last: UInt64 = 0
    for partition in gpt.partitions.sorted(by: { $0.firstLBA < $1.firstLBA }) {
        require(partition.firstLBA > last && partition.lastLBA >= partition.firstLBA, "partitions overlap")
        require(partition.offsetBytes + partition.sizeBytes < diskBytes, "a partition outside the disk")
        require(partition.offsetBytes >= UInt64(bytes.count), "a partition over the table")
        last = partition.lastLBA
    }
    for device in [diskBytes, diskBytes &+ surplus, diskBytes &+ 1 << 41, UInt64(Int64.max), .max, diskBytes &- 1, 0] {
        guard let placement = try? gpt.placement(onDeviceOf: device) else {
            require(device / UInt64(blockBytes) < gpt.diskBlocks, "no place on a disk that is large enough")
            continue
        }
        let usable = device / UInt64(blockBytes) * UInt64(blockBytes)
        require(placement.mbr.count == blockBytes && placement.mbr.elementsEqual(bytes.prefix(blockBytes)), "another block 0")
        require(placement.backupOffsetBytes + UInt64(placement.backup.count) == usable, "a backup not at the end")
        // The primary that is written is one that is read again, on a disk of this size.
        let region = placement.mbr + placement.primary
        require(
            (try? GPT.parse(primary: region, blockBytes: blockBytes, diskSizeBytes: usable).0)?.partitions == gpt.partitions,
            "what is written is not accepted")
    }
    return 0
}
