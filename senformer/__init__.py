"""What happens to Enformer when its self-attention becomes BigBird's sparse attention.

What a program of your own is likely to want lies here, `senformer.Enformer` for instance. Each name
is read from its module when it is first asked for, so that `import senformer` loads no TensorFlow.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING

from senformer.tf_environment import prepare

if TYPE_CHECKING:  # for type checkers, which do not run what lies behind `else`
    from senformer.config import ModelConfig as ModelConfig
    from senformer.config import preset as preset
    from senformer.data.datasets import Batching as Batching
    from senformer.data.datasets import batches as batches
    from senformer.data.datasets import examples as examples
    from senformer.data.genome import fetch_one_hot as fetch_one_hot
    from senformer.data.genome import one_hot as one_hot
    from senformer.data.record_folders import RecordFolder as RecordFolder
    from senformer.data.record_folders import open_folders as open_folders
    from senformer.data.simulation.simulate import write_dataset as write_dataset
    from senformer.data.tracks import track_types as track_types
    from senformer.data.windows import InputWindow as InputWindow
    from senformer.evaluation.predictions import predictor as predictor
    from senformer.evaluation.protocols import Protocol as Protocol
    from senformer.evaluation.protocols import evaluate as evaluate
    from senformer.experiments.memory_and_time.grid import Measurement as Measurement
    from senformer.experiments.memory_and_time.measurements import measure as measure
    from senformer.experiments.memory_and_time.measurements import measure_all as measure_all
    from senformer.experiments.memory_and_time.planner import fit_memory as fit_memory
    from senformer.experiments.memory_and_time.planner import (
        longest_sequence_bp as longest_sequence_bp,
    )
    from senformer.experiments.memory_and_time.planner import num_parameters as num_parameters
    from senformer.experiments.memory_and_time.planner import predict_peak_gb as predict_peak_gb
    from senformer.experiments.receptive_field.scan import gradient_effects as gradient_effects
    from senformer.experiments.receptive_field.scan import mutation_effects as mutation_effects
    from senformer.model.checkpoints import copy_weights as copy_weights
    from senformer.model.checkpoints import export_saved_model as export_saved_model
    from senformer.model.checkpoints import restore as restore
    from senformer.model.checkpoints import save as save
    from senformer.model.enformer import Enformer as Enformer
    from senformer.model.enformer import attention_variables as attention_variables
    from senformer.model.published_senformer import (
        load_published_senformer as load_published_senformer,
    )
    from senformer.model.weights.foreign_weights import (
        load_enformer_pytorch as load_enformer_pytorch,
    )
    from senformer.model.weights.foreign_weights import load_sonnet as load_sonnet
    from senformer.prediction.export import export as export
    from senformer.prediction.predict import PredictionPlan as PredictionPlan
    from senformer.prediction.predict import predict as predict
    from senformer.study.published import (
        read_correlation_per_sequence as read_correlation_per_sequence,
    )
    from senformer.study.published import read_receptive_field as read_receptive_field
    from senformer.training.distribution import all_devices as all_devices
    from senformer.training.train import TrainingPlan as TrainingPlan
    from senformer.training.train import train as train
else:
    _MODULES = {
        "config": ("ModelConfig", "preset"),
        "data.datasets": ("Batching", "batches", "examples"),
        "data.genome": ("fetch_one_hot", "one_hot"),
        "data.record_folders": ("RecordFolder", "open_folders"),
        "data.simulation.simulate": ("write_dataset",),
        "data.tracks": ("track_types",),
        "data.windows": ("InputWindow",),
        "evaluation.predictions": ("predictor",),
        "evaluation.protocols": ("Protocol", "evaluate"),
        "experiments.memory_and_time.grid": ("Measurement",),
        "experiments.memory_and_time.measurements": ("measure", "measure_all"),
        "experiments.memory_and_time.planner": (
            "fit_memory",
            "longest_sequence_bp",
            "num_parameters",
            "predict_peak_gb",
        ),
        "experiments.receptive_field.scan": ("gradient_effects", "mutation_effects"),
        "model.checkpoints": ("copy_weights", "export_saved_model", "restore", "save"),
        "model.enformer": ("Enformer", "attention_variables"),
        "model.weights.foreign_weights": ("load_enformer_pytorch", "load_sonnet"),
        "model.published_senformer": ("load_published_senformer",),
        "prediction.export": ("export",),
        "prediction.predict": ("PredictionPlan", "predict"),
        "study.published": ("read_correlation_per_sequence", "read_receptive_field"),
        "training.distribution": ("all_devices",),
        "training.train": ("TrainingPlan", "train"),
    }
    _MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}
    __all__ = sorted(_MODULE_OF)

    def __getattr__(name: str) -> object:
        if name not in _MODULE_OF:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


prepare(os.environ)
