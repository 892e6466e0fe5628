import json
import re
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import polars as pl
import pytest

from surgsigma_dagster.sources.errors import SourceError
from surgsigma_dagster.vocabulary.concepts import NOTHING, aliases, concepts, normalised, read_concepts

DATASETS = [
    "cholec80", "cholect50", "endoscapes", "in_house", "m2cai16_tool_locations", "multibypass140", "psi_ava",
]  # fmt: skip
REAL = Path(__file__).parents[3] / "shared" / "labels"
CALOT = "phase/cholecystectomy/calot_triangle_dissection"

DOCUMENTED = {
    "cholec80": {
        "phase": [
            "Preparation", "CalotTriangleDissection", "ClippingCutting", "GallbladderDissection",
            "GallbladderPackaging", "CleaningCoagulation", "GallbladderRetraction",
        ],
        "instrument": ["Grasper", "Bipolar", "Hook", "Scissors", "Clipper", "Irrigator", "SpecimenBag"],
    },
    "endoscapes": {
        "object": ["cystic_plate", "calot_triangle", "cystic_artery", "cystic_duct", "gallbladder", "tool"],
        "criterion": ["C1", "C2", "C3"],
    },
    "multibypass140": {  # steps that no file of the shared half holds
        "step": ["s35_staple_line_reinforcement", "s38_anastomosis_fixation"],
    },
}  # fmt: skip


def real_values(dataset: str) -> Iterator[tuple[str, str]]:
    """(field, verbatim value) of every label in the real files."""
    if dataset == "cholect50":
        for file in (REAL / "cholect50" / "labels").glob("*.json"):
            categories = json.loads(file.read_text("utf-8"))["categories"]
            for field in ("instrument", "verb", "target", "phase"):
                yield from ((field, value) for value in categories[field].values())
            for triplet in categories["triplet"].values():
                yield from zip(("instrument", "verb", "target"), triplet.split(","), strict=True)
    elif dataset == "multibypass140":
        for file in (REAL / "multibypass140").rglob("*.mp4.json"):
            tracks = json.loads(file.read_text("utf-8"))
            for item in tracks["phases"]:
                overlay = item["label_name"] in ("out_of_body", "severe_index")
                yield ("event" if overlay else "phase"), item["label_name"]
            yield from (("step", item["label_name"]) for item in tracks["steps"])
    elif dataset == "psi_ava":
        fields = {"TOOLS": "instrument", "ACTIONS": "verb", "PHASES": "phase", "STEPS": "step"}
        for file in (REAL / "psi-ava").rglob("surgery_*_list.pbtxt"):
            field = fields[file.name.split("_")[1]]
            yield from ((field, name) for name in re.findall(r'name: "(.*)"', file.read_text("utf-8")))
        keys = {"categories": "instrument", "action_categories": "verb", "phase_categories": "phase",
                "step_categories": "step"}  # fmt: skip
        for file in (REAL / "psi-ava").rglob("*coco*.json"):
            document = json.loads(file.read_text("utf-8"))
            yield from ((field, item["name"]) for key, field in keys.items() for item in document[key])
    else:
        root = REAL / "m2cai16-tool-locations"
        for line in (root / "class_list.txt").read_text("utf-8").splitlines():
            yield "instrument", line.split()[1]
        for file in root.glob("Annotations/*.xml"):
            for name in ElementTree.parse(file).iterfind("object/name"):
                yield "instrument", name.text or ""


def mapped(dataset: str, field: str, value: str, extra: Path | None = None) -> str | None:
    found = aliases(dataset, extra).filter(field=field)
    key = normalised(pl.lit(value))
    hit = found.filter(pl.when("by_name").then(pl.col("raw_value") == key).otherwise(pl.col("raw_value") == value))
    return hit["concept_id"].item() if hit.height else None


def alias_file(folder: Path, text: str) -> Path:
    file = folder / "ours.yaml"
    file.write_text(text, encoding="utf-8")
    return file


@pytest.mark.parametrize("dataset", ["cholect50", "m2cai16_tool_locations", "multibypass140", "psi_ava"])
def test_every_verbatim_value_of_the_real_files_is_a_concept(dataset: str) -> None:
    if not REAL.is_dir():
        pytest.skip("needs the real label files in ../shared/labels")
    values = set(real_values(dataset))
    known = set(aliases(dataset).select("field", "raw_value").iter_rows())
    assert values, "no values found: the files have moved"
    assert values - known == set()


@pytest.mark.parametrize("dataset", DOCUMENTED)
def test_every_documented_value_is_a_concept(dataset: str) -> None:
    known = set(aliases(dataset).select("field", "raw_value").iter_rows())
    documented = {(field, value) for field, values in DOCUMENTED[dataset].items() for value in values}
    assert documented - known == set()


