"""Devices by name."""

import pytest
import torch

from unbraid.inference import resolve_device


def test_names(monkeypatch):
    assert resolve_device("cpu") == torch.device("cpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == torch.device("cpu")
    with pytest.raises(OSError, match="device is 'cuda'; found 0 CUDA devices"):
        resolve_device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert resolve_device("auto") == resolve_device("cuda") == torch.device("cuda")
    assert resolve_device("cuda:1") == torch.device("cuda", 1)
    with pytest.raises(OSError, match="device is 'cuda:2'; found 2 CUDA devices"):
        resolve_device("cuda:2")
    for name in ("gpu", "cuda:x", "", "CPU"):
        with pytest.raises(ValueError, match=f"device is {name!r}; expected auto, cpu, cuda"):
            resolve_device(name)
