"""What holds for every test: what einstan keeps between processes is kept in a folder of this run."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from tempfile import TemporaryDirectory

import pytest


def pytest_configure(config: pytest.Config) -> None:
    folder = TemporaryDirectory(prefix="einstan-tests-", ignore_cleanup_errors=True)
    config.add_cleanup(folder.cleanup)
    os.environ["EINSTAN_CACHE_DIR"] = folder.name


@pytest.fixture(autouse=True, scope="module")
def collected() -> Iterator[None]:
    """What earlier files left behind is not looked through again by every collection."""
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
