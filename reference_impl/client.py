"""A client that retries the requests that may be retried safely: keyed ones under their key, and rotations."""

from dataclasses import dataclass
from typing import Any

import httpx
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, retry_if_result, stop_after_attempt
from tenacity.wait import wait_base, wait_exponential, wait_random

from reference_impl.problems import REPLAYED


@dataclass(frozen=True, slots=True)
class Reply:
    """The service's last answer to a call.

    Attributes:
        status: the HTTP status; 0 where no attempt was answered.
        body: the JSON of the answer, or None.
        replayed: whether an earlier request with the key got the same answer.
        attempts: how many requests were sent.
    """

    status: int
    body: Any
    replayed: bool
    attempts: int


class AgentsClient:
    """Calls the service.

    Args:
        http: the connection to it, with its base URL.
        secret: a manager's secret, or an agent's token.
        attempts: the most requests to send for one call.
        timeout: how long to wait for each answer, in seconds.
        backoff: how long to wait before the second attempt, in seconds; the wait doubles for each attempt after that.
    """

    def __init__(
        self, http: httpx.AsyncClient, secret: str, *, attempts: int = 5, timeout: float = 15.0, backoff: float = 0.2
    ) -> None:
        self._http, self._secret, self._attempts = http, secret, attempts
        self._timeout, self._wait = (
            timeout,
            _AsAsked(wait_exponential(multiplier=backoff, max=10.0) + wait_random(0.0, backoff)),
        )

    async def add_agent(self, name: str, *, key: str) -> Reply:
        """Add an agent.

        Args:
            name: its name.
            key: the same for every retry of this request.

        Returns:
            The last answer.
        """
        return await self._keyed("/api/agents", {"name": name}, key)

    async def deploy_agent(self, name: str, image: str, *, key: str) -> Reply:
        """Add an agent and start its container.

        Args:
            name: its name.
            image: the image that its container is to run.
            key: the same for every retry of this request.

        Returns:
            The last answer.
        """
        return await self._keyed("/api/agents/deploy", {"name": name, "image": image}, key)

    async def rotate_token(self, slug: str) -> Reply:
        """Replace an agent's token; retried, since rotating twice is safe.

        Args:
            slug: the agent.

        Returns:
            The last answer.
        """
        return await self._retried("POST", f"/api/agents/{slug}/token/rotate", None, {})

    async def issue_token(self, slug: str) -> Reply:
        """Issue a token; not retried, since a lost answer may have contained a token.

        Args:
            slug: the agent.

        Returns:
            The answer; status 0 where none came: then it is unknown whether a token was issued.
        """
        try:
            return _reply(await self._send("POST", f"/api/agents/{slug}/token", None, {}), 1)
        except httpx.TransportError:
            return Reply(0, None, False, 1)

    async def whoami(self) -> Reply:
        """Ask which agent the secret belongs to.

        Returns:
            The last answer.
        """
        return await self._retried("GET", "/api/me", None, {})

    async def _keyed(self, path: str, body: Any, key: str) -> Reply:
        return await self._retried("POST", path, body, {"Idempotency-Key": key})

    async def _retried(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Reply:
        retrying = AsyncRetrying(
            stop=stop_after_attempt(self._attempts),
            wait=self._wait,
            retry=retry_if_exception_type(httpx.TransportError) | retry_if_result(_worth_retrying),
            retry_error_callback=lambda state: state,
        )
        outcome: Any = await retrying(self._send, method, path, body, headers)
        attempts = int(retrying.statistics["attempt_number"])
        if isinstance(outcome, RetryCallState):
            last = outcome.outcome
            if last is None or last.failed:
                return Reply(0, None, False, attempts)
            outcome = last.result()
        return _reply(outcome, attempts)

    async def _send(self, method: str, path: str, body: Any, headers: dict[str, str]) -> httpx.Response:
        return await self._http.request(
            method,
            path,
            json=body,
            headers={"Authorization": f"Bearer {self._secret}", **headers},
            timeout=self._timeout,
        )


class _AsAsked(wait_base):
    """Waits for the seconds in the answer's ``Retry-After``, and no less than the backoff."""

    def __init__(self, backoff: wait_base) -> None:
        self._backoff = backoff

    def __call__(self, retry_state: RetryCallState) -> float:
        outcome = retry_state.outcome
        asked = 0.0
        if outcome is not None and not outcome.failed:
            given = outcome.result().headers.get("Retry-After", "")
            asked = float(given) if given.isdecimal() else 0.0
        return max(asked, self._backoff(retry_state))


def _worth_retrying(response: httpx.Response) -> bool:
    return response.status_code >= 500 or (response.status_code == 409 and "Retry-After" in response.headers)


def _reply(response: httpx.Response, attempts: int) -> Reply:
    body = response.json() if "json" in response.headers.get("Content-Type", "") else None
    return Reply(response.status_code, body, response.headers.get(REPLAYED) == "true", attempts)
