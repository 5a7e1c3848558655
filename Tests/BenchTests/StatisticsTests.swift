import Testing

@testable import bench

@Suite("Statistics and numbers in words")
struct StatisticsTests {
    @Test(
        "The median is the middle, or the mean of the two in the middle",
        arguments: zip([[3, 1, 2], [4, 1, 3, 2], [7], []] as [[Double]], [2, 2.5, 7, 0] as [Double]))
    func median(values: [Double], expected: Double) {
        #expect(Statistics(values).median == expected)
    }

    @Test("The ends are the smallest and the largest")
    func ends() {
        #expect(Statistics([2, 9, 4]).min == 2)
        #expect(Statistics([2, 9, 4]).max == 9)
    }

    @Test(
        "Digits behind the point are as many as asked for, rounded",
        arguments: [
            (1.005, 1, "1.0"), (2.675, 0, "3"), (0.04, 2, "0.04"), (-1.25, 1, "-1.3"), (12, 3, "12.000"),
            (-0.001, 1, "0.0"),
            (.infinity, 1, "–"), (.nan, 1, "–"),
        ] as [(Double, Int, String)])
    func fixedDigits(value: Double, digits: Int, expected: String) {
        #expect(fixed(value, digits) == expected)
    }

    @Test(
        "Short numbers keep about three figures",
        arguments: [
            (0, "0"), (1234.5, "1235"), (12.34, "12.3"), (1.999, "2"), (0.1234, "0.123"), (0.0123, "0.0123"),
            (500, "500"),
        ]
            as [(Double, String)])
    func short(value: Double, expected: String) {
        #expect(shortNumber(value) == expected)
    }

    @Test("Speeds are compared within a round, and the warm-up counts nowhere")
    func perRound() {
        func run(_ name: String, _ round: Int, _ seconds: Double) -> Measurement {
            Measurement(variant: name, round: round, seconds: seconds, bytes: 1)
        }
        let measurements = [
            run("a", 0, 100), run("b", 0, 1), run("b", 1, 4), run("a", 1, 2), run("a", 2, 1), run("b", 2, 3),
            run("a", 3, 5),
        ]
        let comparison = Report.speed(measurements, "a", over: "b", target: .init(atLeast: 2.4))
        #expect(comparison.values == [2, 3])
        #expect(comparison.median == 2.5)
        #expect(comparison.isMet == true)
    }

    @Test("Variants take turns in going first")
    func turns() throws {
        var order: [String] = []
        let variants = ["a", "b", "c"].map { name in
            Variant(name: name, text: "") { _ in
                order.append(name)
                return Measurement(seconds: 1, bytes: 1)
            }
        }
        let measurements = try interleave(variants, rounds: 2)
        #expect(order == ["a", "b", "c", "b", "c", "a", "c", "a", "b"])
        #expect(measurements.map(\.round) == [0, 0, 0, 1, 1, 1, 2, 2, 2])
    }
}
