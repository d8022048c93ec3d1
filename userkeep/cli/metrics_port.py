"""The port for metrics: a second server on the event loop of the first one."""

import socket

import uvicorn


class MetricsPort:
    """Serves metrics between the start and the stop of the server that they are about."""

    def __init__(self, config: uvicorn.Config, listening: socket.socket) -> None:
        self._config = config
        self._server = uvicorn.Server(config)
        self._sockets = [listening]

    async def start(self) -> None:
        """Accept connections."""
        self._config.load()
        self._server.lifespan = self._config.lifespan_class(self._config)
        await self._server.startup(self._sockets)

    async def stop(self) -> None:
        """Complete the running requests, and close the connections."""
        await self._server.shutdown(self._sockets)
