import ArgumentParser
import FoundationEssentials

/// The variants that stream an image from a URL onto a device, each as processes of its own.
struct StreamVariants {
    let device: String
    let folder: String
    /// The folder of the compiled programs of perf/.
    let programs: String
    /// The URL of the served image.
    let url: (ImageLayout) -> String

    func variant(_ spec: VariantSpec, image: ImageLayout) throws -> Variant {
        let processors = Machine.processors
        let (text, command) = try command(spec, image)
        return Variant(name: spec.label, text: text, target: try spec.target()) { _ in
            let (output, usage) = try Child.run(command, environment: ["WINDOW_BYTES": "\(image.windowBytes)"])
            // The library's own run reports more than its duration; the others print the seconds they measured, or nothing.
            var measurement =
                spec.kind == "stream-disk"
                ? try RunCommand.decoded(output) : Measurement(seconds: 0, bytes: image.decodedBytes)
            measurement.take(usage)
            measurement.bytes = image.decodedBytes
            measurement.figures = (measurement.figures ?? [:]).merging([
                "windowBytes": Double(image.windowBytes), "lanes": Double(try spec.int("lanes") ?? processors),
            ]) { $1 }
            return measurement
        }
    }

    private func command(_ spec: VariantSpec, _ image: ImageLayout) throws -> (text: String, [String]) {
        let url = url(image)
        switch spec.kind {
        case "stream-disk":
            try spec.check(keys: ["image", "engine", "connections", "lanes", "memory-limit", "zeros"])
            var options: [String] = []
            if let engine = spec["engine"] { options += ["--engine", engine] }
            if let connections = try spec.int("connections") { options += ["--connections", "\(connections)"] }
            if let lanes = try spec.int("lanes") { options += ["--lanes", "\(lanes)"] }
            if let limit = try spec.size("memory-limit") { options += ["--memory-limit", "\(limit)"] }
            if try spec.flag("zeros") == false { options.append("--no-zeros") }
            let text = (["this library", fileName(image.path)] + options).joined(separator: " ")
            return (text, RunCommand.invocation("stream", [url, "--disk", device] + options))
        case "shell":
            try spec.check(keys: ["image"])
            return (
                "curl | tee fifo (sha384sum) | zstd -d --long=31 | dd bs=4M oflag=direct conv=fsync, one image after the other",
                ["bash", "-c", shell(url, image)]
            )
        case "buffered":
            try spec.check(keys: ["image"])
            return (
                "perf/buffered.c: one thread, range request → SHA-384 → zstd → 4 MiB writes through the page cache → sync",
                [programs + "/buffered", url, device] + image.parts.map(\.argument)
            )
        case "reference":
            try spec.check(keys: ["image"])
            return (
                "perf/reference.c: the same design in C, without its checks",
                [programs + "/reference", url, device] + image.parts.map(\.argument)
            )
        case "program":
            try spec.check(keys: ["image", "path"])
            guard let path = spec["path"] else { throw ValidationError("program: path=FILE is missing.") }
            return (
                "the stream-disk command of a revision: \(spec.label)",
                [path, "stream", url, "--disk", device, "--yes", "--quiet"]
            )
        default:
            throw ValidationError("'\(spec.kind)' is none of: stream-disk, program, shell, buffered, reference.")
        }
    }

    /// The shell pipeline that a person would write, given the parts of the image.
    private func shell(_ url: String, _ image: ImageLayout) -> String {
        let parts = image.parts.map { part in
            """
            sha384sum <"$work/fifo" >"$work/digest" &
            curl --silent --show-error --fail --range \(part.offset)-\(part.offset + part.compressedBytes - 1) '\(url)' |
                tee "$work/fifo" | zstd -d --quiet --stdout --long=31 |
                dd of=\(device) bs=4M iflag=fullblock oflag=direct,seek_bytes seek=\(part.deviceOffset) \
                    conv=fsync,notrunc status=none
            wait $!
            read -r digest _ <"$work/digest"
            [[ $digest == \(part.sha384) ]] || { echo "wrong digest" >&2; exit 1; }
            """
        }
        return "set -euo pipefail; work='\(folder)'; rm -f \"$work/fifo\"; mkfifo \"$work/fifo\"\n"
            + parts.joined(separator: "\n")
    }
}

extension Measurement {
    /// Time and memory as the kernel measured them, over the whole life of the processes.
    mutating func take(_ usage: Child.Usage) {
        seconds = usage.seconds
        userSeconds = usage.userSeconds
        systemSeconds = usage.systemSeconds
        peakMemoryBytes = usage.peakMemoryBytes
    }
}
