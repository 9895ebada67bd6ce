"""The three modes of a route, each as something that answers its requests from what comes of its questions.

    Forward   the app's answer as it is
    Verdicts  whether the app is healthy, in the dialect that the prober understands
    Metrics   what the app says, as a Prometheus page; of several apps as one page, with a label `app`

What is worked out from an outcome is kept as long as that outcome is: a thousand probers who share one are answered
from one verdict, and mostly with the same bytes.
"""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from sidecars.adapter.app_client.background import LARGE
from sidecars.adapter.app_client.client import Impatient, Upstream
from sidecars.adapter.app_client.interpretation import Limits, Unreadable, read
from sidecars.adapter.app_client.outcome import NoReply, Outcome, Question
from sidecars.adapter.exposition.cancellation import Checkpoint, never_cancelled
from sidecars.adapter.exposition.exposition import Exposition
from sidecars.adapter.exposition.parser import parse_page
from sidecars.adapter.health.to_metrics import CONTENT_TYPE, page_of_up
from sidecars.adapter.rendering.negotiation import ExpositionFormat, negotiate_format
from sidecars.adapter.rendering.render import render_metrics
from sidecars.adapter.server.routes import Route
from sidecars.adapter.statistics import RouteRecord
from sidecars.adapter.verdict.dialect_negotiation import Format, chosen
from sidecars.adapter.verdict.dialects import render
from sidecars.adapter.verdict.judge import Judge
from sidecars.adapter.verdict.probe_response import SERVICE_UNAVAILABLE, Answer, forward, own_answer
from sidecars.adapter.verdict.verdict import Verdict, together
from sidecars.chassis.config.setting_types import format_duration
from sidecars.chassis.http.server import Request

_LONGEST_WRITING = 60.0  # seconds

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
        self._longest = max(question.timeout for question in route.questions)
        self._now = asyncio.get_running_loop().time
        self._page: _Page | None = None
        self._about: list[weakref.ref[Outcome]] = []

    async def answer(self, request: Request, patience: float | None) -> Answer:
        begun = self._now()
        outcomes = await together_of([self._outcome(question, patience) for question in self._route.questions])
        page = self._page
        if page is None or any(new is not old() for new, old in zip(outcomes, self._about, strict=True)):
            page = self._page = _Page(self._route.questions, outcomes, self._limits)
            self._about = [weakref.ref(outcome, self._let_go) for outcome in outcomes]
        form = negotiate_format(request.headers.get("accept", ""))
        if page.is_large(form):
            return await self._written(page, form, begun, patience)
        return page.answer(form)

    async def _written(self, page: _Page, form: ExpositionFormat, begun: float, patience: float | None) -> Answer:
        """The answer from a large page, which is written beside the event loop: once for all who wait for it.

        It may take as long as the scraper waits; where that does not say, as long as the app's answer may take.
        """
        longest = self._longest if patience is None else min(patience, _LONGEST_WRITING)
        left = longest - (self._now() - begun)
        task = page.writing.get(form)
        if task is None:
            work = self._upstream.background.run(self._route.path, page.size, lambda go: page.write(form, go))
            task = page.writing[form] = asyncio.create_task(_within(left, work))
            task.add_done_callback(lambda _: page.writing.pop(form, None))
        body = await asyncio.shield(task)
        if body is None:
            sentence = page.unwritten(longest)
            return own_answer(SERVICE_UNAVAILABLE, sentence, sentence)
        return page.answer(form, body)

    def _let_go(self, _outcome: weakref.ref[Outcome]) -> None:
        """Nobody is told of it any more: pages can be large."""
        self._page = None

    async def _outcome(self, question: Question, patience: float | None) -> Outcome:
        """Of several apps, one that takes too long for the scrape does not keep back what the others say."""
        try:
            return await self._upstream.ask(question, patience)
        except Impatient as error:
            if len(self._route.questions) == 1:
                raise
            return NoReply("timeout", error.phrase)


async def _within(seconds: float, work: Coroutine[Any, Any, T]) -> T | None:
    """What comes of the work; None where it is not done in time."""
    try:
        return await asyncio.wait_for(work, seconds)
    except TimeoutError:
        return None


class _Page:
    """The answers of all apps, understood, and written in each format that was asked for.

    Of several apps the page tells which gave no usable answer; of one, or where none did, it is the answer's status.
    """

    def __init__(self, questions: Sequence[Question], outcomes: Sequence[Outcome], limits: Sequence[Limits]) -> None:
        several = len(outcomes) > 1
        self.writing: dict[ExpositionFormat, asyncio.Task[bytes | None]] = {}
        """What is being written, by format."""
        self._urls = " and ".join(question.url for question in questions)
        self._rendered: dict[ExpositionFormat, Answer] = {}
        self._parts: list[Part] = []
        problems: dict[str, str] = {}
        for question, outcome, limit in zip(questions, outcomes, limits, strict=True):
            try:
                self._parts.append(({"app": question.app} if several else {}, read(outcome, limit).exposition))
            except Unreadable as error:
                problems[question.app] = f"{question.url} {error.phrase}"
        if several and self._parts:
            ups = {question.app: question.app not in problems for question in questions}
            self._parts.append(({}, parse_page(page_of_up(ups), CONTENT_TYPE, len(ups))))
        self._why = "; ".join(problems.values())
        self.size = sum(len(exposition.page) for _, exposition in self._parts)
        """Bytes of the apps' pages."""

    def is_large(self, form: ExpositionFormat) -> bool:
        """True if it must be written beside the event loop."""
        return self.size >= LARGE and form not in self._rendered

    def write(self, form: ExpositionFormat, checkpoint: Checkpoint) -> bytes:
        """The page in this format."""
        return render_metrics(self._parts, form, checkpoint)

    def unwritten(self, seconds: float) -> str:
        """The sentence about a page that was not written in time."""
        within = format_duration(seconds)
        return f"{self._urls} answered, but {self.size} B of metrics could not be written within {within}"

    def answer(self, form: ExpositionFormat, body: bytes | None = None) -> Answer:
        """The answer in this format; `body` where it has been written."""
        if not self._parts:
            return own_answer(SERVICE_UNAVAILABLE, self._why, self._why)
        known = self._rendered.get(form)
        if known is None:
            headers = {"Content-Type": form.content_type, "Cache-Control": "no-store"}
            written = self.write(form, never_cancelled) if body is None else body
            known = self._rendered[form] = Answer(200, headers, written, self._why)
        return known
