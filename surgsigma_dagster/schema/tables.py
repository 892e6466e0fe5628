"""The unified tables: one contract a table, the only place that names their columns.

Ids are readable where a person meets them (`cholec80/video01/000025`) and hashes where nobody does (labels).
Boxes are pixels with the image size, time is seconds from the first presented frame of the video.
"""

import dataframely as dy
import polars as pl

SPLITS = ["train", "val", "test"]
TRACKS = ["phase", "step", "action", "event"]


def _text(description: str, **rules: object) -> dy.String:
    return dy.String(description=description, **rules)  # type: ignore[arg-type]


def _maybe(description: str) -> dy.String:
    return dy.String(nullable=True, description=description)


class Sources(dy.Schema):
    """One row a source: what it is and what may be done with it."""

    source = _text("Source id, from sources.yaml", primary_key=True)
    dataset = _text("Adapter that reads it")
    title = _text("Name of the dataset")
    specialty = _text("Clinical specialty")
    procedure_type = _maybe("Concept id of the kind of procedure; null where its videos are of several")
    licence = _text("SPDX-like licence name", min_length=1)
    licence_url = _maybe("Where the licence stands")
    non_commercial = dy.Bool(description="No commercial use")
    share_alike = dy.Bool(description="Derivatives carry the same licence")
    no_derivatives = dy.Bool(description="No derived release")
    consent_scope = _maybe("What the patients agreed to, for in-house data")
    may_be_released = dy.Bool(description="False: used at home, never part of a public release")
    citation = _text("Publication that describes the data")
    url = _text("Where it is distributed")


class Videos(dy.Schema):
    """One row a video or image sequence, whether its media are here or not."""

    video_id = _text("source/video", primary_key=True)
    source = _text("Source id")
    video = _text("The dataset's own id")
    listed_procedure = _text("Procedure by registry, source or name; `procedures` says which one it is in the end")
    identity_rule = _text("Which rule named it")
    stated_split = dy.Enum(SPLITS, nullable=True, description="Split that the source's own tree puts it in")
    procedure_type = _text("Concept id of the kind of procedure")
    licence = _maybe("Licence of this video, where it has its own")
    attribution = _maybe("Title, author and address, where it has its own")
    own_licence_allows = dy.Bool(description="False: its own licence keeps it out of a public release of its source")
    label_rate = dy.Float64(min=0, description="Native frames a second, as the labels count them")
    first_index = dy.Int64(description="Native number of the first frame")
    timed = dy.Bool(description="False: its frames are numbered, their time is not known, and label_rate is nominal")
    media = dy.Enum(["video", "images", "none"], description="What the source ships")
    complete = dy.List(
        dy.String(), description="Kinds of concept of which a labelled frame's every visible one is annotated"
    )
    partial = dy.Bool(description="A labelled frame's annotations name only some of what is visible")
    media_path = _maybe("Video file or image folder, relative to the source root")
    sha256 = _maybe("Of the video file")
    frame_rate = dy.Float64(nullable=True, description="Mean frames a second of the video file")
    n_frames = dy.Int64(nullable=True, description="Frames that can be read")
    duration_s = dy.Float64(nullable=True, description="From the first to the end of the last frame")
    width = dy.Int64(nullable=True, description="Pixels; of the first image for an image sequence")
    height = dy.Int64(nullable=True, description="Pixels; of the first image for an image sequence")
    codec = _maybe("Video codec")
    status = dy.Enum(["available", "absent", "quarantined"], description="Whether the media can be used")
    reason = _maybe("Why not")


class Procedures(dy.Schema):
    """One row an operation on one patient; it belongs to one split, whatever sources show it."""

    procedure_id = _text("Procedure id", primary_key=True)
    procedure_type = _text("Concept id of the kind of procedure")
    specialty = _text("Clinical specialty")
    split = dy.Enum(SPLITS, description="train, val or test: the same for every source and task")
    split_rule = _text("Which rule decided the split")
    identity_rule = _text("Which rule decided that these videos are this procedure")
    videos = dy.List(dy.String(), description="Video ids that show it")


