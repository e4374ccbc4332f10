"""A gate's races as SARIF 2.1.0: a result per counterexample, with its window as locations and its steps as flows."""

from __future__ import annotations

import hashlib
from typing import Any

from harness.reports.gated import Gated
from harness.reports.source_lines import Mark, marks, message_of, relative
from harness.reports.text.gate_table import GateRow
from harness.saved.counterexample import Counterexample
from harness.values.history import Step

__all__ = ["sarif"]

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_MOST_STEPS = 500


def sarif(gated: Gated, version: str = "") -> dict[str, Any]:
    """Return a SARIF log of the counterexamples of rows that are not as expected; *version* is the harness's."""
    wrong = [number for number, row in enumerate(gated.rows) if not row.as_expected and number in gated.found]
    rules: dict[str, dict[str, Any]] = {}
    results = []
    for number in wrong:
        found = gated.found[number]
        name = _rule_id(found)
        rules.setdefault(name, {"id": name, "shortDescription": {"text": _rule(found)}})
        results.append(_result(gated, number, found, rule=list(rules).index(name)))
    driver: dict[str, Any] = {"name": "race-harness", "rules": list(rules.values())}
    if version:
        driver["version"] = version
    run: dict[str, Any] = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": results}
    if notifications := [_notification(row) for row in gated.rows if row.allowed or row.anew]:
        run["invocations"] = [{"executionSuccessful": True, "toolExecutionNotifications": notifications}]
    return {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}


def _notification(row: GateRow) -> dict[str, Any]:
    """Return a note of the verdict and its limits: resources that the scenario allows, fresh processes."""
    return {"level": "note", "message": {"text": f"{row.scenario} {row.name}: {row.verdict}, {row.covered}"}}


def _result(gated: Gated, number: int, found: Counterexample, *, rule: int) -> dict[str, Any]:
    places = [mark for mark in marks(found) if _is_file(mark.file)]
    result: dict[str, Any] = {
        "ruleId": _rule_id(found),
        "ruleIndex": rule,
        "level": "error",
        "message": {"text": f"{message_of(found)}\nTo replay it: {gated.rows[number].command}"},
        "partialFingerprints": {"race/v1": _fingerprint(found)},
        "codeFlows": [{"threadFlows": _flows(found, gated.root)}],
    }
    if places:
        result["locations"] = [_location(places[0], gated.root)]
        result["relatedLocations"] = [
            {**_location(mark, gated.root), "id": each} for each, mark in enumerate(places[1:], start=1)
        ]
    return result


def _is_file(name: str) -> bool:
    return not name.startswith("<")


def _location(mark: Mark, root: str) -> dict[str, Any]:
    return {**_place(mark.file, mark.line, root), "message": {"text": f"{mark.role}: {mark.text}"}}


def _place(file: str, line: int, root: str) -> dict[str, Any]:
    artifact = {"uri": _uri(relative(file, root))}
    return {"physicalLocation": {"artifactLocation": artifact, "region": {"startLine": max(line, 1)}}}


def _uri(path: str) -> str:
    from urllib.parse import quote

    return f"file://{quote(path)}" if path.startswith("/") else quote(path)


def _flows(found: Counterexample, root: str) -> list[dict[str, Any]]:
    """Return a thread flow for each task; its steps have their numbers in the execution."""
    flows: dict[str, list[dict[str, Any]]] = {}
    for number, step in enumerate(found.steps[:_MOST_STEPS]):
        flows.setdefault(f"w{step.worker} {step.lane}".strip(), []).append(_flow_step(number, step, root))
    return [{"id": name, "locations": steps} for name, steps in flows.items()]


def _flow_step(number: int, step: Step, root: str) -> dict[str, Any]:
    text = " ".join(f"{step.kind} {step.text}".split())
    location: dict[str, Any] = {"message": {"text": text or step.choice}}
    if step.source is not None and _is_file(step.source.file):
        location.update(_place(step.source.file, step.source.line, root))
    return {"location": location, "executionOrder": number}


def _rule(found: Counterexample) -> str:
    failure = found.failure
    return failure.rule or failure.kind


def _rule_id(found: Counterexample) -> str:
    return f"{found.scenario}/{found.failure.kind}/{_rule(found)}".replace(" ", "-")


def _fingerprint(found: Counterexample) -> str:
    """Return a digest of the rule and the statements of the window: it stays the same when lines move."""
    parts = [_rule_id(found), *sorted(f"{mark.role} {mark.text}" for mark in marks(found))]
    return hashlib.sha256("\n".join(parts).encode(errors="surrogatepass")).hexdigest()[:32]
