import CLinux
import Glibc

/// Page-aligned memory outside the Swift heap, for direct I/O: the kernel may read from it or write to it at any time
/// between a request's submission and its completion.
///
/// The memory lives as long as the object; every request in flight holds the object, so nothing can be freed under the
/// kernel. Who may touch which bytes is decided by the owner (slot states, pipe positions), not by this type.
@safe
package final class DirectBuffer: @unchecked Sendable {
    static let hugePageBytes = 2 << 20
    /// Every write starts on such a multiple: at least the block and the memory alignment of any disk that is opened.
    static let alignmentBytes = 4096

    let sizeBytes: Int
    // SAFETY: `mapping` is one anonymous mapping made in `init` and unmapped in `deinit`; `base` lies in it, 2 MiB-aligned,
    // with `sizeBytes` behind it. Accessors check their bounds against `sizeBytes`.
    private let mapping: UnsafeMutableRawPointer
    private let mappingBytes: Int
    private let base: UnsafeMutableRawPointer

    /// Reserves address space; pages come with the first touch, huge ones where the kernel has them (madvise(2)).
    init(sizeBytes: Int) throws(SystemError) {
        precondition(sizeBytes > 0)
        self.sizeBytes = sizeBytes
        mappingBytes = sizeBytes + Self.hugePageBytes
        let flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE
        guard let area = unsafe mmap(nil, mappingBytes, PROT_READ | PROT_WRITE, flags, -1, 0),
            unsafe area != MAP_FAILED
        else { throw .current }
        unsafe mapping = area
        let address = UInt(bitPattern: area)
        let aligned = (address + UInt(Self.hugePageBytes - 1)) & ~UInt(Self.hugePageBytes - 1)
        unsafe base = area + Int(aligned - address)
        // A refusal costs speed only.
        unsafe madvise(base, sizeBytes, cl_MADV_HUGEPAGE)
    }

    deinit { unsafe munmap(mapping, mappingBytes) }

    /// Brings the pages of a range in, as a first touch would, without changing what is in them: safe beside a thread that
    /// uses them. A kernel that does not know how (before 5.14) refuses, which costs speed only (madvise(2),
    /// MADV_POPULATE_WRITE).
    func populate(_ offset: Int, count: Int) {
        unsafe madvise(address(offset, count: count), count, cl_MADV_POPULATE_WRITE)
    }

    /// Pages that have not been touched yet will be small ones (madvise(2), MADV_NOHUGEPAGE).
    func useSmallPages() { unsafe madvise(base, sizeBytes, cl_MADV_NOHUGEPAGE) }

    /// The address of `offset`, with at least `count` bytes behind it.
    @unsafe
    func address(_ offset: Int, count: Int) -> UnsafeMutableRawPointer {
        precondition(offset >= 0 && count >= 0 && offset <= sizeBytes && count <= sizeBytes - offset)
        return unsafe base + offset
    }

    /// Copies `bytes` to `offset`.
    package func copy(_ bytes: RawSpan, to offset: Int) {
        let target = unsafe address(offset, count: bytes.byteCount)
        unsafe bytes.withUnsafeBytes { source in
            guard let from = source.baseAddress else { return }
            unsafe target.copyMemory(from: from, byteCount: source.count)
        }
    }

    /// Copies within the buffer; the two areas may overlap.
    func move(from source: Int, to target: Int, count: Int) {
        let from = unsafe address(source, count: count)
        let to = unsafe address(target, count: count)
        unsafe memmove(to, from, count)
    }

    func zero(_ offset: Int, count: Int) {
        let target = unsafe address(offset, count: count)
        unsafe memset(target, 0, count)
    }

    /// Whether all these bytes are zero. Looks at the first few, then compares the area with itself, shifted: as fast as
    /// memcmp(3).
    func isZero(_ offset: Int, count: Int) -> Bool {
        let area = unsafe address(offset, count: count)
        let head = min(count, 16)
        for index in 0..<head where unsafe area.load(fromByteOffset: index, as: UInt8.self) != 0 { return false }
        return unsafe memcmp(area, area + head, count - head) == 0
    }

    /// Where what lies at `offset` differs from `bytes`: from the first such byte to the last, counted from `offset`. Nil where
    /// they are the same.
    func difference(_ offset: Int, from bytes: RawSpan) -> Range<Int>? {
        let count = bytes.byteCount
        let area = unsafe address(offset, count: count)
        // SAFETY: both areas hold `count` bytes; every index below stays under it.
        return unsafe bytes.withUnsafeBytes { expected -> Range<Int>? in
            guard let base = expected.baseAddress, unsafe memcmp(area, base, count) != 0 else { return nil }
            func isSame(_ index: Int) -> Bool {
                unsafe area.load(fromByteOffset: index, as: UInt8.self) == base.load(fromByteOffset: index, as: UInt8.self)
            }
            guard let first = (0..<count).first(where: { !isSame($0) }), let last = (0..<count).last(where: { !isSame($0) })
            else { return nil }
            return first..<last + 1
        }
    }

    /// The same for zeros.
    func differenceFromZeros(_ offset: Int, count: Int) -> Range<Int>? {
        if isZero(offset, count: count) { return nil }
        return difference(offset, from: unsafe [UInt8](repeating: 0, count: count).span.bytes)
    }

    /// Reads bytes that nobody is writing.
    func withBytes<Value, Failure: Error>(
        _ offset: Int, count: Int, _ body: (RawSpan) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        let area = unsafe UnsafeRawBufferPointer(start: address(offset, count: count), count: count)
        return try unsafe body(area.bytes)
    }
}
