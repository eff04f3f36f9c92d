"""Define the command `senformer` and its subcommands."""

from __future__ import annotations

import errno
import functools
import inspect
import json
import os
import signal
import sys
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any

import typer

from senformer import tf_environment
from senformer.experiments.memory_and_time.grid import Measurement, options

FAILURE, USAGE_ERROR = 1, 2
"""Exit statuses: the work failed; the user has to correct an input."""

_WRITE_ERRORS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO}

_PACKAGE = Path(__file__).resolve().parent

_FOR_A_CHECKOUT = ("run", "run-folder", "train", "check", "site", "publish", "pdf", "archive")
"""Commands that need the project's notebooks, profiles or book, which no wheel contains."""


class _Commands(typer.core.TyperGroup):
    """Report errors that a user can fix in one line, and bugs with a traceback."""

    def main(self, *args: Any, **options: Any) -> Any:
        tf_environment.open_closed_streams()
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is loaded
        for argument in options.get("args") or sys.argv[1:]:
            if any("\ud800" <= letter <= "\udfff" for letter in argument):
                typer.echo(f"senformer: {argument!a}: not UTF-8, expected UTF-8", err=True)
                raise SystemExit(USAGE_ERROR)
        return super().main(*args, **options)

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.Abort:
            raise
        except Exception as error:
            is_usage_error = hasattr(error, "exit_code")
            is_closed_pipe = getattr(error, "errno", None) == errno.EPIPE
            if is_usage_error or is_closed_pipe:
                raise
            from senformer.workflow import failures

            line = failures.line_for_user(error)
            if line is None:
                typer.echo(failures.bug_report(error), err=True)
                raise typer.Exit(FAILURE) from error
            typer.echo(f"senformer: {line}", err=True)
            numbers = {getattr(each, "errno", None) for each in (error, error.__cause__)}
            has_failed = bool(numbers & _WRITE_ERRORS) or failures.is_out_of_memory(error)
            has_failed |= isinstance(error, failures.NotebookError)
            raise typer.Exit(FAILURE if has_failed else USAGE_ERROR) from error


app = typer.Typer(
    cls=_Commands,
    help="Measure Enformer with sparse attention, and run and publish its report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def expect_checkout(context: typer.Context) -> None:
    """Check that a command that needs a checkout of the project has one."""
    command = context.invoked_subcommand
    if command in _FOR_A_CHECKOUT and not (_PACKAGE.parent / "notebooks" / "memory.py").is_file():
        raise FileNotFoundError(
            f"{command} needs a checkout of the project, but the package in {_PACKAGE} is "
            "installed without one; clone the repository and install it with `make setup`"
        )


def measure(
    *,
    folder: Annotated[
        Path | None, typer.Option(help="Folder that keeps the result; an existing one is reused.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    **fields: Any,
) -> None:
    """Measure the peak memory and the time of a training step."""
    from senformer.experiments.memory_and_time import measurements

    measurement = Measurement(**fields)
    if folder:
        row = measurements.measure_once(measurement, folder)
    else:
        row = measurements.measure(measurement)
    typer.echo(json.dumps(row) if as_json else _format_row(row))


def compile_step(
    *,
    device: Annotated[
        list[str] | None,
        typer.Option(help="GPU: a name or a file <name>.toml; can be repeated."),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Folder that keeps the rows; existing ones are reused.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per line and GPU.")
    ] = False,
    export: Annotated[
        Path | None,
        typer.Option(help="Only write the program for a GPU (StableHLO) to this file."),
    ] = None,
    **fields: Any,
) -> None:
    """Compile a training step for GPUs that need not be present, without running it."""
    from senformer.experiments.compiling import cards, compilations

    measurement = Measurement(**fields)
    devices = [cards.load_card(name) for name in device or []]
    tf_environment.load_tensorflow()
    if export:
        compilations.export(measurement, export)
        typer.echo(export)
        return
    if not devices:
        raise ValueError(f"no --device, expected one of {', '.join(cards.names())}")
    for row in compilations.compile_once(measurement, devices, folder):
        typer.echo(json.dumps(row) if as_json else _format_row(row))


def _add_measurement_options(
    command: Callable[..., None], *, without: Collection[str] = ()
) -> Callable[..., None]:
    """Return a command that replaces `**fields` by one option per field of `Measurement`.

    Args:
        command: A function that takes the fields as keyword arguments.
        without: Fields without an option.
    """
    fields = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=Annotated[
                field.annotation, typer.Option(f"--{option}", help=field.description)
            ],
            default=inspect.Parameter.empty if field.is_required() else field.default,
        )
        for name, option, field in options()
        if name not in without
    ]
    signature = inspect.signature(command, eval_str=True)
    others = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]

    @functools.wraps(command)
    def run_command(**arguments: Any) -> None:
        command(**arguments)

    run_command.__signature__ = signature.replace(parameters=[*fields, *others])  # type: ignore[attr-defined]
    return run_command


