"""x"""

from __future__ import annotations

from collections.abc import Mapping

from distill.examination.answers import Answered
from distill.examination.results import Result
from gateway.exam.wording import title
from gateway.reports.pieces import page


def render(result: Result, answers: Mapping[str, Mapping[str, Answered]]) -> str:
    return page(title(result), [])
