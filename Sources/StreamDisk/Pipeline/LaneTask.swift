enum LaneTask: Sendable {
    case frame(FrameTask)
    /// The image ends with the frame before. The frame group that it belongs to began at `streamOffset` of the decoded image.
    case endOfImage(ImageJob, streamOffset: UInt64)
}

/// One frame of an image.
struct FrameTask: Sendable {
    let image: ImageJob
    let header: ZstdFrameHeader
    /// Where the frame group that this one belongs to begins in the decoded image: the frames that follow each other on one lane.
    let streamOffset: UInt64
    /// It continues the group of the lane's last frame.
    let continuesLast: Bool
    /// It ends at a known place from which another lane can write.
    let nextMayGoElsewhere: Bool
}
