"""Rates from the ECB over HTTP: asked only when a day is due, and whatever it answers, prices are not lost by it.

The address and the file are those of
https://www.ecb.europa.eu/stats/policy_and_exchange_rates/euro_reference_exchange_rates/ ("Time series, CSV (.zip)");
the answer to a conditional request is that of RFC 9110, 13.1.3.
"""

import io
import zipfile
from datetime import UTC, datetime, timedelta

import pytest

from app.http_client import Patience
from app.market_data import sync_reference_rates
from app.market_data.ecb import fetch
from app.market_data.providers.terms import ProviderError
from tests import factories as make
from tests.api_server import Reply, provider

HEADING = "Date,USD,GBP,HRK,\n"
TUESDAY, WEDNESDAY = "2026-03-10,1.10,0.88,N/A,\n", "2026-03-11,1.11,0.89,N/A,\n"
#: Two minutes past four of Wednesday there.
DUE = datetime(2026, 3, 11, 15, 2, tzinfo=UTC)


def packed(*days):
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        zipped.writestr("eurofxref-hist.csv", HEADING + "".join(days))
    return archive.getvalue()


HALF = packed(WEDNESDAY)[: len(packed(WEDNESDAY)) // 2]


@pytest.fixture
def ecb():
    with provider() as here:
        here.answer = lambda _: Reply(packed(WEDNESDAY, TUESDAY))
        yield here


@pytest.fixture
def sync(session, ecb):
    def sync(now=DUE):
        return sync_reference_rates(session, None, f"{ecb.url}/stats/eurofxref", now=now)

    return sync


@pytest.fixture
def knows_tuesday(session, tmp_path):
    path = tmp_path / "rates.csv"
    path.write_text(HEADING + TUESDAY)
    assert sync_reference_rates(session, path, now=DUE).new_rates == 2


def newest(session):
    ((day,),) = make.rows(session, "SELECT max(rate_date)::text FROM fx_rates WHERE NOT is_fixed")
    return day


def test_a_day_that_is_due_is_fetched_and_then_nothing_is_asked(session, ecb, sync, knows_tuesday):
    told = sync()
    assert (told.new_rates, told.newest_rates, told.rates_failed) == (2, "2026-03-11", [])
    ((source,),) = make.rows(session, "SELECT DISTINCT source FROM fx_rates WHERE rate_date = '2026-03-11'")
    assert source == "ECB"
    (asked,) = ecb.asked
    assert (asked.method, asked.path) == ("GET", "/stats/eurofxref/eurofxref-hist.zip")
    # Midnight there, after the day that is known.
    assert asked.headers["if-modified-since"] == "Tue, 10 Mar 2026 23:00:00 GMT"
    assert sync().new_rates == 0
    assert len(ecb.asked) == 1


def test_before_four_oclock_there_nothing_is_asked(ecb, sync, knows_tuesday):
    assert sync(datetime(2026, 3, 11, 14, 59, tzinfo=UTC)).rates_failed == []
    assert ecb.asked == []


def test_what_has_not_changed_is_asked_for_again_the_next_time(session, ecb, sync, knows_tuesday):
    ecb.answer = lambda _: Reply(status=304)
    told = sync()
    assert (told.new_rates, told.newest_rates, told.rates_failed) == (0, "2026-03-10", [])
    ecb.answer = lambda _: Reply(packed(WEDNESDAY, TUESDAY))
    assert sync().newest_rates == "2026-03-11"


def test_where_nothing_is_known_all_is_fetched(session, ecb, sync):
    assert sync().new_rates == 4
    assert "if-modified-since" not in ecb.asked[0].headers


def test_where_nothing_is_known_and_it_does_not_answer_the_installed_file_is_read(session, ecb, sync):
    ecb.answer = lambda _: Reply(status=503)
    told = sync(datetime.now(UTC))
    assert told.rates_failed == ["ECB: it failed with status 503"]
    assert told.new_rates > 200_000


def test_a_figure_that_it_has_changed_is_told_and_not_taken(session, ecb, sync, knows_tuesday):
    ecb.answer = lambda _: Reply(packed(WEDNESDAY, TUESDAY.replace("0.88", "0.78")))
    told = sync()
    assert (told.new_rates, told.changed_rates) == (2, ["GBP of 2026-03-10: 0.88 is known, ECB has 0.78"])


def test_a_currency_that_iso_4217_has_withdrawn_is_kept_with_its_days(session, ecb, sync):
    ecb.answer = lambda _: Reply(packed("2022-12-30,1.06,0.88,7.5365,\n"))
    assert sync().rates_failed == []
    assert make.rows(session, "SELECT rate_date::text FROM fx_rates WHERE currency = 'HRK' AND NOT is_fixed") == [
        ("2022-12-30",)
    ]


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Reply("<html>Scheduled maintenance</html>"), "is no ZIP; it begins with b'<html>Scheduled"),
        (Reply(HALF), "ECB: it can't be read"),
        (Reply(packed(WEDNESDAY), cut_after=100), "it gave no whole answer"),
        (Reply("gone", status=404), "it does not have eurofxref-hist.zip at ECB_URL (status 404)"),
        (Reply(status=301, headers={"Location": "https://elsewhere.example"}), "(status 301)"),
        (Reply(status=500), "it failed with status 500"),
        (Reply(status=429), "it says that it is asked too often (429)"),
        (Reply(packed("2026-03-11,1.11,,\n")), "line 2: it has no rates"),
    ],
)
def test_what_fails_is_told_in_words_and_what_is_known_stays(session, ecb, sync, knows_tuesday, reply, says):
    ecb.answer = lambda _: reply
    told = sync(DUE)
    (failed,) = told.rates_failed
    assert says in failed
    assert newest(session) == "2026-03-10"


def test_an_answer_without_an_end_is_given_up(ecb):
    ecb.answer = lambda _: Reply(b"PK" + bytes(100_000))
    with pytest.raises(ProviderError, match="more than 1,000 bytes"):
        fetch(ecb.url, None, patience=Patience(max_bytes=1_000))


def test_the_task_keeps_prices_though_no_rates_can_be_had(session, ecb, worker, celery_app, tmp_path, monkeypatch):
    make.security(session, "A")
    session.commit()
    (tmp_path / "prices.csv").write_text(
        "date,scheme,identifier,price,currency\n"
        + f"{datetime.now(UTC).date() - timedelta(days=1)},CUSIP,C-A,12.34,USD\n"
    )
    monkeypatch.setenv("PRICES_DIR", str(tmp_path))
    monkeypatch.setenv("ECB_URL", f"{ecb.url}/stats/eurofxref")
    ecb.answer = lambda _: Reply(status=500)
    worker(concurrency=1)
    answer = celery_app.send_task("app.tasks.reconciliation.sync_market_data").get(timeout=60)
    assert (answer["new_prices"], answer["rates_failed"]) == (1, ["ECB: it failed with status 500"])
    assert answer["new_rates"] > 200_000