def test_three_spellings_of_calot_triangle_dissection_are_one_concept() -> None:
    assert mapped("cholec80", "phase", "CalotTriangleDissection") == CALOT
    assert mapped("cholect50", "phase", "carlot-triangle-dissection") == CALOT
    assert mapped("in_house", "phase", "calot triangle dissection") == CALOT


def test_gallbladder_retraction_and_extraction_are_one_phase() -> None:
    one = {
        mapped("cholec80", "phase", "GallbladderRetraction"),
        mapped("cholect50", "phase", "gallbladder-extraction"),
    }
    assert one == {"phase/cholecystectomy/gallbladder_extraction"}


def test_english_and_spanish_names_of_a_phase_are_one_concept() -> None:
    left = "phase/prostatectomy/left_pelvic_lymphadenectomy"
    assert mapped("psi_ava", "phase", "LPIL") == mapped("psi_ava", "phase", "LPAI") == left
    assert mapped("psi_ava", "phase", "Vesículas_Seminales") == mapped("psi_ava", "phase", "Seminal_Vesicles")


def test_laparoscopic_and_robotic_bipolar_forceps_stay_apart() -> None:
    assert mapped("cholect50", "instrument", "bipolar") != mapped("psi_ava", "instrument", "Bipolar Forceps")


def test_criteria_of_the_critical_view_sort_in_their_order() -> None:
    ids = [mapped("endoscapes", "criterion", name) for name in ("C1", "C2", "C3")]
    assert ids == sorted(concepts().filter(kind="criterion")["concept_id"])


@pytest.mark.parametrize("value", ["Calot_Triangle-Dissection", "  hepatocystic triangle  dissection", CALOT])
def test_in_house_labels_match_names_synonyms_and_ids_whatever_the_spelling(value: str) -> None:
    assert mapped("in_house", "phase", value) == CALOT


def test_camel_case_is_not_taken_apart() -> None:
    assert mapped("in_house", "phase", "CalotTriangleDissection") is None


@pytest.mark.parametrize(("field", "value"), [("phase", "preparation"), ("instrument", "bipolar forceps")])
def test_a_name_of_two_concepts_is_not_accepted(field: str, value: str) -> None:
    assert mapped("in_house", field, value) is None


def test_a_name_of_another_kind_is_not_accepted() -> None:
    assert mapped("in_house", "phase", "grasper") is None


def test_a_source_that_does_not_accept_names_maps_verbatim_values_only() -> None:
    assert not aliases("cholec80")["by_name"].any()
    assert mapped("cholec80", "phase", "calot triangle dissection") is None


def test_a_users_file_adds_values_and_overrides_packaged_ones(tmp_path: Path) -> None:
    extra = alias_file(
        tmp_path,
        "dataset: cholec80\nversion: 1\nphase:\n  Prep: phase/cholecystectomy/preparation\n"
        "  ClippingCutting: phase/cholecystectomy/preparation\n",
    )
    assert mapped("cholec80", "phase", "Prep", extra) == "phase/cholecystectomy/preparation"
    assert mapped("cholec80", "phase", "ClippingCutting", extra) == "phase/cholecystectomy/preparation"
    assert mapped("cholec80", "phase", "CalotTriangleDissection", extra) == CALOT
    assert mapped("cholec80", "phase", "Prep") is None


def test_a_value_may_be_said_to_mean_nothing_whatever_the_packaged_file_says(tmp_path: Path) -> None:
    extra = alias_file(tmp_path, 'dataset: psi_ava\nversion: 1\nphase:\n  Idle: ~\n  "-": "~"\n')
    assert mapped("psi_ava", "phase", "Idle", extra) == mapped("psi_ava", "phase", "-", extra) == NOTHING
    assert mapped("psi_ava", "phase", "Idle") == "phase/prostatectomy/idle"
    assert mapped("psi_ava", "step", "Idle", extra) == "step/prostatectomy/idle"


def test_a_value_that_says_nothing_is_not_taken_by_its_name(tmp_path: Path) -> None:
    extra = alias_file(tmp_path, "dataset: in_house\nversion: 1\nphase:\n  calot triangle dissection: ~\n")
    assert mapped("in_house", "phase", "calot triangle dissection", extra) == NOTHING


