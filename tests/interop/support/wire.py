"""A wire between device and service that can be cut and mended. What passes is not looked at."""

import asyncio
import threading


class Wire:
    """Lets connections to `port` through to the service until it is cut."""

    def __init__(self, host, port):
        self._service = (host, port)
        self._open = True
        self._writers = set()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        self.port = self._run(self._listen())

    def _run(self, coroutine):
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(60)

    async def _listen(self):
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        return self._server.sockets[0].getsockname()[1]

    async def _connected(self, reader, writer):
        if not self._open:
            writer.transport.abort()
            return
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._service)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, far_writer}
        self._writers |= ends
        await asyncio.gather(self._pump(reader, far_writer), self._pump(far_reader, writer))
        self._writers -= ends

    @staticmethod
    async def _pump(reader, writer):
        try:
            while chunk := await reader.read(65536):
                writer.write(chunk)
                await writer.drain()
        except OSError:
            pass
        writer.transport.abort()

    async def _set(self, open_):
        self._open = open_
        if not open_:
            for writer in self._writers:
                writer.transport.abort()

    def cut(self):
        """Breaks what is connected, and lets nobody connect."""
        self._run(self._set(False))

    def mend(self):
        self._run(self._set(True))

    def close(self):
        async def stop():
            self._server.close()
            await self._set(False)

        self._run(stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
