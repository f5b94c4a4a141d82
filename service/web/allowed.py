"""Which methods a path takes, for the answer to one that it does not take (RFC 9110, 15.5.6).

The framework names those of the first route that has the path; a path may have a route a method.
"""

from fastapi import Request
from fastapi.routing import iter_route_contexts
from starlette.routing import compile_path


def allowed_methods(request: Request) -> str:
    """Return the value of `Allow`."""
    methods: set[str] = set()
    for route in iter_route_contexts(request.app.routes):
        if route.path and compile_path(route.path)[0].match(request.scope["path"]):
            methods |= route.methods or set()
    return ", ".join(sorted(methods))
