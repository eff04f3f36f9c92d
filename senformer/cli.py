"""The command `senformer`: what can be asked for from a shell."""

from __future__ import annotations

import dataclasses
import errno
import functools
import inspect
import json
import os
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Annotated, Any, get_type_hints

import typer

from senformer.experiments.memory_and_time.grid import Measurement, options

FAILURE, USAGE_ERROR = 1, 2
"""Exit statuses: something went wrong on the way; something that was given has to be mended."""


class _OneLineErrors(typer.core.TyperGroup):
    """What a user can mend is answered in one line; a traceback is of a bug, and says so."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.Abort:
            raise
        except Exception as error:
            is_of_the_command_line = hasattr(error, "exit_code")
            is_of_a_closed_pipe = getattr(error, "errno", None) == errno.EPIPE
            if is_of_the_command_line or is_of_a_closed_pipe:
                raise
            from senformer.workflow import failures

            line = failures.line_for_user(error)
            if line is None:
                typer.echo(failures.bug_report(error), err=True)
                raise typer.Exit(FAILURE) from error
            typer.echo(f"senformer: {line}", err=True)
            is_full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
            status = FAILURE if is_full or isinstance(error, MemoryError) else USAGE_ERROR
            raise typer.Exit(status) from error


app = typer.Typer(
    cls=_OneLineErrors,
    help="Enformer with sparse attention: measure it, and run and publish its report.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


def measure(
    *,
    folder: Annotated[
        Path | None, typer.Option(help="Keep the result here, and take it from here if it exists.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    **fields: Any,
) -> None:
    """Peak memory and time of a training step, measured in a process of its own."""
    from senformer.experiments.memory_and_time import measurements

    measurement = Measurement(**fields)
    if folder:
        row = measurements.measure_once(measurement, folder)
    else:
        row = measurements.measure(measurement)
    typer.echo(json.dumps(row) if as_json else _as_lines(row))


def compile_step(
    *,
    device: Annotated[
        list[str] | None,
        typer.Option(help="GPU to compile for: a name, or a file <name>.toml; may be repeated."),
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Keep each row here, and take it from here if it exists.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object per GPU, a line each.")
    ] = False,
    export: Annotated[
        Path | None,
        typer.Option(help="Write the program that a GPU would run (StableHLO), and do no more."),
    ] = None,
    **fields: Any,
) -> None:
    """What a training step would take on a GPU that is not here: compiled for it, not run."""
    from senformer.experiments.compiling import cards, compilations

    measurement = Measurement(**fields)
    wanted = [cards.card(name) for name in device or []]
    if export:
        compilations.export(measurement, export)
        typer.echo(export)
        return
    if not wanted:
        raise ValueError(f"no --device, expected one of {', '.join(cards.names())}")
    for row in compilations.compile_once(measurement, wanted, folder):
        typer.echo(json.dumps(row) if as_json else _as_lines(row))


def _with_options_of_a_measurement(
    command: Callable[..., None], *, without: Collection[str] = ()
) -> Callable[..., None]:
    """A command that has an option for each field of `Measurement` in place of `**fields`.

    Args:
        command: Takes the fields by name.
        without: Fields that it has no option for.
    """
    types = get_type_hints(Measurement)
    fields = [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            annotation=Annotated[
                types[field.name], typer.Option(f"--{option}", help=field.metadata["help"])
            ],
            default=inspect.Parameter.empty
            if field.default is dataclasses.MISSING
            else field.default,
        )
        for field, option in options()
        if field.name not in without
    ]
    signature = inspect.signature(command, eval_str=True)
    others = [p for p in signature.parameters.values() if p.kind is not p.VAR_KEYWORD]

    @functools.wraps(command)
    def run_command(**given: Any) -> None:
        command(**given)

    run_command.__signature__ = signature.replace(parameters=[*fields, *others])  # type: ignore[attr-defined]
    return run_command


app.command()(_with_options_of_a_measurement(measure))
app.command("compile")(_with_options_of_a_measurement(compile_step, without=("steps", "budget_gb")))


_Profile = Annotated[str, typer.Option(help="A folder of profiles/.")]
_Data = Annotated[str, typer.Option(help="Folder of real records; else simulated data.")]
_Parameters = Annotated[
    list[str] | None,
    typer.Option("-p", metavar="NAME=VALUE", help="Set one parameter; may be repeated."),
]


@app.command()
def run(
    notebook: Annotated[str, typer.Argument(help="A notebook, such as memory.")],
    profile: _Profile = "demo",
    data: _Data = "",
    parameter: _Parameters = None,
) -> None:
    """Execute a notebook into runs/."""
    from nbclient.exceptions import DeadKernelError
    from papermill.exceptions import PapermillExecutionError

    from senformer.workflow import failures, notebooks

    try:
        executed = notebooks.run(
            notebook, profile=profile, data=data or None, parameters=_values(parameter)
        )
    except (PapermillExecutionError, DeadKernelError) as error:
        failed = notebooks.failed_notebook(notebook, profile=profile, data=data or None)
        if isinstance(error, DeadKernelError):
            line = f"the notebook's process was ended, mostly for want of memory (see {failed})"
        else:
            line = failures.line_of_cell(error, failed)
        typer.echo(f"senformer: {line}", err=True)
        raise typer.Exit(FAILURE) from error
    typer.echo(executed)


@app.command()
def train(
    profile: _Profile = "demo",
    data: _Data = "",
    parameter: _Parameters = None,
    at_once: Annotated[
        int | None,
        typer.Option(help="Sequences that a device holds at a time; all of its share if not said."),
    ] = None,
) -> None:
    """Train what the notebooks fine-tune, on all GPUs, or as one worker of several."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # before TensorFlow is loaded
    from senformer.workflow import shared_models

    folder = shared_models.train(
        profile=profile, data=data or None, parameters=_values(parameter), sequences_at_once=at_once
    )
    typer.echo(folder)


