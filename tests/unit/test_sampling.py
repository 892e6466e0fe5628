from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from surgsigma_dagster.dialogue.sampling import RUN, STAGES, Sampling, default_sampling, effect, read_sampling, sampled
from surgsigma_dagster.dialogue.task import tasks
from surgsigma_dagster.schema.tables import TABLES, SamplingEffect, SamplingPolicy, Selection
from surgsigma_dagster.sources.config import load_sources
from surgsigma_dagster.sources.errors import SourceError

SOME = settings(max_examples=40, deadline=None)
NO_LIMIT = {
    "seconds_between": 0, "near_duplicate_bits": None, "class_ratio": None, "negatives": 1, "multiple_choice": 1,
    "conversations_a_video": None, "conversations": None, "at_least": 0,
}  # fmt: skip
TASK = "phase_recognition"


def policy(**limits: Any) -> Sampling:
    return Sampling.model_validate({"version": 1, "every_task": {**NO_LIMIT, **limits}})


def asked(*scenes: dict[str, Any], forms: tuple[str, ...] = ("open",)) -> tuple[pl.LazyFrame, ...]:
    """Conversations, scenes and frames: a scene is video, answer, at (s), look, negative and split."""
    usual = {"video": "v", "answer": "a", "at": 0.0, "look": None, "negative": False, "split": "train"}
    facts = pl.DataFrame(
        [{**usual, "number": number, **one} for number, one in enumerate(scenes)],
        schema={"video": pl.String, "answer": pl.String, "at": pl.Float64, "look": pl.UInt64, "negative": pl.Boolean,
                "split": pl.String, "number": pl.Int64},
    ).with_columns(scene_id=pl.format("{}/{}", "video", "number"))  # fmt: skip
    columns = TABLES["conversations"].columns()
    talk = [
        facts.select(
            conversation_id=pl.format("{}/{}", pl.lit(form), "scene_id"),
            task=pl.lit(TASK),
            scene_id="scene_id",
            video_id="video",
            form=pl.lit(form).cast(columns["form"].dtype),
            split=pl.col("split").cast(columns["split"].dtype),
            status=pl.lit("accepted").cast(columns["status"].dtype),
            negative="negative",
            answer=pl.format('{{"phase":"{}"{}}}', "answer", pl.lit(',"option":"B"' if form[0] == "m" else "")),
        )
        for form in forms
    ]
    scenes_seen = facts.select("scene_id", frame_id="scene_id", start_s="at")
    frames = facts.select(frame_id="scene_id", frame_index="number", perceptual_hash="look")
    return pl.concat(talk).lazy(), scenes_seen.lazy(), frames.lazy()


def kept(tables: tuple[pl.LazyFrame, ...], **limits: Any) -> set[str]:
    found = sampled(*tables, policy(**limits), seed=7)
    Selection.validate(found)
    assert found.height == tables[0].collect().height
    assert (found["rule"].is_null() == found["kept"]).all()
    return set(found.filter("kept")["conversation_id"])


def numbers(ids: set[str]) -> list[int]:
    return sorted(int(one.split("/")[-1]) for one in ids)


MIXED = [
    {"video": f"v{k % 4}", "answer": "abbbbbbbbbcd"[k % 12], "at": float(k), "negative": k % 3 == 0} for k in range(240)
]
FORMS = ("open", "multiple choice", "multi turn")


def test_without_limits_everything_is_kept() -> None:
    assert len(kept(asked(*MIXED, forms=FORMS))) == 720


@SOME
@given(
    st.lists(st.tuples(st.integers(0, 40), st.sampled_from("ab"), st.sampled_from("vw")), max_size=30, unique=True),
    st.integers(1, 9),
)
def test_scenes_with_one_answer_are_far_apart_and_none_falls_without_need(
    when: list[tuple[int, str, str]], gap: int
) -> None:
    left = kept(
        asked(*({"at": at / 2, "answer": answer, "video": video} for at, answer, video in when)),
        seconds_between=gap / 2,
    )
    expected, last = [], dict[tuple[str, str], int]()
    for at, answer, video, number in sorted((*one, k) for k, one in enumerate(when)):
        if at - last.get((answer, video), -100) >= gap:
            last[answer, video] = at
            expected.append(number)
    assert numbers(left) == sorted(expected)


@SOME
@given(
    st.lists(st.tuples(st.sampled_from([0, 1, 3, 7, 15, 2**63]), st.sampled_from("vw")), max_size=80),
    st.integers(0, 3),
)
def test_a_frame_like_the_last_one_kept_is_left_out(looks: list[tuple[int, str]], bits: int) -> None:
    scenes = [{"look": look, "video": video, "at": float(k)} for k, (look, video) in enumerate(looks)]
    expected, last = [], dict[str, tuple[int, int]]()
    places = dict.fromkeys("vw", 0)
    for k, (look, video) in enumerate(looks):
        place = places[video] = places[video] + 1
        before = last.get(video)
        if before is None or (look ^ before[0]).bit_count() > bits or place - before[1] >= RUN:
            last[video] = (look, place)
            expected.append(k)
    assert numbers(kept(asked(*scenes), near_duplicate_bits=bits)) == expected


