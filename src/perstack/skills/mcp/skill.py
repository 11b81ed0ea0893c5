"""McpSkill: one declared server, with its life, its tools and its restarts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio

from perstack.schema.event import SkillConnected, SkillDisconnected, SkillStarting
from perstack.schema.message import TextPart
from perstack.schema.tool import OUTCOME_UNKNOWN, ToolOutput
from perstack.skills.mcp import CallUntaken, ServerGone, ServerRefused
from perstack.skills.mcp.life import Life
from perstack.skills.mcp.offer import Offer
from perstack.skills.mcp.protocol import LOST, TURNED_AWAY, UNREADABLE, UNTAKEN
from perstack.skills.mcp.reports import Reports
from perstack.skills.mcp.results import parts_of
from perstack.skills.mcp.server import server_of
from perstack.skills.mcp.session import Session

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from perstack.schema.message import Json
    from perstack.schema.skill import McpSseSkill, McpStdioSkill
    from perstack.schema.tool import Effect
    from perstack.skills.mcp import Surroundings
    from perstack.skills.mcp.changes import Locked
    from perstack.skills.mcp.protocol import ServerInfo, ServerTool

MAX_RESTARTS = 3
"""How often a server that ended is started anew in one run."""

_NOT_BEGUN = -1


class McpSkill:
    """A server that lives in the task which runs `keep`, from there until `close`.

    Contract: nothing raises for the server's sake. One that cannot be started has no
    tools, and its end is noted with the reason. One that ended later is started anew
    by the next call, `MAX_RESTARTS` times; a tool that is not the same then is refused.
    `admit` is awaited before each start. One that `waits` is started by the first call, or
    by `open`. `locked` are the tools that it is held to.
    """

    def __init__(
        self,
        name: str,
        skill: McpStdioSkill | McpSseSkill,
        around: Surroundings,
        admit: Callable[[], Awaitable[None]],
        locked: Locked | None = None,
        *,
        waits: bool = False,
    ) -> None:
        self.name = name
        self._skill = skill
        self._server = server_of(skill, around)
        self._note = around.note
        self._admit = admit
        self._patience = around.patience
        self._redaction = self._server.redaction
        self.reports = Reports(name, around.note, self._redaction)
        self.offer = Offer(skill, locked, self.reports.warn, around.own(name, skill))
        self._life = Life(_NOT_BEGUN if waits else 0)
        if waits:
            self._life.fail("")  # over before it began, so that a call starts the first
        self._wanted = anyio.Event()
        self._is_closed = False
        self._listing = anyio.Lock()

    async def keep(self) -> None:
        """Run the server, and run it again when a call wants it, until it is closed."""
        try:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(self.reports.pump)
                while not self._is_closed:
                    if not self._life.over.is_set():
                        await self._live(self._life)
                    await self._wanted.wait()
                    self._wanted = anyio.Event()
                tasks.cancel_scope.cancel()
        finally:
            self._life.fail("It was ended.")  # one that a call asked for and nobody will start

    async def begun(self) -> None:
        """Return once the server has been started, or as `settled`."""
        await self._life.begun.wait()

    async def settled(self) -> None:
        """Return once the server is up, or will not be until it is called."""
        await self._life.settled.wait()

    async def open(self) -> str:
        """Start a lazy server, if it was not yet. Why it is not running, if that is so."""
        life = await self._up()
        return "" if life.session is not None else life.problem

    def close(self) -> None:
        """End the server. One that is being started is given up at once."""
        self._is_closed = True
        self._wanted.set()
        self._life.over.set()
        if self._life.session is None:
            self._life.scope.cancel()

    @property
    def problem(self) -> str:
        """Why its server is not running; empty when it is."""
        return self._life.problem

    @property
    def has_program(self) -> bool:
        """Whether there is a program of its command."""
        return self._server.is_installed

    def effect_of(self, tool: ServerTool) -> Effect:
        """What a second call of the tool would do, which only a trusted server can say."""
        if self._skill.trusted and tool.annotations.get("readOnlyHint") is True:
            return "none"
        if self._skill.trusted and tool.annotations.get("idempotentHint") is True:
            return "idempotent"
        return "unknown"

    async def call(self, tool: str, args: Json, effect: Effect = "unknown") -> ToolOutput:
        """What the server's tool answers.

        A call whose effect is known to bear it is made once more where the server died in it;
        so is any call that the server has not taken.
        """
        outcome = OUTCOME_UNKNOWN if effect == "unknown" else ""
        lost = ""
        for _ in range(2):
            try:
                return await self._call(tool, args, outcome)
            except CallUntaken as gone:
                lost = str(gone)
            except ServerGone as gone:
                lost = f"{outcome}\n{gone}".strip()
                if outcome:
                    break
        return _failed(lost)

    async def _call(self, tool: str, args: Json, outcome: str) -> ToolOutput:
        """One attempt. `outcome` is what to say of one that gets no answer.

        Raises:
            ServerGone: the server died in it.
        """
        life = await self._up()
        if life.session is None:
            return _failed(f"The skill {self.name} is not running: {life.problem}")
        if problem := await self._listed_anew(life.session):
            return _failed(f"The call was not made. {problem}")
        if difference := self.offer.refused.get(tool):
            return _failed(f"The tool is refused. {difference}")
        try:
            result = await life.session.call(tool, args)
            life.has_served = True
            return parts_of(result, self._redaction)
        except ServerGone as gone:
            if life.has_served and isinstance(gone, CallUntaken):
                life.has_expired = True
            life.fail(self._reason(gone))
            raise
        except TimeoutError as late:
            return _failed(f"{late} {outcome}".strip())
        except ServerRefused as refused:
            if refused.code == LOST:  # the call, and not the server
                raise ServerGone(str(refused)) from None
            return _failed(str(refused) or f"The server refused with the error {refused.code}.")

    async def _listed_anew(self, session: Session) -> str:
        """Look at the tools again where the server has said that they are others now.

        What they were is what the model knows: one that differs is refused from here on.
        Why that could not be told, if it could not.
        """
        async with self._listing:
            if not session.have_tools_changed:
                return ""
            try:
                self.offer.take(await session.tools())
            except (ServerGone, ServerRefused, TimeoutError) as error:
                return self._reason(error)
            return ""

    async def _up(self) -> Life:
        """The life to call, a new one where the last is over and one is left."""
        life = self._life
        if life.session is not None and life.session.gone is not None:
            life.fail(self._reason(ServerGone(life.session.gone)))
        if life.over.is_set() and not self._is_last(life) and not self._is_closed:
            life = self._life = Life(life.number + (not life.has_expired))
            self._wanted.set()
        await life.settled.wait()
        if life.over.is_set():
            life.session = None
            life.problem = life.problem or "It was ended."
        return life

    def _is_last(self, life: Life) -> bool:
        if life.has_expired:
            return False
        return life.number >= (MAX_RESTARTS if self.offer.was_listed else 0)

    async def _live(self, life: Life) -> None:
        """One life, with its events. Whatever ends it is a reason, and no crash."""
        command, args = self._server.command, self._server.args
        has_begun = False
        try:
            with life.scope:
                await self._admit()
                await self._note(SkillStarting(skill_name=self.name, command=command, args=args))
                has_begun = True
                await self._serve(life)
        except Exception as error:  # noqa: BLE001 - a server's trouble is its own, whatever it is
            life.fail(self._reason(error))
        finally:
            life.session = None
            life.over.set()
            life.begun.set()
            life.settled.set()
            with anyio.CancelScope(shield=True):
                await self.reports.finish()
                if has_begun:
                    await self._note(
                        SkillDisconnected(
                            skill_name=self.name,
                            reason=life.problem or None,
                            tools_lost=bool(life.problem) and self._is_last(life),
                        )
                    )

    async def _serve(self, life: Life) -> None:
        began = anyio.current_time()
        transport = self._server.transport(self.reports.stderr, self._patience.stop)
        async with Session(
            transport,
            patience=self._patience,
            on_message=self.reports.message,
            redaction=self._redaction,
        ) as session:
            life.begun.set()
            await self._greet(session, began)
            life.session = session
            life.settled.set()
            await life.over.wait()

    async def _greet(self, session: Session, began: float) -> None:
        """Shake hands and take its tools. What it said of itself is not kept."""
        spawned = anyio.current_time()
        info = await session.start()
        shaken = anyio.current_time()
        tools = await session.tools()
        await self._note(self._connected(info, (began, spawned, shaken, anyio.current_time())))
        self.offer.take(tools)

    def _connected(
        self, info: ServerInfo, times: tuple[float, float, float, float]
    ) -> SkillConnected:
        began, spawned, shaken, listed = times
        return SkillConnected(
            skill_name=self.name,
            server_info={"name": info.name, "version": info.version},
            spawn_duration_ms=_ms(spawned - began),
            handshake_duration_ms=_ms(shaken - spawned),
            tool_discovery_duration_ms=_ms(listed - shaken),
            connect_duration_ms=_ms(shaken - began),
            total_duration_ms=_ms(listed - began),
        )

    def _reason(self, error: Exception) -> str:
        """Why a life is over. The first line is in words of ours, and what follows may not be."""
        match error:
            case ServerRefused(code=code) if code in {LOST, TURNED_AWAY, UNTAKEN}:
                words = str(error)
            case ServerGone() | TimeoutError():
                words = str(error).replace(" It printed:\n", "\nIt printed:\n", 1)
            case ServerRefused(code=code) if code == UNREADABLE:
                words = f"The server does not speak the protocol as it should.\n{error}"
            case ServerRefused(code=code):
                words = f"The server answered with the error {code}.\nIt said: {error}"
            case _:
                words = f"{type(error).__name__}: {error}"
        return self._redaction.hidden(words)


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)


def _failed(text: str) -> ToolOutput:
    return ToolOutput(contents=(TextPart(text=text),), is_error=True)
