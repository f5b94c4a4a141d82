"""Constants under which methods train in a moment; no test lives here.

Those of a method are `CONSTANTS` in its settings.py, by preset; a test replaces them in its own
process.
"""

from collections.abc import Callable
from dataclasses import replace

import pytest

from headgraft.models.learners import row_mlp
from headgraft.models.methods.dfzsl import settings as dfzsl_settings
from headgraft.models.methods.icis import settings as icis_settings
from headgraft.models.methods.msdn import settings as msdn_settings
from headgraft.models.methods.ship import settings as ship_settings
from headgraft.models.methods.wdae import row_repair
from headgraft.models.methods.zlap import settings as zlap_settings


def shrink_dfzsl(monkeypatch: pytest.MonkeyPatch) -> None:
    """Learn virtual features in two steps, and a generator in two."""
    usual = dfzsl_settings.CONSTANTS["default"]
    small = replace(
        usual,
        virtual=replace(usual.virtual, steps=2),
        gan=replace(usual.gan, hidden_size=16, steps=2),
    )
    monkeypatch.setitem(dfzsl_settings.CONSTANTS, "default", small)


def shrink_ship(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train a small autoencoder in two steps, and a prompt in two."""
    usual = ship_settings.CONSTANTS["default"]
    small = replace(
        usual,
        autoencoder=replace(usual.autoencoder, encoder_size=16, generator_size=16, steps=2),
        classifier=replace(usual.classifier, steps=2),
    )
    monkeypatch.setitem(ship_settings.CONSTANTS, "default", small)


def shrink_zlap(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train a small generator in two steps, and small prototypes in two epochs."""
    usual = zlap_settings.CONSTANTS["default"]
    small = replace(
        usual,
        gan=replace(usual.gan, hidden_size=16, steps=2),
        prototypes=replace(usual.prototypes, epochs=2, halve_after=1),
        hidden_size=16,
    )
    monkeypatch.setitem(zlap_settings.CONSTANTS, "default", small)


def shrink_icis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train small autoencoders."""
    small = icis_settings.IcisConstants(hidden_size=16)
    monkeypatch.setitem(icis_settings.CONSTANTS, "default", small)


def shrink_msdn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take small batches of pictures."""
    small = msdn_settings.MsdnConstants(batch_size=16)
    monkeypatch.setitem(msdn_settings.CONSTANTS, "default", small)


def shrink_perceptron(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train a small perceptron for three epochs."""
    small = row_mlp.MlpConstants(hidden_size=16, epochs=3)
    monkeypatch.setitem(row_mlp.MLP_CONSTANTS, "default", small)


def shrink_wdae(monkeypatch: pytest.MonkeyPatch) -> None:
    """Train a wider network that repairs rows for two epochs, after a small perceptron."""
    shrink_perceptron(monkeypatch)
    small = row_repair.RepairConstants(width=2, epochs=2)
    monkeypatch.setitem(row_repair.REPAIR_CONSTANTS, "default", small)


SHRINK: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "dfzsl": shrink_dfzsl,
    "icis": shrink_icis,
    "msdn": shrink_msdn,
    "ship": shrink_ship,
    "subspace": shrink_perceptron,
    "wdae": shrink_wdae,
    "zlap": shrink_zlap,
}