class SourceOverlaps(dy.Schema):
    """One row a pair of sources: may they show the same procedures, who says so, and what their pictures say."""

    source_a = _text("Source id, the first of the two by name", primary_key=True)
    source_b = _text("Source id", primary_key=True)
    relation = dy.Enum(
        ["shared", "independent", "unknown"],
        description="Registered to share procedures, known not to, or neither: unknown is not independent",
    )
    why = _text("What the relation stands on")
    content_check = dy.Enum(["run", "not run"], description="Whether pictures of both were there to compare")
    n_videos_compared = dy.Int64(min=0, description="Videos of both that have pictures")
    n_shared_procedures = dy.Int64(min=0, description="Procedures that both show, by registry or by content")
    found_by_content = dy.List(dy.String(), description="Pairs of videos that only their pictures gave away")


class SplitConflicts(dy.Schema):
    """Procedures whose official splits contradict each other, or that are placed elsewhere than one of them says."""

    procedure_id = _text("Procedure", primary_key=True)
    claims = dy.List(
        dy.Struct({"dataset": dy.String(), "split": dy.String()}), description="What each official split says"
    )
    split = dy.Enum(SPLITS, description="The split that it has")
    split_rule = _text("Which rule decided")


class Agreements(dy.Schema):
    """How often two sources that label the same instants agree."""

    source_a = _text("Source id", primary_key=True)
    source_b = _text("Source id", primary_key=True)
    field = _text("phase, step, instrument or criterion", primary_key=True)
    n_compared = dy.Int64(min=0, description="Instants (of an instrument: instants and instruments) that both label")
    n_agreed = dy.Int64(min=0, description="Of these, those that both label alike")


class LabelConflicts(dy.Schema):
    """Every instant at which two sources contradict each other, with both places and which one is believed."""

    procedure_id = _text("Procedure", primary_key=True)
    at_s = dy.Float64(description="Seconds from the first frame", primary_key=True)
    field = _text("phase, step, instrument or criterion", primary_key=True)
    kept_source = _text("Source that is believed", primary_key=True)
    kept_concept_id = _text("What it says", primary_key=True)
    kept_says = dy.Bool(description="False: it says that this is not there, or not met")
    kept_place = _text("File and locator of its label")
    overruled_source = _text("Source that is overruled", primary_key=True)
    overruled_concept_id = _text("What it says", primary_key=True)
    overruled_says = dy.Bool(description="False: it says that this is not there, or not met")
    overruled_place = _text("File and locator of its label")
    overruled_label_id = _text("Its label, which says nothing at this instant any more")
    rule = _text("Which precedence decided")


class Frames(dy.Schema):
    """One row a frame that some label means, or that the sampling grid asks for."""

    frame_id = _text("video_id/frame_index, six digits", primary_key=True)
    video_id = _text("Video")
    source = _text("Source id")
    frame_index = dy.Int64(min=0, description="Frame number as the source's labels count")
    pts_s = dy.Float64(nullable=True, description="True presentation time, seconds from the first frame; null: unknown")
    width = dy.Int64(nullable=True, description="Pixels")
    height = dy.Int64(nullable=True, description="Pixels")
    image_root = dy.Enum(["lake", "source"], nullable=True, description="What image_path is relative to")
    image_path = _maybe("Image file")
    sha256 = _maybe("Of the image file")
    perceptual_hash = dy.UInt64(nullable=True, description="Alike for pictures that look alike, whatever their size")
    status = dy.Enum(["available", "absent", "quarantined"], description="Whether the image can be used")
    reason = _maybe("Why not")


class Clips(dy.Schema):
    """One row a stretch of footage that some task shows or asks for, cut into a file of its own."""

    clip_id = _text("video_id/start-end in milliseconds, eight digits each", primary_key=True)
    video_id = _text("Video")
    source = _text("Source id")
    start_s = dy.Float64(min=0, description="Seconds from the first frame")
    end_s = dy.Float64(min=0, description="Seconds from the first frame, exclusive")
    first_pts_s = dy.Float64(nullable=True, description="Presentation time of its first frame")
    last_pts_s = dy.Float64(nullable=True, description="Presentation time of its last frame")
    n_frames = dy.Int64(nullable=True, description="Frames in the file")
    clip_path = _maybe("Video file in the lake")
    sha256 = _maybe("Of the file")
    first_frame_path = _maybe("Its first frame, an image in the lake")
    status = dy.Enum(["available", "absent", "quarantined"], description="Whether the clip can be used")
    reason = _maybe("Why not")


