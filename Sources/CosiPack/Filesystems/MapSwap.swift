/// Swap space: its header alone, in the first page. UUID and label stand in it (linux/swap.h, mkswap(8)).
///
/// The magic lies at the end of the page, whose size depends on the machine: up to 64 KiB.
func mapSwap(_ reader: PartitionReader, _ used: inout UsedBytes) throws(MapFailure) {
    let magic = Array("SWAPSPACE2".utf8)
    for pageBytes in [4096, 8192, 16384, 32768, 65536] as [UInt64] where pageBytes <= reader.sizeBytes {
        guard try reader.read(pageBytes - 10, count: 10) == magic else { continue }
        // A page size of 64 KiB at most, and nothing after the header is read by the kernel.
        used.add(0, pageBytes)
        return
    }
    throw .unknown("this form of swap space")
}