def test_frames_without_time_are_compared_in_the_order_of_their_numbers_and_never_too_near() -> None:
    scenes = [{"look": look, "at": None} for look in (0, 0, 2**63 - 1, 2**63 - 1, 0)]
    assert numbers(kept(asked(*scenes), near_duplicate_bits=2)) == [0, 2, 4]
    assert len(kept(asked(*scenes), seconds_between=5)) == 5


def test_a_frame_without_a_hash_is_no_duplicate() -> None:
    assert len(kept(asked(*[{"look": None}] * 5), near_duplicate_bits=2)) == 5


def test_the_commonest_answer_is_cut_to_its_ratio_and_the_others_are_not() -> None:
    left = kept(asked(*MIXED), class_ratio=2)
    by_answer = {answer: sum(MIXED[number]["answer"] == answer for number in numbers(left)) for answer in "abcd"}
    assert by_answer == {"a": 20, "b": 40, "c": 20, "d": 20}


def test_the_commonest_answer_keeps_what_every_task_keeps() -> None:
    left = kept(asked(*MIXED), class_ratio=1, at_least=100)
    assert sum(MIXED[number]["answer"] == "b" for number in numbers(left)) == 100


@pytest.mark.parametrize(("share", "n"), [(0.2, 40), (0.0, 0), (0.5, 80), (1.0, 80)])
def test_negatives_are_cut_to_their_share(share: float, n: int) -> None:
    left = kept(asked(*MIXED), negatives=share)
    assert sum(MIXED[number]["negative"] for number in numbers(left)) == n
    assert sum(not MIXED[number]["negative"] for number in numbers(left)) == 160


@pytest.mark.parametrize("share", [0, 0.2, 0.5, 1])
def test_multiple_choice_has_its_share_and_the_open_form_stays(share: float) -> None:
    many = asked(*({"video": f"v{k}"} for k in range(3000)), forms=("open", "multiple choice"))
    left = kept(many, multiple_choice=share)
    choices = [one for one in left if one.startswith("multiple choice")]
    assert len(left) - len(choices) == 3000
    assert len(choices) / len(left) == pytest.approx(min(share, 0.5), abs=0.02)


def test_caps_hold_for_every_video_and_for_the_task_and_forms_fall_together() -> None:
    left = kept(asked(*MIXED, forms=FORMS), conversations_a_video=33, conversations=100)
    assert len(left) == 99  # a scene is three conversations
    assert all(sum(f"/v{k}/" in one for one in left) <= 33 for k in range(4))
    scenes = {form: {one.partition("/")[2] for one in left if one.startswith(form)} for form in FORMS}
    assert scenes["open"] == scenes["multiple choice"] == scenes["multi turn"]
    assert len({number % 12 for number in numbers(left)}) > 6  # by hash, not the first ones


HARSH = {
    "seconds_between": 1000, "near_duplicate_bits": 32, "class_ratio": 1, "negatives": 0, "multiple_choice": 0.1,
    "conversations_a_video": 1, "conversations": 30,
}  # fmt: skip


def test_no_task_is_left_with_less_than_it_is_to_keep() -> None:
    assert len(kept(asked(*MIXED), **HARSH)) <= 4
    assert len(kept(asked(*MIXED), **HARSH, at_least=20)) == 20
    assert len(kept(asked(*MIXED), **HARSH, at_least=50)) == 30, "the cap of the task is a cap"
    assert len(kept(asked(*MIXED[:5]), **HARSH, at_least=20)) == 5


@pytest.mark.parametrize("split", ["val", "test"])
def test_validation_and_test_keep_their_distribution(split: str) -> None:
    assert len(kept(asked(*({**one, "split": split} for one in MIXED), forms=FORMS), **HARSH)) == 720


def test_what_was_rejected_is_kept_nowhere() -> None:
    talk, scenes, frames = asked({"split": "test"}, {})
    talk = talk.with_columns(status=pl.lit("rejected").cast(TABLES["conversations"].columns()["status"].dtype))
    found = sampled(talk, scenes, frames, policy(at_least=10), seed=7)
    assert found["rule"].to_list() == ["rejected", "rejected"]


def test_the_order_of_rows_decides_nothing() -> None:
    tables = asked(*MIXED, forms=FORMS)
    limits = {**HARSH, "negatives": 0.3, "seconds_between": 5, "conversations_a_video": 20, "at_least": 10}
    turned = tuple(table.reverse() for table in tables)
    assert kept(turned, **limits) == kept(tables, **limits)


def test_a_new_video_changes_nothing_about_those_that_were_there() -> None:
    limits = {"seconds_between": 5, "near_duplicate_bits": 1, "conversations_a_video": 9}
    before = kept(asked(*MIXED), **limits)
    after = kept(asked(*MIXED, *({"video": "new", "at": float(k)} for k in range(50))), **limits)
    assert {one for one in after if "/new/" not in one} == before