app.command()(_add_measurement_options(measure))
app.command("compile")(_add_measurement_options(compile_step, without=("steps", "budget_gb")))


_Profile = Annotated[str, typer.Option(help="Name of a folder in profiles/.")]
_Data = Annotated[str, typer.Option(help="Folder of real records; default: simulated data.")]
_Parameters = Annotated[
    list[str] | None,
    typer.Option("-p", metavar="NAME=VALUE", help="Set a parameter; can be repeated."),
]


@app.command()
def run(
    notebook: Annotated[str, typer.Argument(help="Name of a notebook, such as memory.")],
    profile: _Profile = "demo",
    data: _Data = "",
    parameter: _Parameters = None,
) -> None:
    """Execute a notebook and write its results to runs/."""
    from senformer.workflow import notebooks

    executed = notebooks.run(
        notebook, profile=profile, data=data or None, parameters=_parse_parameters(parameter)
    )
    typer.echo(executed)


@app.command("run-folder")
def run_folder(profile: _Profile = "demo", data: _Data = "") -> None:
    """Print the folder of a run's results."""
    from senformer.workflow import notebooks

    typer.echo(os.path.relpath(notebooks.run_folder(profile, data or None)))


@app.command()
def train(
    profile: _Profile = "demo",
    data: _Data = "",
    parameter: _Parameters = None,
    at_once: Annotated[
        int | None,
        typer.Option(min=1, help="Sequences per device at a time; default: its whole share."),
    ] = None,
) -> None:
    """Train the notebooks' models on all GPUs, or as one worker of several."""
    tf_environment.load_tensorflow()
    from senformer.workflow import shared_models

    folder = shared_models.train(
        profile=profile,
        data=data or None,
        parameters=_parse_parameters(parameter),
        sequences_at_once=at_once,
    )
    typer.echo(folder)


@app.command()
def check(profile: _Profile = "demo", data: _Data = "") -> None:
    """Check that all inputs of a run are present and complete; do not estimate its time."""
    tf_environment.load_tensorflow()
    from senformer.workflow import readiness

    is_ready = True
    for need in readiness.check(profile, data or None):
        typer.echo(f"{'found' if need.is_met else 'MISSING':8}{need.name}: {need.detail}")
        is_ready &= need.is_met
    typer.echo("This check does not estimate how long the run takes.")
    if not is_ready:
        raise typer.Exit(FAILURE)


@app.command()
def simulate(
    folder: Annotated[Path, typer.Argument(help="Folder to write.")],
    seed: Annotated[int, typer.Option(min=0, help="Seed of the genome.")] = 0,
) -> None:
    """Write the simulated data set in the format of real records."""
    tf_environment.load_tensorflow()
    from senformer.data.simulation import simulate

    for number in (signal.SIGTERM, signal.SIGHUP):  # so that no unfinished files are left
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    typer.echo(simulate.write_dataset(folder, seed=seed))


@app.command()
def stand_ins(
    folder: Annotated[Path, typer.Argument(help="Folder to write.")],
) -> None:
    """Write random weights and records of real size for the profile rehearsal (1.1 GB)."""
    tf_environment.load_tensorflow()
    from senformer.workflow import stand_ins

    typer.echo(stand_ins.write(folder))


@app.command()
def export(
    weights: Annotated[
        str,
        typer.Argument(
            help="Enformer's weights: a Sonnet checkpoint (its path without .index), a SavedModel, "
            "enformer-pytorch's safetensors, or a .safetensors of this package; or a folder with "
            "one of these. A SavedModel runs the program that it contains: use only trusted ones."
        ),
    ],
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="Folder of the SavedModel.")],
    length: Annotated[int, typer.Option(help="Length of the input in bp.")],
    attention: Annotated[
        str | None, typer.Option(help="Kind of attention; default: that of the weights.")
    ] = None,
    target_length: Annotated[
        int | None,
        typer.Option(help="Predicted bins of 128 bp; default: that of the weights."),
    ] = None,
) -> None:
    """Write a trained model as a SavedModel with the interface of TF-Hub's Enformer."""
    tf_environment.load_tensorflow()
    from senformer.prediction import export as exporting

    exporting.export(
        weights,
        folder,
        attention=attention,
        sequence_length_bp=length,
        target_length=target_length,
        say=typer.echo,
    )
    typer.echo(folder)


