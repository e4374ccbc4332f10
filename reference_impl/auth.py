"""Authentication of callers: a manager with a credential, or an agent with its token."""

import hashlib
import hmac
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

_MANAGER = HTTPBearer(auto_error=False, scheme_name="manager", description="The secret of one who may manage agents.")
_AGENT = HTTPBearer(auto_error=False, scheme_name="agent", description="An agent's token.")


def _refused(why: str) -> HTTPException:
    return HTTPException(401, why, headers={"WWW-Authenticate": "Bearer"})


async def manager(request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_MANAGER)]) -> str:
    """Return the manager that calls.

    Compare every credential, each in constant time, so that the time taken reveals nothing.

    Args:
        request: the request.
        given: what it brought.

    Returns:
        The manager's name.

    Raises:
        HTTPException: 401, where the secret is missing or is no manager's.
    """
    if given is None:
        raise _refused("send a manager's secret as 'Authorization: Bearer ...'")
    digest = hashlib.sha256(given.credentials.encode()).hexdigest()
    found = [name for name, known in request.app.state.settings.credentials if hmac.compare_digest(known, digest)]
    if not found:
        raise _refused("this is no manager's secret")
    return str(found[0])


async def agent(request: Request, given: Annotated[HTTPAuthorizationCredentials | None, Depends(_AGENT)]) -> str:
    """Return the agent that calls.

    Args:
        request: the request.
        given: what it brought.

    Returns:
        The agent's slug.

    Raises:
        HTTPException: 401, where the token is missing, unknown or revoked.
    """
    if given is None:
        raise _refused("send an agent's token as 'Authorization: Bearer ...'")
    slug = await request.app.state.service.tokens.verify(given.credentials)
    if slug is None:
        raise _refused("this token is not active: it is unknown, or was revoked or replaced")
    return str(slug)


Manager = Annotated[str, Depends(manager)]
Caller = Annotated[str, Depends(agent)]