def test_the_effect_tells_what_every_rule_took() -> None:
    talk, scenes, frames = asked(*MIXED, forms=FORMS)
    limits = {"seconds_between": 9, "class_ratio": 2, "negatives": 0.2, "multiple_choice": 0.2, "conversations": 150}
    selection = sampled(talk, scenes, frames, policy(**limits), seed=7)
    found = effect(talk, selection.lazy())
    SamplingEffect.validate(found)
    for form in FORMS:
        rows = {row["rule"]: row for row in found.filter(pl.col("form").cast(pl.String) == form).to_dicts()}
        whole = rows.pop("all")
        taken = selection.filter(pl.col("conversation_id").str.starts_with(form), ~pl.col("kept"))["rule"]
        assert {rule: row["n_before"] - row["n_after"] for rule, row in rows.items()} == dict(
            taken.value_counts().iter_rows()
        )
        steps = [rows[rule] for rule in STAGES if rule in rows]
        assert [row["n_before"] for row in steps] == [240, *(row["n_after"] for row in steps[:-1])]
        assert (whole["n_before"], whole["n_after"]) == (240, steps[-1]["n_after"])
        assert whole["n_classes_before"] == 4
        assert whole["commonest_before"] == pytest.approx(0.75)
        assert whole["commonest_after"] < 0.7
        assert whole["negatives_before"] == pytest.approx(1 / 3)
        assert whole["negatives_after"] < 0.3
        assert whole["multiple_choice_before"] == pytest.approx(1 / 3)
        assert whole["multiple_choice_after"] < 0.3


def test_boxes_are_one_answer_wherever_they_are() -> None:
    talk, scenes, frames = asked({"at": 0.0}, {"at": 1.0}, {"at": 2.0})
    box = (
        '{"boxes":[{"concept_id":"instrument/%s","x1":%s,"y1":null,"x2":80.5,"y2":7e-3}],"unit":"pixel","size":[8,%s]}'
    )
    answers = [box % ("hook", 1.5, 4), box % ("hook", -20, 9), box % ("grasper", 1.5, 4)]
    talk = talk.with_columns(task=pl.lit("instrument_localization"), answer=pl.Series(answers))
    assert numbers(kept((talk, scenes, frames), seconds_between=60)) == [0, 2]


# The file


def test_the_default_policy_is_mild_on_little_and_known_for_every_task() -> None:
    table = default_sampling().table()
    SamplingPolicy.validate(table)
    assert set(table["task"]) == set(tasks())
    few = asked(*({**one, "at": k / 10, "look": 0} for k, one in enumerate(MIXED[:60])), forms=FORMS)
    found = sampled(*few, default_sampling(), seed=7)
    assert found["kept"].all()


def test_a_task_states_only_what_is_its_own(tmp_path: Path) -> None:
    file = tmp_path / "sampling.yaml"
    limits = "\n".join(f"  {key}: {'null' if value is None else value}" for key, value in NO_LIMIT.items())
    file.write_text(f"version: 3\nevery_task:\n{limits}\ntasks:\n  {TASK}: {{conversations: 5}}\n")
    found = read_sampling(file)
    assert found.limits(TASK).model_dump() == NO_LIMIT | {"conversations": 5}
    assert found.limits("desmoking").conversations is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("tasks: {telling: {negatives: 0.1}}", "tasks: expected names of tasks, of .*, found telling"),
        ("tasks: {phase_recognition: {negatives: 2}}", "tasks.phase_recognition.negatives: .*less than or equal to 1"),
        ("tasks: {phase_recognition: {cap: 2}}", "tasks.phase_recognition.cap"),
        ("tasks: [phase_recognition]", "tasks"),
        ("every_task: {negatives: 0.1}", "every_task.seconds_between"),
        ("every_task: 3", "every_task"),
        ("version: [", "readable YAML"),
    ],
)
def test_a_policy_that_cannot_be_kept_is_an_error_that_names_the_key(change: str, said: str, tmp_path: Path) -> None:
    file = tmp_path / "sampling.yaml"
    limits = ", ".join(f"{key}: {'null' if value is None else value}" for key, value in NO_LIMIT.items())
    lines = {"version": "version: 1", "every_task": f"every_task: {{{limits}}}"} | {change.split(":")[0]: change}
    file.write_text("\n".join(lines.values()))
    with pytest.raises(SourceError, match=said) as found:
        read_sampling(file)
    assert str(file) in str(found.value)


def test_sources_yaml_names_a_policy_of_its_own_and_a_bad_one_is_found_before_a_build(tmp_path: Path) -> None:
    listed = "sources: [{name: lab, dataset: in_house, root: lab}]\nsampling: own.yaml\n"
    (tmp_path / "sources.yaml").write_text(listed)
    limits = ", ".join(f"{key}: {'null' if value is None else value}" for key, value in NO_LIMIT.items())
    (tmp_path / "own.yaml").write_text(f"version: 1\nevery_task: {{{limits}}}")
    assert load_sources(tmp_path / "sources.yaml").sampling == tmp_path / "own.yaml"
    (tmp_path / "own.yaml").write_text("version: 1")
    with pytest.raises(SourceError, match=r"own\.yaml, every_task"):
        load_sources(tmp_path / "sources.yaml")
