"""Tokens: what each operation answers, alone and among the tasks of one worker."""

from __future__ import annotations

import asyncio
import hashlib

import pytest

from reference_impl import open_service
from reference_impl.backend import Address
from reference_impl.errors import ActiveTokenExists, NoActiveToken, UnknownAgent
from reference_impl.tokens import IssuedToken, find_agent, insert_token
from tests.reference_impl.conftest import Rows
from tests.reference_impl.stepping import closed

ACTIVE = "SELECT id FROM tokens WHERE revoked_at IS NULL ORDER BY rowid"


def test_a_token_issued_verifies(path: Address) -> None:
    """An issued token is the agent's active one and its secret names the agent."""

    async def main() -> None:
        async with closed(await open_service(path)) as service:
            token = await service.tokens.issue("ada")
            assert token.secret.startswith(f"{token.id}.")
            assert await service.tokens.get_active("ada") == token.id
            assert await service.tokens.verify(token.secret) == "ada"

    asyncio.run(main())


def test_the_secret_is_stored_as_a_hash(path: Address, rows: Rows) -> None:
    """The database knows the secret's SHA-256 and not the secret, and a token's repr doesn't tell it."""

    async def main() -> IssuedToken:
        async with closed(await open_service(path)) as service:
            token = await service.tokens.issue("ada")
            return token

    token = asyncio.run(main())
    stored = rows(path, "SELECT secret_hash FROM tokens")
    assert stored == [(hashlib.sha256(token.secret.encode()).hexdigest(),)]
    assert token.secret not in repr(token)


def test_a_second_token_is_refused(path: Address) -> None:
    """An agent with an active token gets no other."""

    async def main() -> None:
        async with closed(await open_service(path)) as service:
            await service.tokens.issue("ada")
            with pytest.raises(ActiveTokenExists):
                await service.tokens.issue("ada")

    asyncio.run(main())


def test_the_index_refuses_what_the_code_lets_through(path: Address) -> None:
    """A second active token is the same error where only the index notices it."""

    async def main() -> None:
        async with closed(await open_service(path)) as service:
            await service.tokens.issue("ada")
            async with service.database.autocommit() as connection:
                agent_id, _ = await find_agent(connection, "ada")
            with pytest.raises(ActiveTokenExists):
                async with service.database.transaction() as connection:
                    await insert_token(connection, "ada", agent_id)

    asyncio.run(main())


def test_a_rotation_replaces_the_token(path: Address, rows: Rows) -> None:
    """After a rotation the new token works and the old one doesn't."""

    async def main() -> None:
        async with closed(await open_service(path)) as service:
            old = await service.tokens.issue("ada")
            new = await service.tokens.rotate("ada")
            assert await service.tokens.verify(old.secret) is None
            assert await service.tokens.verify(new.secret) == "ada"
            assert rows(path, ACTIVE) == [(new.id,)]

    asyncio.run(main())


def test_a_rotation_needs_a_token(path: Address) -> None:
    """There is nothing to rotate for an agent without an active token."""

    async def main() -> None:
        async with closed(await open_service(path)) as service:
            with pytest.raises(NoActiveToken):
                await service.tokens.rotate("ada")

    asyncio.run(main())


def test_a_revoked_token_is_dead(path: Address) -> None:
    """A revoked token verifies no more, can't be revoked twice, and makes room for another."""

    async def main() -> None:
        async with closed(await open_service(path)) as service:
            token = await service.tokens.issue("ada")
            await service.tokens.revoke("ada", token.id)
            assert await service.tokens.verify(token.secret) is None
            assert await service.tokens.get_active("ada") is None
            with pytest.raises(NoActiveToken):
                await service.tokens.revoke("ada", token.id)
            await service.tokens.issue("ada")

    asyncio.run(main())


def test_revoking_hits_no_other_token(path: Address) -> None:
    """Neither another agent's token nor a token's successor can be revoked by mistake."""

    async def main() -> None:
        async with closed(await open_service(path)) as service:
            old = await service.tokens.issue("ada")
            for agent in ("bob", "nobody"):
                with pytest.raises(NoActiveToken):
                    await service.tokens.revoke(agent, old.id)
            new = await service.tokens.rotate("ada")
            with pytest.raises(NoActiveToken):
                await service.tokens.revoke("ada", old.id)
            assert await service.tokens.get_active("ada") == new.id

    asyncio.run(main())


def test_an_unknown_agent_is_an_error(path: Address) -> None:
    """Issuing, rotating and looking up name the agent that doesn't exist."""

    async def main() -> None:
        async with closed(await open_service(path)) as service:
            for call in (service.tokens.issue, service.tokens.rotate, service.tokens.get_active):
                with pytest.raises(UnknownAgent, match="'nobody'"):
                    await call("nobody")

    asyncio.run(main())


def test_what_is_not_a_token_belongs_to_nobody(path: Address) -> None:
    """Made-up, cut and altered secrets verify as nobody's."""

    async def main() -> None:
        async with closed(await open_service(path)) as service:
            token = await service.tokens.issue("ada")
            for secret in ("", ".", token.id, f"{token.id}.", token.secret[:-1], f"{token.secret}x", "ä.ö"):
                assert await service.tokens.verify(secret) is None

    asyncio.run(main())


def test_of_many_tasks_one_is_issued_a_token(path: Address, rows: Rows) -> None:
    """Tasks of one worker that ask at the same time: one gets the token, the others the error."""

    async def main() -> list[IssuedToken | BaseException]:
        async with closed(await open_service(path)) as service:
            answers = await asyncio.gather(*(service.tokens.issue("ada") for _ in range(5)), return_exceptions=True)
            return answers

    answers = asyncio.run(main())
    issued = [answer for answer in answers if isinstance(answer, IssuedToken)]
    assert sum(isinstance(answer, ActiveTokenExists) for answer in answers) == 4
    assert rows(path, ACTIVE) == [(token.id,) for token in issued]


def test_concurrent_rotations_all_succeed(path: Address, rows: Rows) -> None:
    """Tasks that rotate at the same time each get a token of their own; one is active at the end."""

    async def main() -> list[str]:
        async with closed(await open_service(path)) as service:
            await service.tokens.issue("ada")
            answers = await asyncio.gather(*(service.tokens.rotate("ada") for _ in range(4)))
            return [token.id for token in answers]

    ids = asyncio.run(main())
    assert len(set(ids)) == 4
    [(active,)] = rows(path, ACTIVE)
    assert active in ids


def test_tasks_for_different_agents_do_not_meet(path: Address, rows: Rows) -> None:
    """Tasks that ask for different agents at the same time all get what they ask for."""

    async def main() -> list[str]:
        async with closed(await open_service(path)) as service:
            answers = await asyncio.gather(service.tokens.issue("ada"), service.tokens.issue("bob"))
            return [token.id for token in answers]

    ids = asyncio.run(main())
    assert sorted(id for (id,) in rows(path, ACTIVE)) == sorted(ids)
