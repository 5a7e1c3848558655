import CosiFormat

enum LaneTask: Sendable {
    case frame(FrameTask)
    /// The image ends after the previous frame. Its last group of frames started at `streamOffset` of the decoded image.
    case endOfImage(ImageJob, streamOffset: UInt64)
}

/// One frame of an image.
struct FrameTask: Sendable {
    let image: ImageJob
    let header: ZstdFrameHeader
    /// What its content must have; nil if the image is hashed as a whole.
    let sha256: ContentHash?
    /// Offset in the decoded image at which this frame's group starts. A group is a sequence of frames on one lane.
    let streamOffset: UInt64
    /// Whether it continues the group of the lane's previous frame.
    let continuesLast: Bool
    /// Whether it ends at a known offset at which another lane can continue.
    let nextMayGoElsewhere: Bool
}
