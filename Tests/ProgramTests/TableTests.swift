import Testing

@testable import TestSupport
@testable import stream_disk

@Suite("Tables for people")
struct TableTests {
    private func table() -> Table {
        var table = Table(["disk", "size", "candidate"])
        table.add(["/dev/sda", "1.0 TiB", "yes"])
        table.add(["/dev/nvme0n1", "931.5 GiB", "no: in use: nvme0n1p2 is mounted on /; removable, used only when named"])
        return table
    }

    @Test("Where nobody counts columns each row is one line") func plain() {
        #expect(
            table().lines() == [
                "disk          size       candidate",
                "/dev/sda      1.0 TiB    yes",
                "/dev/nvme0n1  931.5 GiB  no: in use: nvme0n1p2 is mounted on /; removable, used only when named",
            ])
    }

    @Test("A last cell that does not fit is wrapped in its column") func wrappedCell() {
        #expect(
            table().lines(columns: 60) == [
                "disk          size       candidate",
                "/dev/sda      1.0 TiB    yes",
                "/dev/nvme0n1  931.5 GiB  no: in use: nvme0n1p2 is mounted on",
                "                         /; removable, used only when named",
            ])
    }

    @Test("Where its column is narrow it stands below its row") func below() {
        #expect(
            table().lines(columns: 45).dropFirst(2) == [
                "/dev/nvme0n1  931.5 GiB",
                "    no: in use: nvme0n1p2 is mounted on /;",
                "    removable, used only when named",
            ])
    }

    @Test("No width makes it trap or lose a word", arguments: -1...120) func anyWidth(columns: Int) {
        let words = table().lines(columns: columns).joined(separator: " ").split(separator: " ")
        #expect(words == table().lines().joined(separator: " ").split(separator: " "))
    }
}