class DenseImages(dy.Schema):
    """Images made for a frame: a mask, relative depth, or the frame under rendered smoke."""

    rendition_id = _text("frame_id/kind", primary_key=True)
    frame_id = _text("Frame")
    video_id = _text("Video")
    source = _text("Source id")
    kind = dy.Enum(["instrument_mask", "depth", "smoke"], description="What it shows")
    image_path = _text("Image file in the lake")
    width = dy.Int64(min=1, description="Pixels")
    height = dy.Int64(min=1, description="Pixels")
    sha256 = _text("Of the image file")
    origin = dy.Enum(
        ["annotated", "measured", "rendered", "model"], description="Who says so; a model's are pseudo-labels for ever"
    )
    parameters = _text("What it was made with, JSON", min_length=2)
    licence = _maybe("Licence of the model that made it")
    label_ids = dy.List(dy.String(), description="Labels that it was made from")


class _Label(dy.Schema):
    """Columns of every label table."""

    label_id = _text("Hash of source, file, locator, kind and value", primary_key=True)
    source = _text("Source id")
    video_id = _text("Video")
    concept_id = _text("Concept that the verbatim value means")
    raw_value = _text("The value as it stands in the file")
    n_rows = dy.Int64(min=1, description="Native rows that this label stands for")
    file = _text("Label file, relative to the source root")
    locator = _text("Line, lines or JSON pointer in the file")


class Intervals(_Label):
    """Phases, steps, actions and events over time."""

    track = dy.Enum(TRACKS, description="Tracks overlap; intervals of one track and file do not")
    start_s = dy.Float64(description="Seconds from the first frame")
    end_s = dy.Float64(description="Seconds from the first frame, exclusive")
    start_frame = dy.Int64(nullable=True, description="First native frame, where the label counts frames")
    end_frame = dy.Int64(nullable=True, description="Last native frame, inclusive")


class _FrameLabel(_Label):
    """Columns of every label table that speaks of single frames."""

    frame_id = _text("Frame")


class Presences(_FrameLabel):
    """What is visible in a frame, and what is known not to be."""

    present = dy.Bool(description="False is a true negative")


class Boxes(_FrameLabel):
    """Boxes in pixels, inside their image."""

    x1 = dy.Float64(description="Left edge, pixels")
    y1 = dy.Float64(description="Top edge, pixels")
    x2 = dy.Float64(description="Right edge, pixels")
    y2 = dy.Float64(description="Bottom edge, pixels")
    width = dy.Int64(min=1, description="Image width, pixels")
    height = dy.Int64(min=1, description="Image height, pixels")
    instance = _maybe("Instance id inside the frame")
    clipped = dy.Bool(description="The file's box reached out of the image")


class Masks(_FrameLabel):
    """Regions of pixels."""

    mask_path = _maybe("Mask image, relative to the source root")
    mask_value = dy.Int64(nullable=True, description="Pixel value of this class in the mask image")
    polygon = dy.List(dy.Float64(), nullable=True, description="x0, y0, x1, y1, … in pixels")
    instance = _maybe("Instance id inside the frame")


class Triplets(_FrameLabel):
    """Which instrument does what to what; `concept_id` is the instrument's."""

    verb_concept_id = dy.String(nullable=True, description="Null: not annotated; verb/none: no interaction")
    target_concept_id = dy.String(nullable=True, description="Null: not annotated; target/none: nothing")
    raw_verb = _maybe("Verb as it stands in the file")
    raw_target = _maybe("Target as it stands in the file")
    instance = _maybe("Instance id inside the frame, shared with the box")


