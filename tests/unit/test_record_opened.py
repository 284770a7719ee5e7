"""The entry of an opening: what it holds, and that it may follow anything."""

from pathlib import Path
from typing import Any

import pytest

from tests.record_samples import append, blobs, issued, set_aside, small_manifest
from tokenprov.errors import ManifestError
from tokenprov.record.entry import Entry, validate_entry
from tokenprov.record.manifest import verify_manifest


def opened(number: int, **changes: Any) -> Entry:
    """The secrets of that token, shown to their custodian."""
    of_token = issued(number)
    head = {name: of_token[name] for name in ("v", "time", "station", "approvers")}
    return {
        **head,
        "kind": "opened",
        "operator": "hana",
        "token": of_token["token"],
        "reason": "ticket 4711",
        "form": "shown",
        "secrets": of_token["secrets"],
        **changes,
    }


def test_an_opening_follows_anything(tmp_path: Path) -> None:
    """Before the token is issued, twice after it, and when it is out of use: the log verifies."""
    manifest = small_manifest(tmp_path)
    manifest.append(opened(7), blobs(7)[1:])
    append(manifest, 7)
    manifest.append(opened(7))
    manifest.append(opened(7))
    manifest.append(set_aside(7))
    manifest.append(opened(7, token={"serial": "10000007"}))
    assert verify_manifest(tmp_path).holds


def test_its_envelopes_are_held(tmp_path: Path) -> None:
    """An opening of an envelope that the manifest does not have is not appended without it."""
    manifest = small_manifest(tmp_path)
    with pytest.raises(ManifestError, match="missing"):
        manifest.append(opened(7))


@pytest.mark.parametrize(
    "changes",
    [{"reason": ""}, {"form": "Shown!"}, {"token": {}}, {"secrets": None}, {"more": 1}],
)
def test_an_opening_with_something_missing_is_no_entry(changes: dict[str, Any]) -> None:
    """A reason, a form, a token, and nothing else."""
    with pytest.raises(ManifestError) as caught:
        validate_entry(opened(1, **changes))
    assert caught.value.rule == "schema"