@app.command()
def predict(
    model: Annotated[
        Path,
        typer.Argument(
            help="An exported SavedModel or a .safetensors file of this package. A SavedModel runs "
            "the program that it contains: use only trusted ones."
        ),
    ],
    out: Annotated[
        Path, typer.Argument(help="Folder for one bigWig file per track, or a file *.parquet.")
    ],
    fasta: Annotated[Path, typer.Option(help="FASTA of the genome, plain or bgzip-compressed.")],
    regions: Annotated[Path, typer.Option(help="BED file of the regions to predict.")],
    targets: Annotated[Path, typer.Option(help="targets.txt with the organism's tracks.")],
    tracks: Annotated[
        list[str],
        typer.Option(
            help="Identifier, index or part of the description of tracks, a type such as CAGE, or "
            "all; can be repeated."
        ),
    ],
    organism: Annotated[str, typer.Option(help="Head of the model.")] = "human",
    length: Annotated[
        int | None, typer.Option(help="Length of the input in bp; a SavedModel defines it.")
    ] = None,
    averaging: Annotated[
        str, typer.Option(help="Average over: none, strands, shifts, or strands and shifts.")
    ] = "none",
    overlaps: Annotated[
        str, typer.Option(help="Bins of overlapping windows: tiled or averaged.")
    ] = "tiled",
    step_bins: Annotated[
        int | None,
        typer.Option(help="Bins between the starts of windows; default: a whole window."),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Windows per prediction.")] = 1,
) -> None:
    """Predict the coverage of regions of a genome; repeat the command to resume."""
    tf_environment.load_tensorflow()
    from senformer.prediction import predict as predicting

    plan = predicting.PredictionPlan(
        model=model,
        fasta=fasta,
        regions=regions,
        targets=targets,
        tracks=tracks,
        organism=organism,
        sequence_length_bp=length,
        averaging=averaging,
        overlaps=overlaps,
        step_bins=step_bins,
        batch_size=batch_size,
    )
    predicting.predict(plan, out, say=typer.echo)
    typer.echo(out)


@app.command()
def site(
    run_folder: Annotated[Path, typer.Argument(help="Folder of executed notebooks.")],
) -> None:
    """Build the website of a run in RUN_FOLDER/site."""
    from senformer.workflow import site

    typer.echo(site.build(run_folder, run_folder / "site"))


@app.command("keep-rows")
def keep_rows(
    tables: Annotated[Path, typer.Argument(help="Folder of result tables: book/results/data.")],
    run_folder: Annotated[Path, typer.Argument(help="Folder of a run, such as runs/cpu.")],
) -> None:
    """Copy published measurements into a run, which then measures only the missing ones."""
    from senformer.experiments import published_rows

    typer.echo(f"{published_rows.keep(tables, run_folder)} rows are in {run_folder}")


@app.command()
def publish(
    run_folder: Annotated[Path, typer.Argument(help="Folder of executed notebooks.")],
    mixed: Annotated[
        bool,
        typer.Option("--mixed", help="Accept results of several or uncommitted versions."),
    ] = False,
) -> None:
    """Replace the results in the book by those of a run."""
    from senformer.workflow import publication

    publication.publish(run_folder, mixed=mixed)
    typer.echo(f"book/results now contains the results of {run_folder}; commit them")


@app.command()
def pdf(
    destination: Annotated[Path, typer.Argument(help="File to write.")],
) -> None:
    """Print the book with its published results as a PDF; needs Chromium."""
    from senformer.workflow import pdf

    typer.echo(pdf.write(destination))


@app.command()
def archive(
    destination: Annotated[Path, typer.Argument(help="File to write, *.zip.")],
) -> None:
    """Archive the committed project with its website and a description."""
    from senformer.workflow import archive

    typer.echo(archive.write(destination))


def _parse_parameters(options: list[str] | None) -> dict[str, Any]:
    from senformer.workflow.plain_yaml import parse_yaml

    values: dict[str, Any] = {}
    for text in options or []:
        name, equals, value = text.partition("=")
        if not equals:
            raise ValueError(f"-p {text}: expected NAME=VALUE")
        if name in values:
            raise ValueError(f"-p {name}: is set twice")
        values[name] = parse_yaml(value, f"-p {name}")
    return values


def _format_row(row: dict[str, Any]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in row.items())
