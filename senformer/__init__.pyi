"""The public names of the package and their modules, for type checkers and `lazy_loader`."""

from .config import ModelConfig as ModelConfig, preset as preset
from .data.datasets import Batching as Batching, batches as batches, examples as examples
from .data.genome import fetch_one_hot as fetch_one_hot, one_hot as one_hot
from .data.record_folders import RecordFolder as RecordFolder, open_folders as open_folders
from .data.simulation.simulate import write_dataset as write_dataset
from .data.tracks import track_types as track_types
from .data.windows import InputWindow as InputWindow
from .evaluation.predictions import predictor as predictor
from .evaluation.protocols import Protocol as Protocol, evaluate as evaluate
from .experiments.memory_and_time.grid import Measurement as Measurement
from .experiments.memory_and_time.measurements import measure as measure, measure_all as measure_all
from .experiments.memory_and_time.planner import (
    PlannedStep as PlannedStep,
    fit_memory as fit_memory,
    longest_sequence_bp as longest_sequence_bp,
    num_parameters as num_parameters,
    predict_peak_gb as predict_peak_gb,
)
from .experiments.receptive_field.scan import (
    ScanPlan as ScanPlan,
    gradient_effects as gradient_effects,
    mutation_effects as mutation_effects,
)
from .model.checkpoints import (
    copy_weights as copy_weights,
    export_saved_model as export_saved_model,
    restore as restore,
    save as save,
)
from .model.enformer import Enformer as Enformer, attention_variables as attention_variables
from .model.weights.enformer_pytorch import load_enformer_pytorch as load_enformer_pytorch
from .model.weights.sonnet import load_sonnet as load_sonnet
from .prediction.export import export as export
from .prediction.predict import PredictionPlan as PredictionPlan, predict as predict
from .study.published_tables import (
    read_correlation_per_sequence as read_correlation_per_sequence,
    read_receptive_field as read_receptive_field,
)
from .training.distribution import all_devices as all_devices
from .training.train import (
    Evaluation as Evaluation,
    TrainingPlan as TrainingPlan,
    train as train,
)
