"""Where columns come from: for a column of a unified table, the columns that it is made of."""

_PLACE = {name: [f"native_labels.{name}"] for name in ("file", "locator", "n_rows", "raw_value")}
_CONCEPT = {"concept_id": ["native_labels.raw_value", "vocabulary.concept_id"]}
_FRAME = {"frame_id": ["videos.video_id", "native_labels.frame_index"]}
_LABEL = {**_PLACE, **_CONCEPT, "label_id": ["native_labels.file", "native_labels.locator", "native_labels.raw_value"]}
_TIME = {name: [f"native_labels.{name}"] for name in ("start_s", "end_s", "start_frame", "end_frame")}

LINEAGE: dict[str, dict[str, list[str]]] = {
    "videos": {"source": ["sources.source"]},
    "procedures": {
        "procedure_id": ["videos.listed_procedure", "frames.perceptual_hash", "frames.sha256"],
        "videos": ["videos.video_id"],
        "split": ["videos.stated_split"],
    },
    "agreements": {"n_agreed": ["intervals.concept_id", "presences.present", "triplets.concept_id", "criteria.met"]},
    "frames": {
        "frame_id": ["videos.video_id", "native_labels.frame_index"],
        "frame_index": ["native_labels.frame_index", "native_labels.start_s", "native_labels.end_s"],
        "pts_s": ["videos.media_path"],
        "image_path": ["videos.media_path"],
    },
    "intervals": {**_LABEL, **_TIME, "track": ["native_labels.field"]},
    "presences": {**_LABEL, **_FRAME, "present": ["native_labels.present"]},
    "boxes": {
        **_LABEL,
        **_FRAME,
        **{side: [f"native_labels.{side}", "videos.width", "videos.height"] for side in ("x1", "y1", "x2", "y2")},
    },
    "masks": {**_LABEL, **_FRAME, "mask_path": ["native_labels.mask_file"], "polygon": ["native_labels.polygon"]},
    "triplets": {
        **_LABEL,
        **_FRAME,
        "verb_concept_id": ["native_labels.raw_verb", "vocabulary.concept_id"],
        "target_concept_id": ["native_labels.raw_target", "vocabulary.concept_id"],
    },
    "criteria": {**_LABEL, **_FRAME, "score": ["native_labels.score"], "met": ["native_labels.score"]},
    "questions": {**_LABEL, **_FRAME, "question": ["native_labels.question"]},
    "depths": {**_PLACE, **_FRAME, "depth_path": ["native_labels.depth_file"], "unit": ["native_labels.unit"]},
    "captions": {**_PLACE, "start_s": ["native_labels.start_s"], "end_s": ["native_labels.end_s"]},
    "basic_actions": {
        "concept_id": ["vocabulary.concept_id"],
        "n_labels": ["intervals.concept_id", "triplets.verb_concept_id"],
    },
    "clips": {
        "start_s": ["intervals.start_s", "intervals.end_s"],
        "clip_path": ["videos.media_path"],
    },
    "dense_images": {
        "frame_id": ["frames.frame_id"],
        "image_path": ["frames.image_path", "masks.mask_path", "masks.polygon", "depths.depth_path"],
        "label_ids": ["masks.label_id", "depths.label_id"],
    },
    "scene_context": {
        "frame_id": ["frames.frame_id"],
        "later_frame_id": ["frames.frame_id"],
        "cutoff_s": ["frames.pts_s", "intervals.start_s", "intervals.end_s"],
        "actions": ["intervals.concept_id", "intervals.start_s", "intervals.end_s"],
        "motions": ["boxes.x1", "masks.polygon"],
        "split": ["procedures.split"],
        "phase": ["intervals.concept_id"],
        "step": ["intervals.concept_id"],
        "action": ["intervals.concept_id", "basic_actions.basic_action_id"],
        "instruments": ["boxes.concept_id", "boxes.x1", "presences.concept_id", "triplets.concept_id"],
        "tissues": ["boxes.concept_id", "masks.concept_id", "triplets.target_concept_id"],
        "triplets": ["triplets.concept_id", "triplets.verb_concept_id", "triplets.target_concept_id"],
        "criteria": ["criteria.concept_id", "criteria.met"],
        "procedure_id": ["procedures.procedure_id"],
        "label_ids": [f"{kind}.label_id" for kind in ("intervals", "presences", "boxes", "triplets", "criteria")],
    },
    "selection": {
        "kept": ["conversations.split", "conversations.answer", "scene_context.start_s", "frames.perceptual_hash"],
    },
    "reasoning": {
        "perception": ["scene_context.instruments", "scene_context.tissues", "vocabulary.appearance"],
        "relation": ["scene_context.triplets", "scene_context.action"],
        "context": ["scene_context.phase", "scene_context.step", "vocabulary.definition"],
        "label_ids": ["scene_context.label_ids"],
    },
    "conversations": {
        "answer": ["scene_context.scene_id"],
        "media": ["frames.image_path", "clips.clip_path", "dense_images.image_path"],
        "targets": ["frames.image_path", "clips.clip_path", "dense_images.image_path"],
        "reasoning_id": ["reasoning.reasoning_id"],
        "label_ids": ["reasoning.label_ids"],
        "status": ["reasoning.verified"],
    },
}
