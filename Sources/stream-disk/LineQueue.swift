/// Lines waiting to be written, in the order they were sent, and the rule for what is dropped when nobody reads.
struct LineQueue {
    /// What happens to a line when nobody reads.
    enum Kind {
        /// The progress of a run: only the latest one waits.
        case progress
        /// Waits while there is room. Otherwise the oldest of this kind are dropped, and one line in their place says how many.
        case note
        /// Always waits. A run has only a few of these.
        case vital
    }

    struct Entry {
        var text: String
        var kind: Kind
        /// On the sender's clock.
        var seconds: Double
        /// Its position in the order of sending.
        fileprivate var place: UInt64
        /// How many lines were dropped here; 0 for a line that was sent.
        var droppedCount = 0
    }

    /// The maximum that may wait; exceeded only if the vital lines alone exceed it.
    static let bytesMax = 1 << 20

    private(set) var bytes = 0
    private var vital = FirstInFirstOut()
    private var notes = FirstInFirstOut()
    private var progress: Entry?
    /// Takes the place of the last note that was dropped.
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

    /// The line that was sent first of all that wait.
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

/// A queue that removes from its front without moving the rest.
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