class Criteria(_FrameLabel):
    """Safety criteria of a frame."""

    score = dy.Float64(min=0, max=1, description="Mean of the raters")
    met = dy.Bool(description="score of at least one half")
    n_raters = dy.Int64(nullable=True, description="How many raters")


class Questions(_FrameLabel):
    """Questions that a source asks about a frame, with its own answers."""

    concept_id = _maybe("Concept that the answer means; null for free text")
    question = _text("As it stands in the file", min_length=1)
    reasoning = _maybe("The source's own reasoning")
    task = _maybe("Which of the 18 tasks it is, where the source's form says so")
    free_text = dy.Bool(description="The answer is not one of a closed set")


class Depths(_FrameLabel):
    """Depth images."""

    concept_id = _maybe("Null: depth speaks of no concept")
    depth_path = _text("Depth image, relative to the source root")
    channel = dy.Int64(nullable=True, description="Channel that holds depth, from 0, where there are several")
    unit = dy.Enum(["mm", "relative"], description="Millimetres from the camera, or relative")
    origin = dy.Enum(["measured", "model"], description="measured, or a model's pseudo-label")


class Captions(_Label):
    """Narration and subtitles over time."""

    concept_id = _maybe("Null: words are kept as they are")
    start_s = dy.Float64(description="Seconds from the first frame")
    end_s = dy.Float64(description="Seconds from the first frame, exclusive")
    language = _maybe("Language tag")


class Concepts(dy.Schema):
    """The controlled vocabulary."""

    concept_id = _text("kind/…/name", primary_key=True)
    kind = _text("First part of the id: phase, instrument, basic_action, …")
    name = _text("As written inside a sentence")
    plural = _maybe("Plural of a countable name")
    synonyms = dy.List(dy.String(), description="Other names of the same thing")
    definition = _text("What it is, in one or two sentences")
    appearance = _maybe("What every such instrument or tissue looks like")
    citation = _text("Where the definition is taken from")


class Aliases(dy.Schema):
    """Which verbatim value of which source means which concept; the name of several only by the video's procedure."""

    source = _text("Source id", primary_key=True)
    field = _text("Section: phase, instrument, object, …", primary_key=True)
    raw_value = _text("Value as it stands in the files", primary_key=True)
    concept_id = _text("Concept; ~ where the value says nothing", primary_key=True)
    procedure_types = dy.List(dy.String(), description="Kinds of procedure whose videos mean that; empty: all")


class AliasCoverage(dy.Schema):
    """How often each verbatim value was met in each video, and whether it is mapped."""

    source = _text("Source id")
    video_id = _text("Video", primary_key=True)
    field = _text("Section", primary_key=True)
    raw_value = _text("Value as it stands in the files", primary_key=True)
    concept_id = _maybe("Concept; ~ where the value says nothing, null where unmapped")
    n_rows = dy.Int64(min=0, description="Native rows of the records with this value, each record for itself")


class BasicActions(dy.Schema):
    """Which of the ten basic surgical actions each verb and action is, and how many labels of this corpus say so."""

    concept_id = _text("Verb, action or step", primary_key=True)
    basic_action_id = _maybe("Its basic action; null where none is agreed on")
    why = _text("What the line stands on", min_length=1)
    n_labels = dy.Int64(min=0, description="Intervals and triplets that have the concept")


VISIBLE = dy.Struct(
    {
        "concept_id": dy.String(),
        "x1": dy.Float64(nullable=True),
        "y1": dy.Float64(nullable=True),
        "x2": dy.Float64(nullable=True),
        "y2": dy.Float64(nullable=True),
    }
)
ACTING = dy.Struct(
    {
        "instrument": dy.String(),
        "verb": dy.String(nullable=True),
        "target": dy.String(nullable=True),
    }
)
JUDGED = dy.Struct({"concept_id": dy.String(), "met": dy.Bool()})
HAPPENING = dy.Struct({"concept_id": dy.String(), "start_s": dy.Float64(), "end_s": dy.Float64()})
MOVING = dy.Struct({"concept_id": dy.String(), "move": dy.String()})
MEDIUM = dy.Struct(
    {
        "kind": dy.String(),
        "id": dy.String(),
        "root": dy.String(),
        "path": dy.String(),
        "start_s": dy.Float64(nullable=True),
        "end_s": dy.Float64(nullable=True),
    }
)
SCENES = ["frame", "pair", "action", "caption", "remaining", "next_action", "conditional"]


