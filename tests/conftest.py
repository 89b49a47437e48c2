"""Fixtures that more than one folder of tests needs. Fixtures of one subject stand beside its tests."""

from __future__ import annotations

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real published files beside the checkout; it is no part of the project, so it may be absent."""
    folder = ROOT.parent / "shared" / "data"
    if not (folder / "INDEX.json").exists():
        pytest.skip("no ../shared/data beside the checkout: the real files are not part of the project")
    return folder
