"""The device that functions are traced for: the one that is there unless another is named."""

import pytest
import tensorflow as tf

from senformer.model.compute import device


def test_it_is_the_one_that_is_there_until_another_is_named(monkeypatch):
    for there in ([], ["GPU:0"]):
        monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind, there=there: there)
        assert device.is_gpu() == bool(there)
        for named in ("gpu", "cpu"):
            with device.traced_for(named):
                assert device.is_gpu() == (named == "gpu")
        assert device.is_gpu() == bool(there)


def test_another_kind_of_device_is_named():
    with pytest.raises(ValueError, match="device_type='tpu', expected one of cpu, gpu"):
        device.traced_for("tpu").__enter__()
