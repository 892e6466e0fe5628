"""`surgsigma`: the same job on the same Dagster instance as the UI, from a terminal.

Exit codes: 0 done, 1 bad input, a failed stage or a failed rule of severity error, 2 wrong usage, 130 interrupted.
"""

import json
import os
import shlex
import shutil
import sys
import time
import warnings
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
sources_app = typer.Typer(no_args_is_help=True, help="Look at sources before building.")
app.add_typer(sources_app, name="sources")
say = Console(stderr=True, highlight=False)

HomeOption = Annotated[Path, typer.Option("--home", help="Folder of the corpus.", envvar="SURGSIGMA_HOME")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document on standard output.")]
HOME = Path("surgsigma-home")
_UNBROKEN = 28  # letters: a dataset or a task is one word to copy, in a narrow terminal too


def main() -> None:
    """Entry point: bad input is one line, not a traceback."""
    # Dagster announces its beta parameters to whoever imports an asset; a user can do nothing about it.
    warnings.filterwarnings("ignore", module="dagster")
    from surgsigma_dagster.runs import BusyError
    from surgsigma_dagster.sources.errors import SourceError
    from surgsigma_dagster.video.binary import MediaError

    try:
        app()
    except (BusyError, SourceError, MediaError) as error:
        say.print(f"[red]error:[/] {escape(str(error))}", soft_wrap=True)
        sys.exit(1)


def _print(document: dict[str, Any], as_json: bool) -> None:
    if as_json:
        print(json.dumps(document, indent=2, default=str))


def _table(title: str, rows: list[dict[str, Any]], brief: Sequence[str] = ()) -> None:
    """A table for a terminal; where it does not fit, its columns `brief` alone, or else a line a cell."""
    if not rows:
        return
    table = Table(title=title, title_justify="left")
    for name in rows[0]:
        numeric = all(isinstance(row[name], int | float) for row in rows)
        words = [max(map(len, _shown(row[name]).split()), default=0) for row in rows]
        table.add_column(
            name.replace("_", " "),
            justify="right" if numeric else "left",
            overflow="fold",
            min_width=min(max(words), _UNBROKEN),
        )
    for row in rows:
        table.add_row(*(_shown(value) for value in row.values()))
    if say.measure(table, options=say.options.update(width=1000)).minimum <= say.width:
        say.print(table)
    elif brief:
        _table(title, [{name: row[name] for name in brief} for row in rows])
        say.print(f"[dim]also: {', '.join(name for name in rows[0] if name not in brief)}: --json or --markdown[/]")
    else:
        cells = Table.grid(padding=(0, 2))
        for row in rows:
            for name, value in row.items():
                cells.add_row(name.replace("_", " "), _shown(value))
            cells.add_row()
        say.print(f"[italic]{title}[/]", cells, sep="\n")


def _shown(value: object) -> str:
    if value is None:
        return ""
    return ("✓" if value else "✗") if isinstance(value, bool) else escape(str(value))


@app.command()
def demo(home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Draw the sample sources and build a corpus from them: the whole chain, in about a minute."""
    from surgsigma_dagster.samples import write_samples
    from surgsigma_dagster.video.binary import binary

    home = home.resolve()
    began = time.monotonic()
    with say.status("drawing the sample sources"):
        sources = write_samples(home / "samples", binary("ffmpeg"))
    say.print(f"[green]✓[/] {'samples':<18} {time.monotonic() - began:6.1f} s  {home / 'samples'}")
    _build(home, sources, None, as_json)


@app.command()
def build(
    sources: Annotated[Path, typer.Option("--sources", help="A sources.yaml.", exists=True, dir_okay=False)],
    home: HomeOption = HOME,
    select: Annotated[
        str | None, typer.Option(help="Dagster asset selection, e.g. '*conversations' for all up to there.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Build or update the corpus of a sources.yaml. What is up to date is skipped; what was interrupted goes on."""
    _build(home.resolve(), sources.resolve(), select, as_json)


def _build(home_folder: Path, sources: Path, select: str | None, as_json: bool) -> None:
    from surgsigma_dagster.build import default_resources
    from surgsigma_dagster.runs import Home, rebuild

    home = Home(home_folder)
    home.prepare()
    resources = default_resources(home.root, sources)
    corpus, outputs = resources["corpus"], resources["outputs"]
    listing = corpus.listing()
    for source, error in listing.failed.items():
        say.print(f"[red]✗ {source}:[/] {escape(str(error))}", soft_wrap=True)
    if not listing.videos:
        say.print("[red]error:[/] the sources hold no video: nothing to build")
        raise typer.Exit(1)
    began = time.monotonic()
    try:
        result = rebuild(home, corpus, sources, select)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--select") from error
    except KeyboardInterrupt as error:
        say.print("interrupted: the same command goes on from what is finished")
        raise typer.Exit(130) from error
    qa = corpus.lake.read("qa_results").select("rule", "severity", "status", "n_failed").to_dicts()
    not_passed = [row for row in qa if row["status"] != "pass"]
    made = {
        "tables": Path(resources["warehouse"].path),
        "release": outputs.release_folder,
        "report": outputs.report_path,
    }
    document = {
        "success": result.success,
        "run_id": result.run_id,
        "seconds": round(time.monotonic() - began, 1),
        "conversations": _rows(corpus, "conversations"),
        "rejects": _rows(corpus, "rejects"),
        "qa_not_passed": not_passed,
        **{name: str(path) for name, path in made.items() if path.exists()},
        "ui": f"surgsigma ui --home {shlex.quote(str(home.root))}",
    }
    _print(document, as_json)
    if not as_json:
        verdict = "[green]built[/]" if result.success else "[red]not everything was built[/]"
        errors = sum(row["severity"] == "error" for row in not_passed)
        warned = len(not_passed) - errors
        say.print(
            f"\n{verdict}: {document['conversations']:,} conversations, {document['rejects']:,} rejects, "
            f"{errors} error{'s' * (errors != 1)} and {warned} warning{'s' * (warned != 1)} from the quality rules, "
            f"{document['seconds']} s"
        )
        for name in (*made, "ui"):
            if name in document:
                say.print(f"  {name:<8} {document[name]}", soft_wrap=True, markup=False)
    raise typer.Exit(0 if result.success else 1)


def _rows(corpus: Any, table: str) -> int:
    import polars as pl

    return int(corpus.lake.scan(table).select(pl.len()).collect().item())


def _must_exist(sources: Path) -> None:
    if not sources.exists():
        say.print(f"[red]error:[/] no corpus at {sources.parent}; make one with: surgsigma demo", soft_wrap=True)
        raise typer.Exit(1)


@app.command()
def plan(
    sources: Annotated[Path, typer.Option("--sources", exists=True, dir_okay=False)],
    home: HomeOption = HOME,
    as_json: JsonOption = False,
) -> None:
    """Say what a build would do, before anything runs: videos, hours, frames, bytes, and what is up to date."""
    from surgsigma_dagster.build import default_resources
    from surgsigma_dagster.plan import planned

    rows, failed = planned(default_resources(home.resolve(), sources.resolve())["corpus"])
    _print({"sources": rows, "failed": failed}, as_json)
    if not as_json:
        _table("would be built", rows)
        for source, error in failed.items():
            say.print(f"[red]✗ {source}:[/] {escape(error)}", soft_wrap=True)
        there = next(folder for folder in (home.resolve(), *home.resolve().parents) if folder.exists())
        say.print(f"free at {there}: {shutil.disk_usage(there).free / 1e9:.1f} GB", soft_wrap=True)
    raise typer.Exit(1 if failed else 0)


@app.command()
def status(home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """What this home holds: tables, done units by stage, the last runs."""
    from surgsigma_dagster.build import default_resources
    from surgsigma_dagster.runs import Home, instance
    from surgsigma_dagster.schema.tables import TABLES

    root = Home(home.resolve())
    _must_exist(root.sources)
    root.prepare()
    corpus = default_resources(root.root)["corpus"]
    stages = [{"stage": stage, "videos done": len(corpus.lake.marks(stage))} for stage in corpus.lake.names("done")]
    tables = [{"table": name, "rows": _rows(corpus, name)} for name in TABLES]
    with instance() as dagster:
        runs = [
            {"run": run.run_id[:8], "job": run.job_name, "status": run.status.value}
            for run in dagster.get_runs(limit=5)
        ]
    _print({"home": str(root.root), "stages": stages, "tables": tables, "runs": runs}, as_json)
    if not as_json:
        for title, rows in (("stages", stages), ("tables", tables), ("last runs", runs)):
            _table(title, rows)


@app.command()
def ui(
    home: HomeOption = HOME,
    port: Annotated[int, typer.Option(help="Port on 127.0.0.1.")] = 3000,
) -> None:
    """Start the Dagster web UI and daemon on this home, for this machine only (127.0.0.1)."""
    from surgsigma_dagster.runs import Home

    root = Home(home.resolve())
    _must_exist(root.sources)
    root.prepare()
    say.print(f"Dagster UI of {root.root}: http://127.0.0.1:{port}", soft_wrap=True)
    dagster = str(Path(sys.executable).with_name("dagster"))
    os.execv(dagster, [dagster, "dev", "-w", str(root.workspace), "-h", "127.0.0.1", "-p", str(port)])


@app.command()
def doctor(home: HomeOption = HOME, as_json: JsonOption = False) -> None:
    """Check what a build needs: ffmpeg and its codecs, versions, disk; says what is missing and how to get it."""
    from surgsigma_dagster.doctor import examined

    rows = examined(home.resolve())
    _print({"checks": rows}, as_json)
    if not as_json:
        _table("doctor", rows)
    raise typer.Exit(0 if all(row["ok"] for row in rows) else 1)


@sources_app.command("check")
def check(
    sources: Annotated[Path, typer.Argument(help="A sources.yaml.", exists=True, dir_okay=False)],
    as_json: JsonOption = False,
) -> None:
    """Read every label file of a sources.yaml and report counts, rejects, unmapped values and licences at once."""
    from surgsigma_dagster.inspection import checked
    from surgsigma_dagster.sources.config import load_sources

    found = checked(load_sources(sources))
    _print(found, as_json)
    if not as_json:
        for title in ("sources", "problems", "unmapped"):
            _table(title, found[title])
    raise typer.Exit(1 if any(row["severity"] == "error" for row in found["problems"]) else 0)


@sources_app.command("list")
def list_datasets(
    as_json: JsonOption = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table of docs/sources.md.")] = False,
) -> None:
    """Which datasets are read, what they feed, and on what terms."""
    from surgsigma_dagster.dialogue.task import tasks_fed
    from surgsigma_dagster.sources.adapter import adapters

    rows: list[dict[str, Any]] = [
        {
            "dataset": name,
            "title": adapter.title,
            "specialty": adapter.specialty,
            "procedure": (adapter.procedure_type or "stated by the source").removeprefix("procedure/"),
            "tasks": ", ".join(tasks_fed(adapter.yields, timed=adapter.timed, partial=adapter.partial)),
            "licence": adapter.licence.name,
            "may be released": "yes" if adapter.licence.redistribution else "no",
            "format known from": adapter.format_source,
            "tested on": "real files" if adapter.tested_on_real_files else "documented format",
        }
        for name, adapter in adapters().items()
    ]
    _listed("datasets", rows, as_json, markdown, ("dataset", "licence", "may be released"))


def _listed(title: str, rows: list[dict[str, Any]], as_json: bool, markdown: bool, brief: Sequence[str]) -> None:
    """A list as JSON, as the table of a page in docs/, or for a terminal; the first column is an id."""
    _print({title: rows}, as_json)
    if markdown:
        heads = list(rows[0])
        cells = ([f"`{next(iter(row.values()))}`", *list(row.values())[1:]] for row in rows)
        print("\n".join("| " + " | ".join(line) + " |" for line in (heads, ["---"] * len(heads), *cells)))
    elif not as_json:
        _table(title, rows, brief)


@app.command("tasks")
def list_tasks(
    as_json: JsonOption = False,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the table of docs/tasks.md.")] = False,
) -> None:
    """The 18 tasks: what each shows and asks for, the labels it is made from, and how an answer is scored."""
    from surgsigma_dagster.dialogue.task import tasks

    rows: list[dict[str, Any]] = [
        {
            "task": name,
            "group": task.group,
            "shows": ", ".join(task.inputs).replace("_", " "),
            "asks for": ", ".join(task.targets).replace("_", " ") or "words",
            "labels (any of)": ", ".join(task.needs),
            "choice": "yes" if task.correct is not None else "no",
            "grammar": task.grammar,
            "metric": task.metric,
            "questions": str(len(task.templates.questions)),
        }
        for name, task in tasks().items()
    ]
    _listed("tasks", rows, as_json, markdown, ("task", "shows", "metric"))


@sources_app.command("detect")
def detect(
    location: Annotated[
        str, typer.Argument(metavar="PATH", help="A folder or s3:// prefix, or one that holds several.")
    ],
    write: Annotated[
        Path | None, typer.Option("--write", help="A sources.yaml that gets the entries it lacks.", dir_okay=False)
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Name the datasets in a folder or bucket (or inside it), with the evidence, as sources.yaml entries."""
    from surgsigma_dagster.detection import detected, entries, holds_footage, write_entries
    from surgsigma_dagster.sources.bucket import is_bucket
    from surgsigma_dagster.sources.sidecar import EXAMPLE, SIDECAR

    if not is_bucket(location) and not Path(location).is_dir():
        raise typer.BadParameter(f"no folder {location}", param_hint="PATH")
    rows = detected(location)
    added = write_entries(rows, write.resolve()) if write and rows else []
    _print({"found": rows, **({"added": added} if write else {})}, as_json)
    if not as_json:
        _table("found", rows)
        several = [row["root"] for row in rows]
        for root in sorted({root for root in several if several.count(root) > 1}):
            say.print(f"[yellow]! several datasets fit {escape(root)}: keep the entries that are meant", soft_wrap=True)
        if write and rows:
            say.print(f"{write}: {len(added)} entries added", soft_wrap=True)
        elif rows:
            print("sources:", *entries(rows), sep="\n")
        else:
            say.print(f"nothing recognised in {escape(location)} or up to two folders below it", soft_wrap=True)
            if not is_bucket(location) and holds_footage(Path(location)):
                say.print(
                    "Videos lie there. Of an in-house source, intervals stand in a csv (start,end,track,label) beside "
                    f"each video, and a {SIDECAR} in the folder says what the files cannot say of themselves:\n",
                    soft_wrap=True,
                )
                say.print(EXAMPLE, markup=False, soft_wrap=True)
    raise typer.Exit(0 if rows else 1)


@sources_app.command("defects")
def defects(
    folder: Annotated[Path, typer.Argument(help="A release with known defects.", exists=True, file_okay=False)],
    as_json: JsonOption = False,
) -> None:
    """Count the known defects of a release (SurgΣ-DB v0.1), and say what is done about each."""
    from surgsigma_dagster.detection import detected
    from surgsigma_dagster.sources.adapter import adapters

    rows = [
        {"dataset": row["dataset"], **found}
        for row in detected(str(folder))
        for found in adapters()[row["dataset"]].defects(Path(row["root"])).to_dicts()
    ]
    _print({"defects": rows}, as_json)
    if not as_json:
        _table("defects", rows)
        if not rows:
            say.print("no dataset with known defects here")


@sources_app.command("fetch")
def fetch(
    folder: Annotated[
        Path, typer.Argument(help="A folder with a web video manifest.csv.", exists=True, file_okay=False)
    ],
) -> None:
    """Download what a web video manifest lists and the folder lacks (needs the extra [web])."""
    from surgsigma_dagster.sources.web import fetch as download

    came, failed = download(folder.resolve())
    say.print(f"{len(came)} downloaded, {len(failed)} failed")
    for error in failed:
        say.print(f"[red]✗[/] {escape(str(error))}", soft_wrap=True)
    raise typer.Exit(1 if failed else 0)


@app.command("version")
def show_version() -> None:
    """Print the version."""
    print(version("surgsigma-dagster"))


if __name__ == "__main__":
    main()