def test_a_users_verbatim_value_settles_an_ambiguous_name(tmp_path: Path) -> None:
    extra = alias_file(
        tmp_path, "dataset: in_house\nversion: 1\nphase:\n  preparation: phase/gastric_bypass/preparation\n"
    )
    assert mapped("in_house", "phase", "preparation", extra) == "phase/gastric_bypass/preparation"
    assert mapped("in_house", "phase", "calot triangle dissection", extra) == CALOT


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("phase:\n  Prep: phase/cholecystectomy/prep\n", ["phase: Prep", "phase/cholecystectomy/prep"]),
        ("phase:\n  Prep: instrument/hook\n", ["phase: Prep", "instrument/hook"]),
        ("phase:\n  A: phase/x\nstep:\n  B: step/y\n", ["phase: A", "phase/x", "step: B: step/y"]),
        ("phase:\n  Prep: gibberish\n", ["phase: Prep"]),
        ("phase:\n  Prep:\n", ["phase: Prep"]),
        ("phases:\n  Prep: phase/cholecystectomy/preparation\n", ["phases"]),
        ("step:\n  a: step/gastric_bypass/coagulation\n  a: step/prostatectomy/cut\n", ["'a' stands twice"]),
        ("step: [\n", ["readable YAML"]),
    ],
    ids=[
        "unknown concept",
        "other kind",
        "two at once",
        "no id",
        "left blank",
        "unknown section",
        "same key twice",
        "no YAML",
    ],
)
def test_a_faulty_alias_file_is_turned_down_naming_file_and_key(tmp_path: Path, text: str, words: list[str]) -> None:
    extra = alias_file(tmp_path, "dataset: cholec80\nversion: 1\n" + text)
    with pytest.raises(SourceError) as raised:
        aliases("cholec80", extra)
    assert all(word in str(raised.value) for word in [str(extra), *words])


def test_an_alias_file_for_another_dataset_is_turned_down(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="expected cholec80, found cholect50"):
        aliases("cholec80", alias_file(tmp_path, "dataset: cholect50\nversion: 1\n"))


def test_a_dataset_without_aliases_is_named_with_the_known_ones() -> None:
    with pytest.raises(SourceError, match=r"one of .*cholec80.*found cholec81"):
        aliases("cholec81")


GOOD = "- {id: event/x, name: one, definition: A thing., citation: 'Doe, 2020'}\n"


@pytest.mark.parametrize(
    ("second", "words"),
    [
        (GOOD, ["event/x", "id of its own"]),
        (GOOD.replace("event/x", "event/y"), ["event/y", "the name of event/x"]),
        (GOOD.replace("event/x", "tool/x"), ["tool/x", "id"]),
        (GOOD.replace("citation", "quote"), ["event/x", "quote"]),
        (GOOD.replace("event/x", "verb/x"), ["verb/x", "gerund, third_person"]),
        ("- nothing\n", ["entry 0"]),
    ],
    ids=["id twice", "name twice", "unknown kind", "unknown key", "verb without forms", "no mapping"],
)
def test_a_faulty_concept_is_turned_down_naming_file_and_id(tmp_path: Path, second: str, words: list[str]) -> None:
    (tmp_path / "a.yaml").write_text(GOOD, encoding="utf-8")
    (tmp_path / "b.yaml").write_text(second, encoding="utf-8")
    with pytest.raises(SourceError) as raised:
        read_concepts(tmp_path)
    assert all(word in str(raised.value) for word in [str(tmp_path / "b.yaml"), *words])


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_value_means_one_concept(dataset: str) -> None:
    listed = aliases(dataset)
    assert listed.columns == ["dataset", "field", "raw_value", "concept_id", "by_name"]
    assert not listed.select("field", "raw_value").is_duplicated().any()


def test_definitions_are_sentences_with_a_citation_that_can_be_looked_up() -> None:
    table = concepts()
    assert table["definition"].str.contains(r"^[A-Z].*\.$").all()
    assert table["citation"].str.contains(r"arXiv:\d{4}\.\d{5}|doi:10\.\d{4,}/\S|\d+:\d+-\d+, \d{4}").all()


def test_looks_are_phrases_that_fit_into_a_sentence() -> None:
    table = concepts().drop_nulls("appearance")
    assert table["appearance"].str.contains(r"^[a-z].*[a-z]$").all()


def test_every_article_fits_its_name() -> None:
    table = concepts().filter(pl.col("article").is_in(["a", "an"]))
    vowel = table["name"].str.contains("^[aeiou]")
    assert (table["article"] == "an").equals(vowel)


def test_a_phase_that_several_procedures_have_is_that_of_the_source() -> None:
    def preparation(procedure_type: str | None) -> list[str]:
        known = aliases("in_house", procedure_type=procedure_type)
        return known.filter(field="phase", raw_value="preparation")["concept_id"].to_list()

    assert preparation("procedure/cholecystectomy") == ["phase/cholecystectomy/preparation"]
    assert preparation("procedure/gastric_bypass") == ["phase/gastric_bypass/preparation"]
    assert preparation(None) == []