class SceneContext(dy.Schema):
    """Everything that is known of one scene: a frame, a frame and a later one, or a stretch of footage."""

    scene_id = _text("A frame's is its frame_id; others name video, kind and time", primary_key=True)
    kind = dy.Enum(SCENES, description="A frame, a pair of frames, or what a stretch of footage is asked about")
    video_id = _text("Video")
    source = _text("Source id")
    procedure_id = _text("Procedure")
    procedure_type = _text("Concept id of the kind of procedure")
    split = dy.Enum(SPLITS, description="Split of the procedure")
    frame_id = _maybe("The frame, of a pair the earlier one; null for footage")
    later_frame_id = _maybe("Of a pair: the later frame")
    start_s = dy.Float64(nullable=True, description="Where the scene begins, seconds from the first frame")
    cutoff_s = dy.Float64(nullable=True, description="No input shows anything later")
    end_s = dy.Float64(nullable=True, description="End of what the answer speaks of or shows")
    width = dy.Int64(nullable=True, description="Pixels")
    height = dy.Int64(nullable=True, description="Pixels")
    phase = _maybe("Phase concept; null where unknown or ambiguous")
    step = _maybe("Step concept; null where unknown or ambiguous")
    action = _maybe(
        "Action concept; of footage the basic action that the answer names; null where unknown or ambiguous"
    )
    actions = dy.List(HAPPENING, description="Of footage: the actions that it shows, in order")
    instruments_complete = dy.Bool(description="Every instrument in view is annotated, so that none means none")
    tissues_complete = dy.Bool(description="Every tissue of the source's classes in view is annotated")
    partial = dy.Bool(description="Something visible may have no label here: nothing asks for all of a kind")
    instruments = dy.List(VISIBLE, description="Instruments in view, one entry an instance; boxes may be null")
    tissues = dy.List(VISIBLE, description="Tissues in view")
    triplets = dy.List(ACTING, description="Who does what to what")
    criteria = dy.List(JUDGED, description="Safety criteria, in their order")
    motions = dy.List(MOVING, description="Of a pair: how each instrument moves from one frame to the other")
    label_ids = dy.List(dy.String(), description="Labels that this row joins")
    target_label_id = _maybe("Of footage: the label that the answer stands on")


class Reasoning(dy.Schema):
    """A three-level chain for one scene and task."""

    reasoning_id = _text("task/scene_id", primary_key=True)
    task = _text("Task")
    scene_id = _text("Scene")
    video_id = _text("Video")
    source = _text("Source id")
    perception = _text("Level 1: what is visible, where", min_length=1)
    relation = _text("Level 2: which instrument does what to which tissue", min_length=1)
    context = _text("Level 3: what that means for the procedure; ends in the answer", min_length=1)
    generator = _text("What wrote it")
    verified = dy.Enum(["pass", "fail", "not run"], description="The verifier's word")
    verifier_reason = _maybe("What the verifier found")
    label_ids = dy.List(dy.String(), description="Labels it may speak of")


TURN = dy.Struct({"task": dy.String(), "question": dy.String(), "answer": dy.String()})


