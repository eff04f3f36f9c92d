"""A small training step, and rows as measuring and compiling write them."""

from senformer.experiments.memory_and_time.grid import Measurement

TINY = Measurement(
    attention="dense",
    num_transformer_layers=1,
    channels=256,
    sequence_length_bp=2048,
    num_heads=4,
    block_size=16,
    steps=2,
)

_ORIGIN = {"commit": "0123abc", "time_utc": "2026-01-31T12:00:00+00:00", "message": ""}


def measured_row(measurement=TINY, **changes):
    seconds = {"step_seconds_min": 0.25, "step_seconds": 0.5, "step_seconds_max": 1.0}
    numbers = {"peak_memory_gb": 2.0, "resident_memory_gb": 1.0, "first_step_seconds": 9.5}
    found = {"status": "ok", "device": "a test", **_ORIGIN, **numbers, **seconds}
    return {**dict(measurement), **found, **changes}


def failed_row(measurement=TINY, status="failed"):
    return {
        k: None if k.endswith(("_gb", "seconds", "_min", "_max")) else v
        for k, v in measured_row(measurement, status=status).items()
    }


def compiled_row(measurement=TINY, **changes):
    sizes = {"peak_memory_gb": 2.0, "argument_gb": 1.0, "temporary_gb": 0.5}
    counts = {"kernels": 10, "loop_turns": 0, "operations": 10**15, "bytes_moved": 10**9}
    found = {"status": "compiled", "device": "a100", "libraries": "a test", **_ORIGIN}
    step = measurement.replace(steps=0, budget_gb=None)
    return {**dict(step), **found, **sizes, **counts, **changes}
