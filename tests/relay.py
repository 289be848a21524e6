"""A relay between the product's processes and a server, which can play a network that has lost them."""

import asyncio
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

_BLOCK = 1 << 16


class Relay:
    """Passes on what it is sent, from a port of the loopback to a server's socket."""

    def __init__(self, target: Path | int) -> None:
        #: The server: its Unix socket, or its port on the loopback.
        self.target = target
        self.port = 0
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        #: What is open, each with whether it still passes anything on.
        self._open: dict[asyncio.StreamWriter, asyncio.Event] = {}
        self._is_deaf = False

    def go_deaf(self) -> None:
        """Pass nothing on any more, on connections that are open and on new ones; they stay open."""
        self._do(self._set_deaf(True))

    def hear_new_connections(self) -> None:
        """Pass on what comes over new connections; those that went deaf stay so until their owners give up."""
        self._do(self._set_deaf(False))

    def close(self) -> None:
        """Refuse connections, and cut those that are open, as a host does whose server is down."""
        self._do(self._close())

    def reopen(self) -> None:
        """Listen again where it listened."""
        self._do(self._listen())

    def run(self) -> None:
        """Serve until `stop`."""
        self._loop.run_forever()
        self._loop.close()

    def stop(self) -> None:
        """End it, with all connections."""
        self._do(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _set_deaf(self, is_deaf: bool) -> None:
        self._is_deaf = is_deaf
        if is_deaf:
            for passes in self._open.values():
                passes.clear()

    async def _listen(self) -> None:
        self._server = await asyncio.start_server(self._relay, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _close(self) -> None:
        if self._server:
            self._server.close()
        for writer in list(self._open):
            writer.transport.abort()

    async def _end(self) -> None:
        await self._close()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if isinstance(self.target, Path):
                to_reader, to_writer = await asyncio.open_unix_connection(str(self.target))
            else:
                to_reader, to_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:  # the server is down
            writer.transport.abort()
            return
        passes = asyncio.Event()
        if not self._is_deaf:
            passes.set()
        self._open |= {writer: passes, to_writer: passes}
        try:
            pumps = [
                asyncio.ensure_future(_pump(reader, to_writer, passes)),
                asyncio.ensure_future(_pump(to_reader, writer, passes)),
            ]
            # At the end of all it is cancelled, which asyncio's server in Python 3.11 would print as an error.
            with suppress(asyncio.CancelledError):
                await asyncio.wait(pumps, return_when=asyncio.FIRST_COMPLETED)
            for pump in pumps:
                pump.cancel()
        finally:
            for end in (writer, to_writer):
                del self._open[end]
                end.close()


async def _pump(source: asyncio.StreamReader, sink: asyncio.StreamWriter, passes: asyncio.Event) -> None:
    with suppress(OSError):
        while block := await source.read(_BLOCK):
            await passes.wait()
            sink.write(block)
            await sink.drain()


@contextmanager
def relay(target: Path | int) -> Iterator[Relay]:
    """Run a relay to a server while the block runs."""
    made = Relay(target)
    thread = threading.Thread(target=made.run, name="relay", daemon=True)
    thread.start()
    made.reopen()
    try:
        yield made
    finally:
        made.stop()
        thread.join()
