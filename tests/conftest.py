import os
import shutil
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # read when TensorFlow is first imported

import pytest

_SHARED = Path(__file__).resolve().parents[1] / ".." / "shared"


@pytest.hookimpl(tryfirst=True)  # before tests are chosen by their marks
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "shared" in getattr(item, "fixturenames", ()):
            item.add_marker("reference")


@pytest.fixture(scope="session")
def shared(request: pytest.FixtureRequest) -> Path:
    """The reference data that lies beside the repository."""
    if not _SHARED.is_dir():
        count = sum(
            item.get_closest_marker("reference") is not None for item in request.session.items
        )
        reason = f"{count} tests need the reference data, ../shared, which is not there"
        if os.environ.get("CI"):
            pytest.fail(f"{reason}; under CI it must be")
        pytest.skip(reason)
    return _SHARED


@pytest.fixture(scope="session")
def real_data() -> Path:
    """Return the folder of real human and mouse records; tests/data/README.md names the source."""
    return Path(__file__).with_name("data") / "borzoi_tiny"


@pytest.fixture(scope="session")
def small_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Simulated records of 10,240 bp with 64 bins, three or four of each split."""
    from senformer.data.simulation import simulate

    splits = {"train": 4, "valid": 3, "test": 3}
    return simulate.write_dataset(
        tmp_path_factory.mktemp("data") / "small",
        sequence_length_bp=10_240,
        target_length=64,
        num_sequences={"human": splits, "mouse": splits},
    )


@pytest.fixture(scope="session")
def chromium():
    """A headless browser."""
    from senformer.workflow import pdf

    executable = next(filter(None, map(shutil.which, pdf.BROWSERS)), None)
    if executable is None:
        reason = "no Chromium for the browser tests; on Debian: apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        yield browser
        browser.close()
