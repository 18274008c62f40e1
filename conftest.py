"""What holds for every test: what einstan keeps between processes is kept in a folder of this run."""

from __future__ import annotations

import os
from tempfile import TemporaryDirectory

import pytest


def pytest_configure(config: pytest.Config) -> None:
    folder = TemporaryDirectory(prefix="einstan-tests-", ignore_cleanup_errors=True)
    config.add_cleanup(folder.cleanup)
    os.environ["EINSTAN_CACHE_DIR"] = folder.name
