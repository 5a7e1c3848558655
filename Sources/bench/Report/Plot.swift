/// An SVG picture under construction: the elements that all plots share.
struct Plot {
    /// The font's width per character at the style sheet's size, rounded up.
    static let characterWidth = 7.3
    static let boldCharacterWidth = 8.2
    /// In a page: fits a telephone of 400 pixels, and is no wider elsewhere.
    static let pageWidth = 420.0
    /// As a standalone file.
    static let pictureWidth = 760.0

    let width: Double
    private(set) var elements: [String] = []

    init(width: Double = pageWidth) { self.width = width }

    mutating func add(_ element: String) { elements.append(element) }

    mutating func text(_ text: String, _ x: Double, _ y: Double, anchor: String = "start", style: String = "") {
        add(
            "<text x=\"\(number(x))\" y=\"\(number(y))\" text-anchor=\"\(anchor)\""
                + (style.isEmpty ? "" : " class=\"\(style)\"") + ">\(escaped(text))</text>")
    }

    mutating func box(_ x: Double, _ y: Double, _ width: Double, _ height: Double, style: String, title: String = "") {
        let title = title.isEmpty ? "" : "<title>\(escaped(title))</title>"
        add(
            "<rect class=\"\(style)\" x=\"\(number(x))\" y=\"\(number(y))\" width=\"\(number(max(width, 0)))\" "
                + "height=\"\(number(height))\">\(title)</rect>")
    }

    mutating func line(_ points: [(Double, Double)], style: String) {
        let path = points.map { "\(number($0.0)),\(number($0.1))" }.joined(separator: " ")
        add("<polyline class=\"\(style)\" points=\"\(path)\"/>")
    }

    /// Coloured squares with labels, in as many rows as needed. Returns their height.
    mutating func legend(_ entries: [(style: String, text: String)], y: Double) -> Double {
        var (x, row) = (0.0, 0.0)
        for (style, text) in entries {
            let needed = 18 + Double(text.count) * Self.characterWidth
            if x > 0 && x + needed > width { (x, row) = (0, row + 1) }
            box(x, y + row * 20 + 4, 12, 12, style: style)
            self.text(text, x + 18, y + row * 20 + 14)
            x += needed + 16
        }
        return (row + 1) * 20
    }

    /// The picture. `title` is for readers who cannot see it.
    func svg(height: Double, title: String, standalone: Bool = false) -> String {
        let size = "viewBox=\"0 0 \(number(width)) \(number(height))\""
        let own = standalone ? " xmlns=\"http://www.w3.org/2000/svg\" width=\"\(number(width))\"" : ""
        let style = standalone ? "<style>\(Self.style)</style>" : ""
        let ground = standalone ? "<rect class=\"ground\" width=\"100%\" height=\"100%\"/>" : ""
        return "<svg\(own) \(size) role=\"img\" aria-label=\"\(escaped(title))\">\(style)\(ground)\n"
            + elements.joined(separator: "\n") + "\n</svg>\n"
    }

    /// Round steps from 0 up to at least `maximum`, about `count` of them.
    static func ticks(upTo maximum: Double, count: Int = 5) -> [Double] {
        guard maximum > 0, maximum.isFinite else { return [0, 1] }
        let raw = maximum / Double(count)
        var power = 1.0
        while power * 10 <= raw { power *= 10 }
        while power > raw { power /= 10 }
        let step = ([1, 2, 5, 10].first { $0 * power >= raw } ?? 10) * power
        let steps = (maximum / step).rounded(.up)
        return (0...Int(steps)).map { Double($0) * step }
    }

    func number(_ value: Double) -> String { Self.number(value) }
    static func number(_ value: Double) -> String {
        let text = fixed(value, 1)
        return text.hasSuffix(".0") ? String(text.dropLast(2)) : text
    }

    /// Colours that colour-blind readers can tell apart (after Okabe and Ito), for light and dark backgrounds.
    static let style = """
        svg { --ink: #1b1f24; --faint: #d0d7de; --quiet: #57606a; --ground: #ffffff;
          --own: #0072b2; --other: #9aa4ae; --one: #0072b2; --two: #e69f00; --three: #009e73; }
        @media (prefers-color-scheme: dark) { svg { --ink: #e6edf3; --faint: #30363d; --quiet: #9aa4ae; --ground: #0d1117;
          --own: #56b4e9; --other: #6e7681; --one: #56b4e9; --two: #f0b940; --three: #2fbf95; } }
        svg text { font: 13px system-ui, "DejaVu Sans", sans-serif; fill: var(--ink); }
        svg .quiet { fill: var(--quiet); font-size: 12px; }
        svg .strong { font-weight: 600; }
        svg .ground { fill: var(--ground); }
        svg .own { fill: var(--own); } svg .other { fill: var(--other); }
        svg .one { fill: var(--one); } svg .two { fill: var(--two); } svg .three { fill: var(--three); }
        svg .dot { fill: var(--ground); stroke: var(--ink); stroke-width: 1.2; }
        svg .grid { fill: none; stroke: var(--faint); stroke-width: 1; }
        svg .spread { fill: none; stroke: var(--ink); stroke-width: 1.5; }
        svg .line-one, svg .line-two, svg .line-three { fill: none; stroke-width: 2; stroke-linejoin: round; }
        svg .line-one { stroke: var(--one); } svg .line-two { stroke: var(--two); } svg .line-three { stroke: var(--three); }
        """
}
