"""transcripts: a derivative derived step by step, as a person writes it: every line equal to the line before."""

from __future__ import annotations

from .steps import Step
from .transcript import Chain, Transcript, explained

__all__ = ["Chain", "Step", "Transcript", "explained"]
