"""`python -m service.server`: the HTTP front end as a process, set up by its environment."""

import socket
import sys

import uvicorn

from service.app import create_app
from service.auth import refuse_unguarded
from service.config import ConfigError, load
from service.injection_context import InjectionContext
from workers import logs

SHUTDOWN_SECONDS = 5


class Server(uvicorn.Server):
    """Ends the event streams on the first signal, so that a stop waits for nobody's stream."""

    def __init__(self, config: uvicorn.Config, context: InjectionContext) -> None:
        super().__init__(config)
        self._context = context

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the streams, then let the base class wait for the other requests."""
        self._context.hub.close()
        await super().shutdown(sockets)


def main() -> int:
    """Serve until a signal; 2 when the environment is wrong."""
    try:
        settings = load()
        logs.configure(settings.log_level)
        app = create_app(settings)
        context: InjectionContext = app.state.context
        refuse_unguarded(settings, context.ledger)
    except ConfigError as error:
        sys.stderr.write(f"headgraft: {error}\n")
        return 2
    if settings.metrics_port is not None:
        context.metrics.serve(settings.host, settings.metrics_port)
    config = uvicorn.Config(
        app,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_SECONDS,
    )
    Server(config, context).run()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