class Conversations(dy.Schema):
    """Training-ready conversations, each traceable to labels, media, template and reasoning."""

    conversation_id = _text("task/form/scene_id", primary_key=True)
    task = _text("Task; of several turns that of the last one")
    form = dy.Enum(["open", "multiple choice", "multi turn"], description="How the question is asked")
    source = _text("Source id")
    video_id = _text("Video")
    scene_id = _text("Scene")
    procedure_id = _text("Procedure")
    split = dy.Enum(SPLITS, description="Split of the procedure")
    media = dy.List(MEDIUM, description="What the model sees")
    targets = dy.List(MEDIUM, description="What it is to make, where the answer is more than words")
    cutoff_s = dy.Float64(nullable=True, description="No input shows anything later")
    system = _text("System prompt", min_length=1)
    earlier = dy.List(TURN, description="Turns before the last one, of a conversation of several")
    question = _text("The last question", min_length=1)
    answer_text = _text("Its answer as text", min_length=1)
    answer = _text("Answer as structured data, JSON", min_length=2)
    negative = dy.Bool(description="The true answer is that there is none")
    pseudo_label = dy.Bool(description="A model made what is asked for: never ground truth")
    reasoning_id = _text("Reasoning")
    label_ids = dy.List(dy.String(), description="Labels that the answer stands on")
    template_id = _text("Task, template file version and numbers of the phrasings")
    licence = _text("Licence of the source, and of a model where one made the target", min_length=1)
    status = dy.Enum(["accepted", "rejected"], description="Rejected: its reasoning failed the verifier")


class SamplingPolicy(dy.Schema):
    """What is kept of each task for training; null is no limit."""

    task = _text("Task", primary_key=True)
    version = dy.Int64(min=1, description="Version of the policy file")
    seconds_between = dy.Float64(min=0, description="Between scenes of one video with the same answer")
    near_duplicate_bits = dy.Int64(
        nullable=True, description="Of 64: frames in a row whose perceptual hashes differ in no more are one"
    )
    class_ratio = dy.Float64(
        nullable=True, min=1, description="Most scenes with one answer, against the median over answers"
    )
    negatives = dy.Float64(min=0, max=1, description="Largest share of scenes whose true answer is that there is none")
    multiple_choice = dy.Float64(min=0, max=1, description="Largest share of conversations with options")
    conversations_a_video = dy.Int64(nullable=True, min=1, description="Most conversations of one video")
    conversations = dy.Int64(nullable=True, min=1, description="Most conversations")
    at_least = dy.Int64(min=0, description="Conversations that no other rule goes below")


class Selection(dy.Schema):
    """Which conversations are kept, and which rule took the others."""

    conversation_id = _text("Conversation", primary_key=True)
    kept = dy.Bool(description="Part of exports")
    rule = _maybe("Why not: rejected, or a key of the sampling policy; null where kept")


class SamplingEffect(dy.Schema):
    """The training split before and after each rule of the sampling policy, and after all of them."""

    task = _text("Task", primary_key=True)
    form = dy.Enum(["open", "multiple choice", "multi turn"], primary_key=True, description="How it is asked")
    rule = _text("A rule that took something, or `all`", primary_key=True)
    n_before = dy.Int64(min=0, description="Conversations before the rule")
    n_after = dy.Int64(min=0, description="Conversations after it")
    negatives_before = dy.Float64(nullable=True, min=0, max=1, description="Share whose answer is that there is none")
    negatives_after = dy.Float64(nullable=True, min=0, max=1, description="The same after it")
    multiple_choice_before = dy.Float64(nullable=True, min=0, max=1, description="Share of the task, of all forms")
    multiple_choice_after = dy.Float64(nullable=True, min=0, max=1, description="The same after it")
    n_classes_before = dy.Int64(min=0, description="Different answers, coordinates aside; 0 where none is a class")
    n_classes_after = dy.Int64(min=0, description="The same after it")
    commonest_before = dy.Float64(nullable=True, min=0, max=1, description="Share of the commonest answer")
    commonest_after = dy.Float64(nullable=True, min=0, max=1, description="The same after it")


class ConversationCounts(dy.Schema):
    """How many conversations there are; the sums are the numbers of rows."""

    task = _text("Task", primary_key=True)
    source = _text("Source id", primary_key=True)
    specialty = _text("Clinical specialty of the source", primary_key=True)
    split = dy.Enum(SPLITS, primary_key=True, description="Split of the procedure")
    form = dy.Enum(["open", "multiple choice", "multi turn"], primary_key=True, description="How it is asked")
    n = dy.Int64(min=1, description="Conversations")
    n_kept = dy.Int64(min=0, description="Those of them that are kept")