@app.command()
def check(
    profile: _Profile = "demo",
    data: _Data = "",
    cost: Annotated[
        bool, typer.Option(help="Measure a step and a prediction, and say what the run takes.")
    ] = True,
) -> None:
    """Say what a run needs that is there, what is missing, and what the run will take."""
    from itertools import chain

    from senformer.workflow import costs, readiness

    is_ready = True
    needs = [readiness.check(profile, data or None)]
    if cost:
        needs.append(costs.check(profile, data or None))
    for need in chain.from_iterable(needs):
        typer.echo(f"{'found' if need.is_met else 'MISSING':8}{need.what}: {need.detail}")
        is_ready &= need.is_met
    if not is_ready:
        raise typer.Exit(FAILURE)


@app.command()
def simulate(
    folder: Annotated[Path, typer.Argument(help="Where to write the data set.")],
    seed: Annotated[int, typer.Option(help="Another seed is another genome.")] = 0,
) -> None:
    """Write the simulated data set, in the layout of real records."""
    from senformer.data.simulation import simulate

    typer.echo(simulate.write_dataset(folder, seed=seed))


@app.command()
def stand_ins(
    folder: Annotated[Path, typer.Argument(help="Where to write them.")],
) -> None:
    """Write random weights and records of the real sizes, for the profile rehearsal (1.1 GB)."""
    from senformer.workflow import stand_ins

    typer.echo(stand_ins.write(folder))


