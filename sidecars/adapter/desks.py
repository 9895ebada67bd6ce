"""The three modes of a route, each as something that answers its requests from what comes of its questions.

    Forward   the app's answer as it is
    Verdicts  whether the app is healthy, in the dialect that the prober understands
    Metrics   what the app says, as a Prometheus page; of several apps as one page, with a label `app`

What is worked out from an outcome is kept as long as that outcome is: a thousand probers who share one are answered
from one verdict, and mostly with the same bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from chassis.web import Request
from sidecars.adapter.answer import SERVICE_UNAVAILABLE, Answer, forward, own_answer
from sidecars.adapter.dialects import render
from sidecars.adapter.exposition import Exposition, parse
from sidecars.adapter.formats import Format, chosen
from sidecars.adapter.judge import Judge
from sidecars.adapter.negotiate import Format as PrometheusFormat
from sidecars.adapter.negotiate import choose
from sidecars.adapter.outcome import Outcome, Question
from sidecars.adapter.reading import Limits, Unreadable, read
from sidecars.adapter.record import RouteRecord
from sidecars.adapter.render import render as render_metrics
from sidecars.adapter.routes import Route
from sidecars.adapter.translation import CONTENT_TYPE, page_of_up
from sidecars.adapter.upstream import Upstream
from sidecars.adapter.verdict import Verdict, together

T = TypeVar("T")
Part = tuple[Mapping[str, str], Exposition]


class Desk(Protocol):
    """Answers the requests for one route."""

    async def answer(self, request: Request, patience: float | None) -> Answer:
        """The answer, within `patience` seconds where that is not None."""


async def together_of(asked: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """What comes of each; all go on at once."""
    if len(asked) == 1:
        return [await asked[0]]
    return await asyncio.gather(*asked)


class Forward:
    """The app's answer as it is."""

    def __init__(self, route: Route, upstream: Upstream) -> None:
        (self._question,) = route.questions
        self._upstream = upstream

    async def answer(self, _request: Request, patience: float | None) -> Answer:
        return forward(self._question, await self._upstream.ask(self._question, patience))


class Verdicts:
    """One verdict of all apps of a route."""

    def __init__(self, route: Route, upstream: Upstream, judges: Sequence[Judge], record: RouteRecord) -> None:
        self._route = route
        self._record = record
        self._upstream = upstream
        self._judges = judges
        self._parts: list[Verdict] = []
        self._verdict: Verdict | None = None
        self._rendered: dict[Format, Answer] = {}

    async def judge(self, patience: float | None) -> Verdict:
        """The verdict as it is now, within `patience` seconds where that is not None."""
        pairs = zip(self._judges, self._route.questions, strict=True)
        await together_of([self._part(judge, question, patience) for judge, question in pairs])
        parts = [judge.verdict for judge in self._judges if judge.verdict]  # the latest, whoever has asked for it
        if self._verdict is None or any(new is not old for new, old in zip(parts, self._parts, strict=True)):
            apps = [question.app for question in self._route.questions]
            self._parts, self._verdict = parts, together(dict(zip(apps, parts, strict=True)))
            self._rendered.clear()
            self._record.judged(self._verdict)
        return self._verdict

    async def _part(self, judge: Judge, question: Question, patience: float | None) -> None:
        """One app's, at once when its outcome is there: outcomes are judged in their order."""
        judge.judge(await self._upstream.ask(question, patience))

    async def answer(self, request: Request, patience: float | None) -> Answer:
        verdict = await self.judge(patience)
        form = chosen(self._route.format, request.path, request.headers.get("accept", ""))
        if request.query and form == "kubernetes":
            return render(verdict, form, request.path, request.query)
        known = self._rendered.get(form)
        if known is None:
            known = self._rendered[form] = render(verdict, form, request.path)
        return known


class Metrics:
    """What the apps of a route say, as one page of metrics."""

    def __init__(self, route: Route, upstream: Upstream, limits: Sequence[Limits]) -> None:
        self._route = route
        self._upstream = upstream
        self._limits = limits
        self._outcomes: list[Outcome] = []
        self._parts: list[Part] = []
        self._problems: list[str] = []
        self._rendered: dict[PrometheusFormat, Answer] = {}

    async def answer(self, request: Request, patience: float | None) -> Answer:
        asked = [self._upstream.ask(question, patience) for question in self._route.questions]
        outcomes = await together_of(asked)
        if not self._outcomes or any(new is not old for new, old in zip(outcomes, self._outcomes, strict=True)):
            self._outcomes = outcomes
            self._read()
        if not self._parts:
            why = "; ".join(self._problems)
            return own_answer(SERVICE_UNAVAILABLE, why, why)
        form = choose(request.headers.get("accept", ""))
        known = self._rendered.get(form)
        if known is None:
            headers = {"Content-Type": form.content_type, "Cache-Control": "no-store"}
            known = Answer(200, headers, render_metrics(self._parts, form), "; ".join(self._problems))
            self._rendered[form] = known
        return known

    def _read(self) -> None:
        """Understand all answers. Of several apps a page tells which could not be; of one it is the answer's status."""
        self._rendered.clear()
        self._parts, self._problems = [], []
        several = len(self._outcomes) > 1
        good: list[str] = []
        for question, outcome, limits in zip(self._route.questions, self._outcomes, self._limits, strict=True):
            try:
                part = read(outcome, limits).exposition
            except Unreadable as error:
                self._problems.append(f"{question.url} {error.phrase}")
            else:
                good.append(question.app)
                self._parts.append(({"app": question.app} if several else {}, part))
        if several and self._parts:
            ups = {question.app: question.app in good for question in self._route.questions}
            self._parts.append(({}, parse(page_of_up(ups), CONTENT_TYPE, len(ups))))
