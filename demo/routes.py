"""The addresses of a reading: open, act, word, copy. Each needs a session, and reaches its own readings only."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import resources
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, HTTPException, Request, Response
from fastapi.responses import PlainTextResponse

from demo.desk import Desk
from demo.federation import find_runs, read_run
from demo.library import uploaded_case
from demo.panels.federation import federation
from demo.panels.studies import study_list
from demo.sessions import BusyError, ReadingRoom, Session
from demo.view import changes, picture, table_order, view_of
from fedpsma.errors import InputError
from fedpsma.io.exam_file import parse_exam_bytes
from reporting.exporters.registry import FORMATS, FormatName

PREFIX = "/fp"
LARGEST_UPLOAD = 5_000_000
_CLIENT = {"ask.js": "text/javascript", "desk.js": "text/javascript", "page.css": "text/css"}
_MOST_RUNS = 10
Json = dict[str, Any]


def session_of(request: Request) -> Session:
    """Return the session of a request; whoever has none gets 401."""
    session = request.scope.get("fedpsma_session")
    if not isinstance(session, Session):
        raise HTTPException(401, "open the page first")
    return session


def session_name(request: Request) -> str:
    """Return the name of the session of a request, by which the images know their owner."""
    return session_of(request).name


SessionOf = Annotated[Session, Depends(session_of)]


def desk_router(room: ReadingRoom) -> APIRouter:
    """Return the addresses under which the page reaches the readings of this room."""
    router = APIRouter(prefix=PREFIX)
    _add_opening(router, room)
    _add_reading(router, room)
    _add_leaving(router, room)

    @router.get("/federation")
    def runs(session: SessionOf) -> Json:
        return {"html": federation([read_run(folder) for folder in find_runs(room.keeps.runs)[:_MOST_RUNS]])}

    @router.get("/client/{name}")
    def client(name: str) -> Response:
        if name not in _CLIENT:
            raise HTTPException(404)
        content = resources.files("demo").joinpath("client", name).read_bytes()
        return Response(content, media_type=_CLIENT[name])

    return router


def _add_opening(router: APIRouter, room: ReadingRoom) -> None:
    @router.get("/studies")
    def studies(session: SessionOf) -> Json:
        return {"html": study_list(room, session)}

    @router.post("/open")
    def open_study(session: SessionOf, asked: Annotated[Json, Body()]) -> Json:
        number, take_over = asked.get("study"), asked.get("take_over") is True
        chosen = number if isinstance(number, int) else room.first_free(session)
        return _told(lambda: _opened(room, session, chosen, take_over=take_over))

    @router.post("/upload")
    async def upload(session: SessionOf, request: Request, name: str = "exam.json") -> Json:
        content = await _limited(request)
        try:
            parse_exam_bytes(content, where=name[:80])
        except InputError as error:
            return {"problem": str(error)}
        session.uploads.append(uploaded_case(name, content, room.keeps.uploads / session.name, room.keeps.readings))
        return _told(lambda: _opened(room, session, len(room.cases(session)) - 1, take_over=False))


def _add_reading(router: APIRouter, room: ReadingRoom) -> None:
    @router.post("/reading/{token}/act")
    def act(session: SessionOf, token: str, asked: Annotated[Json, Body()]) -> Json:
        return _told(lambda: _acted(session, token, _desk(room, session, token), asked))

    @router.post("/reading/{token}/word")
    def word(session: SessionOf, token: str, asked: Annotated[Json, Body()]) -> Json:
        return _told(lambda: _worded(session, token, _desk(room, session, token), asked))

    @router.post("/reading/{token}/here")
    def here(session: SessionOf, token: str) -> None:
        _desk(room, session, token)

    @router.post("/reading/{token}/leave")
    def leave(session: SessionOf, token: str) -> None:
        room.close(session, token)


def _add_leaving(router: APIRouter, room: ReadingRoom) -> None:
    @router.get("/reading/{token}/text")
    def text(session: SessionOf, token: str) -> PlainTextResponse:
        try:
            return PlainTextResponse(_desk(room, session, token).export("text").content)
        except InputError as error:
            raise HTTPException(409, str(error)) from error

    @router.get("/reading/{token}/export/{name}")
    def export(session: SessionOf, token: str, name: FormatName) -> Response:
        try:
            made = _desk(room, session, token).export(name)
        except InputError as error:
            raise HTTPException(409, str(error)) from error
        headers = {"Content-Disposition": f'attachment; filename="{made.name}"'}
        return Response(made.content, media_type=FORMATS[name].media_type, headers=headers)


def _opened(room: ReadingRoom, session: Session, number: int, *, take_over: bool) -> Json:
    token = room.open(session, number, take_over=take_over)
    desk = room.desk(session, token)
    order = table_order(desk)
    if order:
        desk.choose(order[0])
    return {
        "token": token,
        "name": desk.case.name,
        "picture": picture(desk.case.picture),
        **_answer(session, token, desk, {}),
    }


def _acted(session: Session, token: str, desk: Desk, asked: Mapping[str, Any]) -> Json:
    with desk.lock:
        before = session.shown.get(token, {})
        if asked.get("kind") == "look":
            desk.choose(str(asked.get("lesion", "")))
        else:
            desk.do(asked)
        return _answer(session, token, desk, before)


def _worded(session: Session, token: str, desk: Desk, asked: Mapping[str, Any]) -> Json:
    with desk.lock:
        before = session.shown.get(token, {})
        if asked.get("writer") in ("template", "llm"):
            desk.word(asked["writer"])
        else:
            desk.refresh()
        progress = desk.progress
        told = {"done": progress.done, "whole": progress.whole, "problem": progress.problem}
        return {**_answer(session, token, desk, before), "wording": {**told, "finished": progress.is_finished}}


def _answer(session: Session, token: str, desk: Desk, before: Mapping[str, Mapping[str, str]]) -> Json:
    now = view_of(desk, [(key, one.title) for key, one in FORMATS.items() if desk.dicom or not one.needs_dicom])
    session.shown[token] = now
    return {
        "panels": changes(before, now),
        "order": table_order(desk),
        "chosen": desk.chosen,
        "standing": desk.reading.standing,
        "questions": len(desk.result.assessment.indeterminate),
        "failed": desk.failed_checks,
        "viewer": desk.images.value(desk.reading, table_order(desk), desk.chosen) if desk.images else None,
    }


def _told(work: Any) -> Json:
    """Do it, and tell an error of input in the one line that a reader can act on."""
    try:
        answer: Json = work()
    except BusyError as error:
        return {"problem": str(error), "busy": True}
    except InputError as error:
        return {"problem": str(error)}
    return answer


def _desk(room: ReadingRoom, session: Session, token: str) -> Desk:
    try:
        return room.desk(session, token)
    except KeyError:
        raise HTTPException(404, "this reading is not open here") from None


async def _limited(request: Request) -> bytes:
    content = b""
    async for chunk in request.stream():
        content += chunk
        if len(content) > LARGEST_UPLOAD:
            raise HTTPException(413, f"more than {LARGEST_UPLOAD // 1_000_000} MB")
    return content
