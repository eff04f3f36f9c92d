import pytest
import tensorflow as tf

from senformer.model.compute import device


def test_is_gpu_by_present_or_chosen_device(monkeypatch):
    for present in ([], ["GPU:0"]):
        monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind, gpus=present: gpus)
        assert device.is_gpu() == bool(present)
        for chosen in ("gpu", "cpu"):
            with device.traced_for(chosen):
                assert device.is_gpu() == (chosen == "gpu")
        assert device.is_gpu() == bool(present)


def test_traced_for_names_unknown_devices():
    with pytest.raises(ValueError, match="device_type='tpu', expected one of cpu, gpu"):
        device.traced_for("tpu").__enter__()
