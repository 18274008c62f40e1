"""What CONTRIBUTING.md shows is what the package holds."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_snippets_stand_in_the_package() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    package = [path.read_text(encoding="utf-8") for path in (ROOT / "einstan").rglob("*.py")]
    lines = [line for snippet in re.findall(r"```python\n(.*?)```", text, re.DOTALL) for line in snippet.splitlines()]
    shown = [code for line in lines if (code := re.sub(r"(^|  )# .*", "", line).strip())]
    assert len(shown) > 5
    assert not [code for code in shown if not any(code in source for source in package)]
