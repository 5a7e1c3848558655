import CLinux
import Glibc

/// Page-aligned memory outside the Swift heap for direct I/O. The kernel may read or write it at any time between the
/// submission of a request and its completion.
///
/// The memory lives as long as the object. Every request in flight holds the object, so memory is never freed while the kernel
/// uses it. The owner, not this type, decides who may access which bytes (slot states, pipe positions).
@safe
package final class DirectBuffer: @unchecked Sendable {
    static let hugePageBytes = 2 << 20
    /// Every write starts at a multiple of this. It is at least the block size and memory alignment of any disk that is opened.
    static let alignmentBytes = 4096

    package let sizeBytes: Int
    // SAFETY: `mapping` is one anonymous mapping made in `init` and unmapped in `deinit`; `base` is 2 MiB-aligned inside it,
    // followed by `sizeBytes` bytes. Accessors check their bounds against `sizeBytes`.
    private let mapping: UnsafeMutableRawPointer
    private let mappingBytes: Int
    private let base: UnsafeMutableRawPointer

    /// Reserves address space. Pages are allocated on first touch, huge ones if the kernel has them (madvise(2)).
    package init(sizeBytes: Int) throws(SystemError) {
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
        // If the kernel refuses, only speed is lost.
        unsafe madvise(base, sizeBytes, cl_MADV_HUGEPAGE)
    }

    deinit { unsafe munmap(mapping, mappingBytes) }

    /// Prefaults the pages of a range without changing their contents, so it is safe while another thread uses them. A kernel
    /// before 5.14 refuses, which only costs speed (madvise(2), MADV_POPULATE_WRITE).
    func populate(_ offset: Int, count: Int) {
        unsafe madvise(address(offset, count: count), count, cl_MADV_POPULATE_WRITE)
    }

    /// Pages not yet touched will be small (madvise(2), MADV_NOHUGEPAGE).
    func useSmallPages() { unsafe madvise(base, sizeBytes, cl_MADV_NOHUGEPAGE) }

    /// The address of `offset`, followed by at least `count` valid bytes.
    @unsafe
    package func address(_ offset: Int, count: Int) -> UnsafeMutableRawPointer {
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

    /// Copies within the buffer; the ranges may overlap.
    package func move(from source: Int, to target: Int, count: Int) {
        let from = unsafe address(source, count: count)
        let to = unsafe address(target, count: count)
        unsafe memmove(to, from, count)
    }

    package func zero(_ offset: Int, count: Int) {
        let target = unsafe address(offset, count: count)
        unsafe memset(target, 0, count)
    }

    /// Whether all these bytes are zero. Checks the first few, then compares the range with itself, shifted: as fast as
    /// memcmp(3).
    package func isZero(_ offset: Int, count: Int) -> Bool {
        let area = unsafe address(offset, count: count)
        let head = min(count, 16)
        for index in 0..<head where unsafe area.load(fromByteOffset: index, as: UInt8.self) != 0 { return false }
        return unsafe memcmp(area, area + head, count - head) == 0
    }

    /// The range, relative to `offset`, from the first to the last byte that differs from `bytes`; nil if all are equal.
    func difference(_ offset: Int, from bytes: RawSpan) -> Range<Int>? {
        let count = bytes.byteCount
        let area = unsafe address(offset, count: count)
        // SAFETY: both ranges hold `count` bytes, and every index below is less than that.
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

    /// The same, compared with zeros.
    func differenceFromZeros(_ offset: Int, count: Int) -> Range<Int>? {
        if isZero(offset, count: count) { return nil }
        return difference(offset, from: unsafe [UInt8](repeating: 0, count: count).span.bytes)
    }

    /// Reads bytes that no thread is writing.
    package func withBytes<Value, Failure: Error>(
        _ offset: Int, count: Int, _ body: (RawSpan) throws(Failure) -> Value
    ) throws(Failure) -> Value {
        let area = unsafe UnsafeRawBufferPointer(start: address(offset, count: count), count: count)
        return try unsafe body(area.bytes)
    }
}