@app.command()
def export(
    weights: Annotated[
        str,
        typer.Argument(
            help="Enformer's weights: a Sonnet checkpoint (its path without .index), a SavedModel, "
            "enformer-pytorch's safetensors, or a .safetensors of this package."
        ),
    ],
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="The SavedModel's folder.")],
    length: Annotated[int, typer.Option(help="Length of its input in bp.")],
    attention: Annotated[
        str | None, typer.Option(help="A kind of attention; by default the weights' own.")
    ] = None,
    target_length: Annotated[
        int | None,
        typer.Option(help="128-bp bins that it predicts; by default the weights' own."),
    ] = None,
) -> None:
    """Write a trained model as a SavedModel that is used as TF-Hub's Enformer is."""
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
        Path, typer.Argument(help="An exported SavedModel, or a .safetensors of this package.")
    ],
    out: Annotated[
        Path, typer.Argument(help="A folder for a bigWig per track, or one file *.parquet.")
    ],
    fasta: Annotated[Path, typer.Option(help="The genome, plain or compressed by bgzip.")],
    regions: Annotated[Path, typer.Option(help="A BED file of what is to be predicted.")],
    targets: Annotated[Path, typer.Option(help="The targets.txt of the organism's tracks.")],
    tracks: Annotated[
        list[str],
        typer.Option(help="A track's name, a type such as CAGE, or all; may be repeated."),
    ],
    organism: Annotated[str, typer.Option(help="The model's head.")] = "human",
    length: Annotated[
        int | None, typer.Option(help="Length of the input in bp; a SavedModel has its own.")
    ] = None,
    averaging: Annotated[
        str, typer.Option(help="Over: none, strands, shifts, or strands and shifts.")
    ] = "none",
    overlaps: Annotated[
        str, typer.Option(help="What a bin of several windows gets: tiled or averaged.")
    ] = "tiled",
    step_bins: Annotated[
        int | None,
        typer.Option(help="Bins from one window to the next; by default all of a window."),
    ] = None,
    batch_size: Annotated[int, typer.Option(help="Windows that are predicted at once.")] = 1,
) -> None:
    """Predict the coverage of regions of a genome; stopped, the same command goes on."""
    from senformer.prediction import predict as predicting

    asked = predicting.PredictionPlan(
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
    predicting.predict(asked, out, say=typer.echo)
    typer.echo(out)


@app.command()
def site(
    run_folder: Annotated[Path, typer.Argument(help="A folder of executed notebooks.")],
) -> None:
    """Build the website of a run, in RUN_FOLDER/site."""
    from senformer.workflow import site

    typer.echo(site.build(run_folder, run_folder / "site"))


@app.command("keep-rows")
def keep_rows(
    tables: Annotated[Path, typer.Argument(help="A folder of result tables, book/results/data.")],
    run_folder: Annotated[Path, typer.Argument(help="The folder of a run, runs/cpu.")],
) -> None:
    """Let a run begin with steps that were published: it measures and compiles the others alone."""
    from senformer.experiments import published_rows

    typer.echo(f"{published_rows.keep(tables, run_folder)} rows are in {run_folder}")


@app.command()
def publish(
    run_folder: Annotated[Path, typer.Argument(help="A folder of executed notebooks.")],
    mixed: Annotated[
        bool,
        typer.Option("--mixed", help="Also results that are not all of one clean commit."),
    ] = False,
) -> None:
    """Make a run's results the ones that the book shows: all of one clean commit."""
    from senformer.workflow import publication

    publication.publish(run_folder, mixed=mixed)
    typer.echo(f"book/results now holds the results of {run_folder}; commit it to keep them")


@app.command()
def pdf(
    destination: Annotated[Path, typer.Argument(help="The file to write.")],
) -> None:
    """Print the book, with its published results, as one PDF. Needs Chromium."""
    from senformer.workflow import pdf

    typer.echo(pdf.write(destination))


@app.command()
def archive(
    destination: Annotated[Path, typer.Argument(help="The file to write, *.zip.")],
) -> None:
    """Pack the committed project with its built website and a description, to be kept."""
    from senformer.workflow import archive

    typer.echo(archive.write(destination))


def _values(parameters: list[str] | None) -> dict[str, Any]:
    return dict(_parse_parameter(text) for text in parameters or [])


def _parse_parameter(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"-p {text}: expected NAME=VALUE")
    from senformer.workflow import yaml_text

    return name, yaml_text.load(value, f"-p {name}")


def _as_lines(row: dict[str, Any]) -> str:
    return "\n".join(f"{name}: {value}" for name, value in row.items())
