import CosiFormat
import Foundation
import Testing

/// A key twice in one object is refused: parsers take the first or the last of the two, and one hash would stand for both.
@Suite struct JSONShapeTests {
    /// The error of the sample with `old` replaced once.
    private func error(_ old: String, _ new: String) throws -> FormatError? {
        let options: JSONSerialization.WritingOptions = [.sortedKeys, .withoutEscapingSlashes]
        var text = String(
            decoding: try JSONSerialization.data(withJSONObject: MetadataSample().json, options: options), as: UTF8.self)
        let range = try #require(text.range(of: old))
        text.replaceSubrange(range, with: new)
        return try formatError { try CosiMetadata.parse(Array(text.utf8)) }
    }

    @Test(arguments: [
        ("\"version\":\"1.2\"", "\"version\":\"1.2\",\"version\":\"1.2\"", "version"),
        ("\"version\":\"1.2\"", "\"version\":\"2.0\",\"version\":\"1.2\"", "version"),
        ("\"number\":3", "\"number\":3,\"number\":3", "disk.gptRegions[3].number"),
        ("\"number\":3", "\"number\":1,\"\\u006eumber\":3", "disk.gptRegions[3].number"),
        ("\"number\":3", "\"\\u006E\\u0075mber\":1,\"number\":3", "disk.gptRegions[3].number"),
        ("\"path\":\"images/disk_gpt", "\"path\":\"images/x\",\"path\":\"images/disk_gpt", "disk.gptRegions[0].image.path"),
        ("\"version\":\"1.2\"", "\"x\":{\"a\":[0,{\"b\":1,\"c\":2,\"b\":3}]},\"version\":\"1.2\"", "x.a[1].b"),
        ("\"version\":\"1.2\"", "\"x\":{\"\":1,\"\":2},\"version\":\"1.2\"", "x."),
        ("\"version\":\"1.2\"", "\"x\":{\"\\/\":1,\"/\":2},\"version\":\"1.2\"", "x./"),
        ("\"version\":\"1.2\"", "\"x\":{\"\\\"\":1,\"\\u0022\":2},\"version\":\"1.2\"", "x.\""),
        ("\"version\":\"1.2\"", "\"x\":{\"\\ud83d\\ude00\":1,\"😀\":2},\"version\":\"1.2\"", "x.😀"),
        ("\"version\":\"1.2\"", "\"x\":{\"\\u00e9\":1,\"é\":2},\"version\":\"1.2\"", "x.é"),
        ("\"version\":\"1.2\"", "\"x\":{\"\\n\":1,\"\\u000a\":2},\"version\":\"1.2\"", "x.\\u{a}"),
    ])
    func aKeyTwiceInOneObjectIsRefusedByItsPath(old: String, new: String, path: String) throws {
        #expect(try error(old, new) == FormatError(.metadata, place: "metadata.json: " + path, problem: "is there twice"))
    }

    @Test(arguments: [
        "\"x\":{\"a\":{\"a\":{\"a\":1}}}", "\"x\":[{\"a\":1},{\"a\":1}]", "\"x\":{\"a\":\"a\",\"b\":\"a\"}",
        "\"x\":[\"a\",\"a\"]", "\"x\":{\"a\":1,\"A\":2}", "\"x\":{\"a\":\"\\\",\\\"a\\\":\",\"b\":1}",
        "\"x\":{\"\\\\u0061\":1,\"a\":2}", "\"x\":{\"\\ud83d\":1,\"\\ude00\":2}",
    ])
    func equalKeysOfDifferentObjectsAreFine(field: String) throws {
        let error = try error("\"version\":\"1.2\"", field + ",\"version\":\"1.2\"")
        // A surrogate alone is for the parser to judge.
        #expect(error == nil || error?.problem.hasPrefix("is not valid JSON") == true, "\(String(describing: error))")
    }

    /// Time grows with the text, not with its square, which would be many minutes here.
    @Test func manyKeysAreNoBurden() throws {
        let keys = (0..<100_000).map { "\"key\($0)\":0" }.joined(separator: ",")
        let begin = ContinuousClock.now
        #expect(try error("\"version\":\"1.2\"", "\"x\":{\(keys)},\"version\":\"1.2\"") == nil)
        #expect(try error("\"version\":\"1.2\"", "\"x\":{\(keys),\"key7\":1},\"version\":\"1.2\"")?.problem == "is there twice")
        #expect(ContinuousClock.now - begin < .seconds(60))
    }
}
