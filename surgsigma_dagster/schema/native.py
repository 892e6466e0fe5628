"""What an adapter yields: typed label records, in the source's own words and its own frame numbers.

A record says what stands in a file and where; concepts, pixels and seconds of another clock come later, in
harmonization. `locator` is a line (`line 12`, `lines 2-1502`), a JSON pointer (`/annotations/16/0`, a range
`/annotations/16..20`), an XPath (`/annotation/object[2]`) or `file` for the whole of it: a person finds the place.
`n_rows` is the number of native rows that one record stands for.
"""

import dataframely as dy


class NativeRecord(dy.Schema):
    """Columns that every native record has."""

    video = dy.String(description="Video id as the dataset writes it, e.g. video01")
    file = dy.String(description="Label file, relative to the source root, with forward slashes")
    locator = dy.String(description="Place in the file: a line, a range of lines or a JSON pointer")
    n_rows = dy.Int64(min=1, description="Native rows that this record stands for")


class NativeIntervals(NativeRecord):
    """A stretch of a video with one label: phase, step, action or event."""

    field = dy.String(description="phase, step, action or event: the alias section of raw_value")
    raw_value = dy.String(description="The label, verbatim")
    start_s = dy.Float64(description="First instant, seconds on the video's own clock")
    end_s = dy.Float64(description="End, exclusive, seconds on the video's own clock")
    start_frame = dy.Int64(nullable=True, description="First native frame, where the label counts frames")
    end_frame = dy.Int64(nullable=True, description="Last native frame, inclusive, where the label counts frames")


class NativePresences(NativeRecord):
    """Whether something is visible in a frame."""

    frame_index = dy.Int64(min=0, description="Native frame number")
    field = dy.String(description="instrument, object or tissue: the alias section of raw_value")
    raw_value = dy.String(description="The class, verbatim")
    present = dy.Bool(description="False is a true negative, not a gap")


class NativeBoxes(NativeRecord):
    """A box around something visible, as the file states it: bounds are checked in harmonization."""

    frame_index = dy.Int64(min=0, description="Native frame number")
    field = dy.String(description="instrument, object or tissue; action where a box encloses an action")
    raw_value = dy.String(description="The class, verbatim")
    x1 = dy.Float64(description="Left edge, in `unit`")
    y1 = dy.Float64(description="Top edge, in `unit`")
    x2 = dy.Float64(description="Right edge, in `unit`")
    y2 = dy.Float64(description="Bottom edge, in `unit`")
    unit = dy.Enum(["pixel", "relative"], description="pixel, or relative to the image size (0 to 1)")
    width = dy.Int64(nullable=True, description="Image width that the file states, pixels")
    height = dy.Int64(nullable=True, description="Image height that the file states, pixels")
    instance = dy.String(nullable=True, description="Instance or track id inside the frame, where there is one")


class NativeMasks(NativeRecord):
    """A region of pixels: one value of a mask image, or a polygon."""

    frame_index = dy.Int64(min=0, description="Native frame number")
    field = dy.String(description="instrument, object or tissue")
    raw_value = dy.String(description="The class, verbatim")
    mask_file = dy.String(nullable=True, description="Mask image, relative to the source root")
    mask_value = dy.Int64(nullable=True, description="Pixel value of this class in the mask image")
    polygon = dy.List(
        dy.Float64(), nullable=True, description="x0, y0, x1, y1, … in pixels, where the file holds polygons"
    )
    width = dy.Int64(nullable=True, description="Image width that the file states, pixels")
    height = dy.Int64(nullable=True, description="Image height that the file states, pixels")
    instance = dy.String(nullable=True, description="Instance id inside the frame, where there is one")


class NativeTriplets(NativeRecord):
    """Which instrument does what to what. Null means not annotated; "nothing" has a verbatim value of its own."""

    frame_index = dy.Int64(min=0, description="Native frame number")
    raw_instrument = dy.String(description="Verbatim, alias section instrument")
    raw_verb = dy.String(nullable=True, description="Verbatim, alias section verb")
    raw_target = dy.String(nullable=True, description="Verbatim, alias section target")
    instance = dy.String(nullable=True, description="The box's instance, where the file joins them")


class NativeCriteria(NativeRecord):
    """A safety criterion judged on a frame."""

    frame_index = dy.Int64(min=0, description="Native frame number")
    raw_value = dy.String(description="The criterion's name, verbatim, alias section criterion")
    score = dy.Float64(min=0, max=1, description="Mean of the raters, 0 (not met) to 1 (met)")
    n_raters = dy.Int64(nullable=True, description="How many raters, where stated")


class NativeQuestions(NativeRecord):
    """A question about a frame and its answer, as the source asks and answers it."""

    frame_index = dy.Int64(min=0, description="Native frame number")
    field = dy.String(description="answer: one of a closed set, an alias section; text: free, and never mapped")
    raw_value = dy.String(description="The answer, verbatim")
    question = dy.String(description="The question, verbatim")
    reasoning = dy.String(nullable=True, description="The source's own reasoning, where it gives one")
    task = dy.String(nullable=True, description="Which of the 18 tasks it is, where the source's form says so")


class NativeDepths(NativeRecord):
    """A depth image of a frame."""

    frame_index = dy.Int64(min=0, description="Native frame number")
    depth_file = dy.String(description="Depth image, relative to the source root")
    channel = dy.Int64(nullable=True, description="Channel that holds depth, from 0, where there are several")
    unit = dy.Enum(["mm", "relative"], description="Millimetres from the camera, or relative")
    origin = dy.Enum(["measured", "model"], description="measured, or a model's pseudo-label")


class NativeCaptions(NativeRecord):
    """What is said or written over a stretch of a video: narration, subtitles."""

    raw_value = dy.String(description="The words, verbatim")
    start_s = dy.Float64(description="First instant, seconds on the video's own clock")
    end_s = dy.Float64(description="End, exclusive, seconds on the video's own clock")
    language = dy.String(nullable=True, description="Language tag, where the file or its name states one")


class NativeImages(NativeRecord):
    """An image file that is a frame, in a source that ships images instead of (or beside) video."""

    frame_index = dy.Int64(min=0, description="Native frame number")


class NativeRejects(NativeRecord):
    """A native row that makes no record, and why."""

    rule = dy.String(description="Short name of the rule, snake case, e.g. duplicate_download")
    reason = dy.String(description="One sentence: what was expected, what was found")
    raw_value = dy.String(nullable=True, description="The offending value, verbatim")
    frame_index = dy.Int64(nullable=True, description="Frame in which something visible goes unnamed for it")


NATIVE: dict[str, type[dy.Schema]] = {
    "intervals": NativeIntervals,
    "presences": NativePresences,
    "boxes": NativeBoxes,
    "masks": NativeMasks,
    "triplets": NativeTriplets,
    "criteria": NativeCriteria,
    "questions": NativeQuestions,
    "depths": NativeDepths,
    "captions": NativeCaptions,
    "images": NativeImages,
    "rejects": NativeRejects,
}
