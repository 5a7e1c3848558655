/// Lines that wait to be written, in the order in which they were sent, and what is dropped of them when nobody reads.
struct LineQueue {
    /// What becomes of a line when nobody reads.
    enum Kind {
        /// How far a run is: only the latest one waits.
        case progress
        /// Waits while there is room. Then the oldest of its kind go, and one line in their place says how many.
        case note
        /// Always waits. Of these a run has but a few.
        case vital
    }

    struct Entry {
        var text: String
        var kind: Kind
        /// As the sender counts time.
        var seconds: Double
        /// Its place in the order of sending.
        fileprivate var place: UInt64
        /// So many lines were dropped here; 0 for a line of its own.
        var droppedCount = 0
    }

    /// So much may wait; more only where vital lines alone are more.
    static let bytesMax = 1 << 20

    private(set) var bytes = 0
    private var vital = FirstInFirstOut()
    private var notes = FirstInFirstOut()
    private var progress: Entry?
    /// Stands where the last note was that has been dropped.
    private var dropped: Entry?
    private var nextPlace: UInt64 = 0

    var isEmpty: Bool { firstPlace == nil }

    mutating func append(_ text: String, _ kind: Kind, seconds: Double) {
        let entry = Entry(text: text, kind: kind, seconds: seconds, place: nextPlace)
        nextPlace += 1
        bytes += text.utf8.count
        switch kind {
        case .progress:
            dropProgress()
            progress = entry
        case .note: notes.append(entry)
        case .vital: vital.append(entry)
        }
        guard bytes > Self.bytesMax else { return }
        dropProgress()
        while bytes > Self.bytesMax, let note = notes.removeFirst() {
            bytes -= note.text.utf8.count
            let count = (dropped?.droppedCount ?? 0) + 1
            dropped = Entry(text: "", kind: .note, seconds: note.seconds, place: note.place, droppedCount: count)
        }
    }

    mutating func dropProgress() {
        bytes -= progress?.text.utf8.count ?? 0
        progress = nil
    }

    /// The one that was sent before all others that wait.
    mutating func removeFirst() -> Entry? {
        guard let place = firstPlace else { return nil }
        let entry: Entry?
        if dropped?.place == place {
            entry = dropped.take()
        } else if progress?.place == place {
            entry = progress.take()
        } else if notes.first?.place == place {
            entry = notes.removeFirst()
        } else {
            entry = vital.removeFirst()
        }
        bytes -= entry?.text.utf8.count ?? 0
        return entry
    }

    private var firstPlace: UInt64? {
        [dropped?.place, progress?.place, notes.first?.place, vital.first?.place].compactMap { $0 }.min()
    }
}

/// Taking from its front does not move what is behind.
private struct FirstInFirstOut {
    private var entries: [LineQueue.Entry] = []
    private var taken = 0

    var first: LineQueue.Entry? { taken < entries.count ? entries[taken] : nil }

    mutating func append(_ entry: LineQueue.Entry) { entries.append(entry) }

    mutating func removeFirst() -> LineQueue.Entry? {
        guard let entry = first else { return nil }
        entries[taken].text = ""
        taken += 1
        if taken * 2 > entries.count {
            entries.removeFirst(taken)
            taken = 0
        }
        return entry
    }
}
