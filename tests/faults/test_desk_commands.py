"""The machine is switched off in commands that tell no token anything, and write records or files.

Each is recorded once, from one home, and put together as in `test_machine`: at what is synced in
all ways, and at every change as a kill leaves it. Then the same command again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from tests.crash.station import station
from tests.faults.desk import WAITING, WHY, Deed, Desk, Trial
from tests.faults.power import CHANGES, CUT_OFF, SYNCS, WAYS, Everything, Log, moments
from tests.time_authority import time_authority

JUDGED = 5  # moments of each command, at the most, in all ways; and twice as many kills
GONE_ON = 3  # of these, from which the command is run again
USED = "the approval was used already"
THERE = "is there already"

DEEDS: Mapping[str, Deed] = {
    "people remove": Deed(
        command=("people", "remove", "walter", *WHY),
        kind="person-changed",
        agreed=True,
        again=("nobody is called",),
    ),
    "waiver grant": Deed(
        command=("waiver", "grant", "two-authenticators", "--until", "{until}", *WHY),
        kind="waiver",
        shows=(("waiver", "list"), "two-authenticators"),
        agreed=True,
        again=(USED,),
    ),
    "trust import": Deed(
        command=(
            *("trust", "import", "{folder}/roots.pem"),
            *("--fingerprint={first}", "--fingerprint={second}"),
        ),
        makes=("trust/{first}.pem", "trust/{second}.pem"),
    ),
    "batch set-aside": Deed(
        command=("batch", "set-aside", str(WAITING), *WHY),
        kind="set-aside",
        agreed=True,
        again=("was set aside already",),
    ),
    "batch retry": Deed(
        command=("batch", "retry", "{failed}", *WHY), kind="set-aside", agreed=True, again=(USED,)
    ),
    "batch export": Deed(
        command=("batch", "export", "{issued}", "{home}/out/papers", *WHY[2:]),
        makes=("out/papers/tokens.csv", "out/papers/labels.pdf"),
        again=(THERE,),
    ),
    "batch export --letters": Deed(
        command=(
            *("batch", "export", "{issued}", "{home}/out/papers", "--letters"),
            *("--key", "{home}/custodians/private/help-desk.pem", *WHY),
        ),
        kind="opened",
        makes=("out/papers/pin-letters.pdf",),
        agreed=True,
        again=(THERE, USED),
        given_up=True,
    ),
    "escrow export": Deed(
        command=(
            *("escrow", "export", "--for", "yubico-csv", "--out", "{home}/out/seeds"),
            *("--key", "{home}/custodians/private/authentication-server.pem", *WHY),
        ),
        kind="opened",
        makes=("out/seeds",),
        agreed=True,
        again=(THERE, USED),
        given_up=True,
    ),
    "escrow split": Deed(
        command=(
            *("escrow", "split", "--key", "{home}/custodians/private/break-glass.pem", *WHY),
            *("--shares", "3", "--threshold", "2", "--out", "{home}/out/shares"),
        ),
        kind="custodian-split",
        makes=[f"out/shares/share-{number}.txt" for number in (1, 2, 3)],
        agreed=True,
        again=(THERE, USED),
        given_up=True,
    ),
    "escrow join": Deed(
        command=("escrow", "join", "{folder}/shares/share-1.txt", "{folder}/shares/share-2.txt"),
        kind="drill",
        twice=True,
    ),
    "escrow new-key": Deed(
        command=("escrow", "new-key", "{home}/out/new.key", "--public", "{home}/out/new.pem"),
        makes=("out/new.key", "out/new.pem"),
        again=(THERE,),
    ),
    "holder recovery-codes": Deed(
        command=("holder", "recovery-codes", "e1", "--pdf", "{home}/out/codes.pdf", *WHY),
        kind="recovery-codes",
        makes=("out/codes.pdf",),
        again=(THERE,),
        twice=True,
    ),
    "manifest timestamp": Deed(
        command=("manifest", "timestamp", "--tsa", "{tsa}", "--tsa-root", "{tsa_root}"),
        makes=("manifest/timestamps/{size}-1.tsr",),
        cut_off=frozenset({*CUT_OFF, "stray"}),
    ),
    "manifest clock": Deed(
        command=("manifest", "clock", *WHY),
        kind="clock-corrected",
        ahead=True,
        again=("the clock is not behind",),
        shows=(("manifest", "show"), "clock-corrected"),
    ),
    "drill break-glass": Deed(
        command=(
            *("drill", "break-glass", "--key", "{home}/custodians/private/break-glass.pem"),
            *WHY[2:],
        ),
        kind="drill",
        twice=True,
    ),
    "witness init": Deed(
        command=("witness", "init", "{home}/out/witness", "--name", "w.example"),
        makes=("out/witness/witness.pem", "out/witness/witness.vkey"),
        again=("holds a key of a witness",),
    ),
    "root init --key": Deed(
        command=("root", "init", "{home}/out/root", "--name", "r", "--key", "{folder}/rita.key"),
        makes=("out/root/root.where", "out/root/root.vkey"),
        again=("holds a key of a root",),
    ),
    "root sign": Deed(
        command=("root", "sign", "{home}/out/root", "{home}/manifest", "--key", "{vkey}"),
        makes=("manifest/manifest.keys",),
        cut_off=frozenset({*CUT_OFF, "stray"}),
        before=(("root", "init", "{home}/out/root", "--name", "r"),),
    ),
    "approve request": Deed(
        command=(
            *("approve", "request", "wipe", "token=1", "--out", "{home}/out/asked"),
            *("--reason", "a test", "--as", "rita", "--key", "{folder}/rita.key"),
        ),
        makes=("out/asked",),
        again=(THERE,),
    ),
    "approve sign": Deed(
        command=(
            *("approve", "sign", "{home}/out/asked", "--yes"),
            *("--as", "pavel", "--key", "{folder}/pavel.key"),
        ),
        makes=("out/asked",),
        again=("has signed it already",),
        before=(
            (
                *("approve", "request", "wipe", "token=1", "--out", "{home}/out/asked"),
                *("--reason", "a test", "--as", "rita", "--key", "{folder}/rita.key"),
            ),
        ),
    ),
    "issuer export-requests": Deed(
        command=("issuer", "export-requests", "{home}/out/requests"),
        makes=("out/requests/requests.csv",),
        again=("is there and not empty",),
    ),
    "issuer import-certificates": Deed(
        command=("issuer", "import-certificates", "{folder}/answer.pem"),
    ),
    "ca init --csr-out": Deed(
        command=("ca", "init", "new", "--common-name", "New", "--csr-out", "{home}/out/new.csr"),
        makes=("out/new.csr", "authorities/new/ca.key"),
    ),
    "ca sign-authority": Deed(
        command=("ca", "sign-authority", "{home}/out/below.csr", "--authority", "root"),
        before=(
            ("ca", "init", "root", "--common-name", "Root", "--signs-authorities"),
            ("ca", "init", "below", "--common-name", "Below", "--csr-out", "{home}/out/below.csr"),
        ),
        harmless="authorities/root/requests/.authority%2F",  # a certificate that nobody was given
        shows=(("ca", "list", "--authority", "root"), "CN=Below"),
    ),
    "ca release": Deed(
        command=("ca", "release", "{certificate}"),
        before=(("ca", "revoke", "{certificate}", "--reason", "certificateHold"),),
        shows=(("ca", "list", "--revoked", "--json"), "[]"),
    ),
    "ca crl": Deed(command=("ca", "crl", "--out", "{home}/out/crl.der"), makes=("out/crl.der",)),
}


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Log:
    """Where calls to the disk are written down."""
    return Log(tmp_path_factory.mktemp("desk"))


@pytest.fixture(scope="module")
def desk(log: Log, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """Made once."""
    with (
        time_authority(tmp_path_factory.mktemp("tsa")) as time,
        station(log.there, within=log.within) as made,
    ):
        yield Desk(made, log, time)


@pytest.mark.parametrize("name", DEEDS)
def test_switched_off(
    desk: Desk, log: Log, name: str, record_property: pytest.RecordProperty
) -> None:
    """Nothing is torn or told in vain; the same command finishes it, once, and leaves nothing."""
    trial = Trial(desk, log, DEEDS[name])
    judged, tried, found = 0, 0, list[str]()
    for before, most, ways in (
        (SYNCS, JUDGED, WAYS),
        (CHANGES, 2 * JUDGED, {"killed": lambda _: Everything()}),
    ):
        total = sum(1 for _ in moments(trial.recorded, before))
        for turn, (number, machine, _) in enumerate(moments(trial.recorded, before)):
            last = turn == total - 1
            if turn % (total // most + 1) and not last:
                continue
            for way, made in ways.items():
                machine.left(desk.home, made(number))
                judged += 1
                found += [f"{number}, {way}: {one}" for one in trial.breaches(told=last)]
            if judged // len(ways) % (most // GONE_ON) == 0 or last:
                way = list(ways)[tried % len(ways)]
                machine.left(desk.home, ways[way](number))
                tried += 1
                found += [f"{number}, {way}, gone on: {one}" for one in trial.gone_on()]
    record_property(
        "faults", [f"power cut in {name}: {judged} states judged, {tried} gone on from"]
    )
    assert judged > 10
    assert tried > 2
    assert not found, "\n".join(found)
