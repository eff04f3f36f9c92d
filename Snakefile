"""The batch: one rule per measurement, one per notebook, then the site.

    snakemake --cores 2 --config profile=demo data=../shared/data/borzoi_tiny

Snakemake reads a value of --config as YAML. Set SENFORMER_PROFILE and SENFORMER_DATA instead, as
`make report` does, for a folder that YAML would change, such as `{x}` or `007`.

Existing files are not made again; delete a file of the run's folder to recompute it.

On a cluster each rule is a job of its own; cluster/ contains Snakemake's settings for it.
"""

import os
import shlex
import sys

from senformer.experiments.compiling import cards
from senformer.experiments.memory_and_time.grid import command_line_options
from senformer.workflow import failures, notebooks, resources


def setting(name, default):
    value = config.get(name) or os.environ.get(f"SENFORMER_{name.upper()}") or default
    if not isinstance(value, str):
        raise ValueError(
            f"--config {name}: Snakemake reads it as {value!r}; set SENFORMER_{name.upper()}"
        )
    return value


# Check all parameters first: an error stops the run before any work.
try:
    PROFILE = setting("profile", "demo")
    DATA = setting("data", "")
    PARAMETERS = notebooks.parameters_of_profile(PROFILE, DATA)
except (ValueError, OSError) as error:
    sys.exit(f"senformer: {failures.line_for_user(error)}")
RUN = os.path.relpath(notebooks.run_folder(PROFILE, DATA))  # plain characters only
SENFORMER = f"{shlex.quote(sys.executable)} -m senformer"
ON_DATA = f"--data={shlex.quote(DATA)}" if DATA else ""
# The notebook that first trains the models of another one, so that none is trained twice.
MAKES_MODELS_OF = {
    "finetuning": "reproduction",
    "correlation": "finetuning",
    "receptive_field": "finetuning",
}
# Other jobs would slow down a timed step. On a cluster such a job gets a machine of its own.
ALL_CORES = workflow.resource_settings.cores or 1
ALONE = "--exclusive"
# Only the profile `full` needs a GPU.
GPU = {"gpu": 1} if PROFILE == "full" else {}
HOURS = 60  # Snakemake counts minutes

MEASURED_BY = {name: PARAMETERS[name].measurements for name in notebooks.MEASURING}
MEASUREMENTS = {m.name: m for measured in MEASURED_BY.values() for m in measured}


def measurement_files(notebook):
    return [f"{RUN}/measurements/{m.name}.json" for m in MEASURED_BY[notebook]]


# Both notebooks show the same compiled steps for the same cards.
CARDS = {cards.load_card(name).name: name for name in PARAMETERS["memory"].compiled_for}
COMPILED = {m.name: m for m in PARAMETERS["memory"].compiled_steps}


def compiled_files(step):
    return [f"{RUN}/compiled/{step}_{card}.json" for card in CARDS]


rule report:
    input:
        f"{RUN}/site/index.html",


rule site:
    input:
        expand(f"{RUN}/{{notebook}}.ipynb", notebook=notebooks.ORDER),
    output:
        f"{RUN}/site/index.html",
    resources:
        mem_mb=4000,
        runtime=1 * HOURS,
    shell:
        "{SENFORMER} site {RUN}"


for name in notebooks.ORDER:

    rule:
        name:
            name
        input:
            f"notebooks/{name}.py",
            measurement_files(name) if name in notebooks.MEASURING else [],
            [compiled_files(step) for step in COMPILED] if name in notebooks.MEASURING else [],
            ancient([f"{RUN}/{MAKES_MODELS_OF[name]}.ipynb"] if name in MAKES_MODELS_OF else []),
        output:
            f"{RUN}/{name}.ipynb",
        params:
            notebook=name,
            values=PARAMETERS[name].model_dump(),  # a changed value runs the notebook again
        resources:
            mem_mb=lambda wildcards, attempt, name=name: resources.memory_of_notebook_mb(
                PARAMETERS[name], on_gpu=bool(GPU), attempt=attempt
            ),
            runtime=24 * HOURS,  # an interrupted training resumes
            **GPU,
        shell:
            "{SENFORMER} run {params.notebook} --profile={PROFILE:q} {ON_DATA}"


rule measurement:
    output:
        f"{RUN}/measurements/{{measurement}}.json",
    params:
        options=lambda wildcards: command_line_options(MEASUREMENTS[wildcards.measurement]),
    threads: ALL_CORES
    resources:
        mem_mb=lambda wildcards, attempt: resources.memory_of_measurement_mb(
            MEASUREMENTS[wildcards.measurement], on_gpu=bool(GPU), attempt=attempt
        ),
        runtime=4 * HOURS,
        slurm_extra=lambda wildcards: ALONE if MEASUREMENTS[wildcards.measurement].steps else "",
        **GPU,
    shell:
        "{SENFORMER} measure {params.options} --folder {RUN}/measurements"


if CARDS:

    rule compilation:
        output:
            compiled_files("{step}"),
        params:
            options=lambda wildcards: command_line_options(
                COMPILED[wildcards.step], without=("steps", "budget_gb")
            ),
            devices=" ".join(f"--device {shlex.quote(name)}" for name in CARDS.values()),
        resources:
            mem_mb=lambda wildcards, attempt: 12000 * attempt,
            runtime=4 * HOURS,
        shell:
            "{SENFORMER} compile {params.options} {params.devices} --folder {RUN}/compiled"