class Rejects(dy.Schema):
    """Every native row or unit that made no label, frame or conversation, and why."""

    reject_id = _text("Hash of the row", primary_key=True)
    stage = dy.Enum(
        ["ingestion", "frames", "harmonization", "clips", "synthesis", "reasoning"],
        description="Stage that turned it down",
    )
    rule = _text("Rule, snake case")
    reason = _text("What was expected, what was found")
    source = _text("Source id")
    video_id = _maybe("Video")
    file = _maybe("File, relative to the source root")
    locator = _maybe("Place in the file")
    raw_value = _maybe("Offending value, verbatim")
    frame_id = _maybe("Frame in which something visible goes unnamed for it; null where nothing does")
    n_rows = dy.Int64(min=0, description="Native rows turned down")


class QaResults(dy.Schema):
    """One row a quality rule."""

    rule = _text("Rule", primary_key=True)
    table = _text("Table it speaks of")
    description = _text("What must hold")
    severity = dy.Enum(["error", "warning"], description="error: a release would be wrong")
    status = dy.Enum(["pass", "fail", "not run"], description="not run is not a pass")
    n_checked = dy.Int64(min=0, description="Rows looked at, or what they stand for")
    n_failed = dy.Int64(min=0, description="Rows that break the rule")
    examples = dy.List(dy.String(), description="The first few, by id")


class Builds(dy.Schema):
    """One row a table of this build: what it was made from. No clock time: same inputs, same bytes."""

    table = _text("Table", primary_key=True)
    n_rows = dy.Int64(min=0, description="Rows")
    n_shards = dy.Int64(min=0, description="Parquet files")
    signature = _text("Hash over the signatures of its shards: inputs, parameters, code version")
    code_version = _text("Version of surgsigma_dagster")
    seed = dy.Int64(description="Seed of every choice")


TABLES: dict[str, type[dy.Schema]] = {
    "sources": Sources,
    "videos": Videos,
    "procedures": Procedures,
    "source_overlaps": SourceOverlaps,
    "split_conflicts": SplitConflicts,
    "frames": Frames,
    "clips": Clips,
    "dense_images": DenseImages,
    "intervals": Intervals,
    "presences": Presences,
    "boxes": Boxes,
    "masks": Masks,
    "triplets": Triplets,
    "criteria": Criteria,
    "questions": Questions,
    "depths": Depths,
    "captions": Captions,
    "concepts": Concepts,
    "aliases": Aliases,
    "alias_coverage": AliasCoverage,
    "basic_actions": BasicActions,
    "agreements": Agreements,
    "label_conflicts": LabelConflicts,
    "scene_context": SceneContext,
    "reasoning": Reasoning,
    "conversations": Conversations,
    "sampling_policy": SamplingPolicy,
    "selection": Selection,
    "sampling_effect": SamplingEffect,
    "conversation_counts": ConversationCounts,
    "rejects": Rejects,
    "qa_results": QaResults,
    "builds": Builds,
}


FRAME_LABELS = ("presences", "boxes", "masks", "triplets", "criteria", "questions", "depths")
LABELS = ("intervals", "captions", *FRAME_LABELS)


def conform(table: str, frame: pl.DataFrame | pl.LazyFrame) -> pl.DataFrame:
    """`frame` with exactly the columns and types of `table`, its rows in the table's order.

    Raises polars' own error where a column is missing or a value does not fit its type.
    """
    schema = TABLES[table]
    columns = schema.columns()
    return (
        frame.lazy()
        .select(pl.col(name).cast(column.dtype) for name, column in columns.items())
        .sort(row_order(schema))
        .collect()
    )


def row_order(schema: type[dy.Schema]) -> list[str]:
    """Columns that a table's rows are sorted by: its key, but for labels the video's time and the verbatim value.

    Ids are hashes: in their order neighbours have nothing in common, and a file is half as large again.
    """
    if issubclass(schema, _FrameLabel):
        return ["frame_id", "raw_value", "label_id"]
    if issubclass(schema, _Label):
        return ["video_id", "start_s", "label_id"]
    return schema.primary_key()


def empty(table: str) -> pl.DataFrame:
    """No rows of `table`."""
    return TABLES[table].create_empty()
