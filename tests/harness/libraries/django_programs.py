"""A Django application of one model, as its settings, models and views would be. Imported in the process that forks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import django
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connection, connections, models, transaction

settings.configure(
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:", "OPTIONS": {"timeout": 5}}},
    USE_TZ=True,
)
django.setup()


class Counter(models.Model):
    """What is counted in."""

    n = models.IntegerField()
    k = models.IntegerField(unique=True)

    class Meta:
        """Where the model belongs."""

        app_label = "counting"


def use(db: Path, **options: Any) -> None:
    """Have default connections be ones to *db*; *options* are those of its settings."""
    connections.settings["default"].update(NAME=str(db), OPTIONS={"timeout": 5, **options})


def set_up(db: Path) -> None:
    """Make the table, and a counter of nothing."""
    use(db)
    with connection.schema_editor() as editor:
        editor.create_model(Counter)
    Counter.objects.create(k=1, n=0)
    connection.close()


def counted(db: Path) -> None:
    """What two increments have come to."""
    use(db)
    n = Counter.objects.get(k=1).n
    connection.close()
    assert n == 2, f"it is {n}, not 2"


def made_once(db: Path) -> None:
    """How many rows two checks and insertions have come to."""
    use(db)
    found = Counter.objects.filter(n=7).count()
    connection.close()
    assert found == 1, f"there are {found}"


def worker(function: Callable[[], None], **options: Any) -> Callable[[Path], None]:
    """Return what a process does that serves one request by *function*."""

    def serve(db: Path) -> None:
        use(db, **options)
        try:
            function()
        finally:
            connections.close_all()

    return serve


def get_then_save() -> None:
    """What is saved was computed from what was got."""
    counter = Counter.objects.get(k=1)
    counter.n += 1
    counter.save()


def get_then_save_in_a_transaction() -> None:
    """A deferred transaction begins with the read: whoever comes second is refused."""
    with transaction.atomic():
        get_then_save()


def by_an_expression() -> None:
    """The database computes it."""
    Counter.objects.filter(k=1).update(n=models.F("n") + 1)


def look_then_create() -> None:
    """Two may see none."""
    if not Counter.objects.filter(n=7).exists():
        Counter.objects.create(k=Counter.objects.count() + 1, n=7)


def get_or_create() -> None:
    """A unique column decides."""
    Counter.objects.get_or_create(k=7, defaults={"n": 7})


async def get_then_save_asynchronously(db: Path) -> None:
    """An asynchronous view: Django runs what it does to the database in a thread."""
    use(db)
    counter = await Counter.objects.aget(k=1)
    counter.n += 1
    await counter.asave()
    await sync_to_async(connections.close_all)()
