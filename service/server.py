"""`python -m headgraft.service.server`: the HTTP front end, set up by its environment."""

import socket
import sys

import uvicorn

from headgraft.service.app import create_app
from headgraft.service.config import ServiceSettings
from headgraft.service.injections.context import InjectionContext
from headgraft.service.web.auth import refuse_unguarded
from headgraft.workers import logs
from headgraft.workers.environment import ConfigError, read_or_exit
from headgraft.workers.ledger.connections import connect
from headgraft.workers.ledger.scripts import RedisScripts
from headgraft.workers.store import StoreError

SHUTDOWN_SECONDS = 5


class Server(uvicorn.Server):
    """Closes open event streams on the first signal, so that shutdown does not wait for them."""

    def __init__(self, config: uvicorn.Config, context: InjectionContext) -> None:
        super().__init__(config)
        self._context = context

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Close the streams, then let the base class wait for the other requests."""
        self._context.hub.close()
        await super().shutdown(sockets)


def main() -> int:
    """Serve until a signal; 2 when the environment is wrong."""
    settings = read_or_exit(ServiceSettings)
    logs.configure(settings.log_level)
    try:
        app = create_app(settings)
        context: InjectionContext = app.state.context
        refuse_unguarded(settings, RedisScripts(connect(settings.redis_url.get_secret_value())))
        if settings.metrics_port is not None:
            context.metrics.serve(settings.host, settings.metrics_port)
    except (ConfigError, StoreError) as error:
        sys.stderr.write(f"headgraft: {error}\n")
        return 2
    except OSError as error:
        sys.stderr.write(f"headgraft: HEADGRAFT_METRICS_PORT: {error.strerror}\n")
        return 2
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
