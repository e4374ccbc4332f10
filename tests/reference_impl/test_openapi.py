"""The service against its own OpenAPI document: schemathesis tries what the document says, and what it does not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.reference_impl.serving import running

pytestmark = [pytest.mark.forks, pytest.mark.slow]

EXAMPLES, SECONDS = 7, 180.0

# A key that was used for another request is refused with 422 (IETF draft, The Idempotency-Key HTTP Header Field, 2.7), which
# no document can say of a single request; all else that fits the document must be taken.
CONFIGURATION = """
[headers]
Authorization = "Bearer secret"
[[operations]]
include-path-regex = "/api/agents(/deploy)?$"
[operations.checks.positive_data_acceptance]
expected-statuses = ["2xx", "404", "409", "422", "503"]
[[operations]]
include-path = "/api/me"
headers = {{ Authorization = "Bearer {token}" }}
"""


def explore(url: str, directory: Path, token: str) -> subprocess.CompletedProcess[str]:
    """Run schemathesis with every check it has."""
    (directory / "schemathesis.toml").write_text(CONFIGURATION.format(token=token))
    command = [sys.executable, "-c", "from schemathesis.cli import schemathesis; schemathesis()", "--config-file"]
    command += [str(directory / "schemathesis.toml"), "run", f"{url}/openapi.json", "--checks", "all", "--no-color"]
    command += ["--max-examples", str(EXAMPLES), "--seed", "1"]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=SECONDS, check=False)


def test_the_service_does_what_its_openapi_document_says(tmp_path: Path) -> None:
    """Statuses, bodies, headers and refusals are as documented; every part of the document resolves."""
    with running(tmp_path, "--containers", str(tmp_path / "containers")) as (_, http):
        added = http.post("/api/agents", json={"name": "Known"}, headers={"Idempotency-Key": "k"})
        token = http.post(f"/api/agents/{added.json()['slug']}/token").json()["secret"]
        done = explore(str(http.base_url), tmp_path, token)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Unresolvable" not in done.stdout
    assert "Tested: 9" in done.stdout


def test_every_response_refers_to_something(tmp_path: Path) -> None:
    """No reference dangles, and the Idempotency-Key is described."""
    with running(tmp_path) as (_, http):
        document = http.get("/openapi.json").json()
    text = json.dumps(document)
    assert '"#/components/schemas/Problem"' in text
    assert set(document["components"]["schemas"]["Problem"]["properties"]) == {"type", "title", "status", "detail"}
    for path in ("/api/agents", "/api/agents/deploy"):
        names = [parameter["name"] for parameter in document["paths"][path]["post"]["parameters"]]
        assert "Idempotency-Key" in names
