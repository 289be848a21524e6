"""FIGIs by OpenFIGI's mapping API, against a server that answers as https://www.openfigi.com/api/documentation says.

That is "POST /v3/mapping": an entry for each job with `data`, `warning` or `error`; 413 for too many jobs, 429 for too
many requests, 401 for a wrong key.
"""

import json
from datetime import date

import pytest

from app.book import SecurityName
from app.errors import BadInputError
from app.market_data import (
    Figi,
    NoFigi,
    OpenFigi,
    ProviderError,
    Unfigured,
    find_figis,
    securities_without_figi,
)
from tests import factories as make
from tests.api_server import Reply, provider
from tests.integration.cli.commands import lines, run

ISIN, CUSIP = SecurityName("ISIN", "US0378331005"), SecurityName("CUSIP", "037833100")
SYMBOL = SecurityName("SYMBOL", "BRK.B", "XNYS")
SHARE_CLASS, COMPOSITE = "BBG001S5N8V8", "BBG000B9XRY4"
#: On two exchanges of one country, and on one of another.
APPLE = [
    {"figi": COMPOSITE, "name": "APPLE INC", "ticker": "AAPL", "exchCode": "US", "compositeFIGI": COMPOSITE,
     "securityType": "Common Stock", "marketSector": "Equity", "shareClassFIGI": SHARE_CLASS},
    {"figi": "BBG000B9XVV8", "name": "APPLE INC", "ticker": "AAPL", "exchCode": "UN", "compositeFIGI": COMPOSITE,
     "securityType": "Common Stock", "marketSector": "Equity", "shareClassFIGI": SHARE_CLASS},
    {"figi": "BBG000B9Y5X2", "name": "APPLE INC", "ticker": "APC", "exchCode": "GR", "compositeFIGI": "BBG000B9Y5X2",
     "securityType": "Common Stock", "marketSector": "Equity", "shareClassFIGI": SHARE_CLASS},
    # One that OpenFIGI knows less of.
    {"figi": "BBG00JRR6M54", "name": "APPLE INC", "ticker": "AAPL", "exchCode": "XX", "compositeFIGI": None,
     "shareClassFIGI": None},
]  # fmt: skip
IBM = {"figi": "BBG000BLNNH6", "name": "INTL BUSINESS MACHINES CORP", "shareClassFIGI": "BBG001S5S399"}
BOND = {"figi": "BBG00G5RLYC8", "name": "US TREASURY N/B", "compositeFIGI": None, "shareClassFIGI": None}
UNKNOWN = {"warning": "No identifier found."}


class Clock:
    """A time that passes only while somebody sleeps."""

    def __init__(self):
        self.now = 0.0
        self.slept = []

    def __call__(self):
        return self.now

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def server():
    with provider() as here:
        here.known = {}
        here.answer = lambda question: json_of([here.known.get(job["idValue"], UNKNOWN) for job in question.body])
        yield here


def json_of(value):
    return Reply(json.dumps(value), headers={"Content-Type": "application/json"})


@pytest.fixture
def api(server, clock):
    made = []

    def api(key=""):
        made.append(OpenFigi(server.url, key, clock=clock, sleep=clock.sleep))
        return made[-1]

    yield api
    for each in made:
        each.close()


def security(*names, code="A"):
    return Unfigured(1, code, names)


def many(number):
    return [security(SecurityName("SYMBOL", f"S{each}", "XNYS"), code=f"S{each}") for each in range(number)]


def test_the_share_class_is_the_one_figi_of_all_exchanges_by_all_names(server, api):
    server.known = {"US0378331005": {"data": APPLE}, "037833100": {"data": APPLE[:1]}}
    assert list(find_figis(api(), [security(ISIN, CUSIP)])) == [
        Figi("A", SHARE_CLASS, "share class", "APPLE INC", (ISIN, CUSIP))
    ]
    (asked,) = server.asked
    assert (asked.method, asked.path) == ("POST", "/v3/mapping")
    assert asked.body == [
        {"idType": "ID_ISIN", "idValue": "US0378331005"},
        {"idType": "ID_CUSIP", "idValue": "037833100"},
    ]
    assert "x-openfigi-apikey" not in asked.headers


def test_what_has_no_share_class_has_the_figi_of_its_own(server, api):
    server.known = {"912810RW0": {"data": [BOND]}}
    bond = SecurityName("CUSIP", "912810RW0")
    assert list(find_figis(api(), [security(bond)])) == [
        Figi("A", "BBG00G5RLYC8", "instrument", "US TREASURY N/B", (bond,))
    ]


def test_each_name_is_asked_for_in_the_words_of_the_api(server, api):
    cins = SecurityName("CUSIP", "G7945E105")
    list(find_figis(api(), [security(cins, SYMBOL, SecurityName("SEDOL", "2046251"))]))
    assert server.asked[0].body == [
        {"idType": "ID_CINS", "idValue": "G7945E105"},
        {"idType": "TICKER", "idValue": "BRK/B", "micCode": "XNYS"},
        {"idType": "ID_SEDOL", "idValue": "2046251"},
    ]


def test_names_that_lead_to_different_figis_are_ambiguous(server, api):
    server.known = {"US0378331005": {"data": APPLE}, "037833100": {"data": [IBM]}}
    (found,) = find_figis(api(), [security(ISIN, CUSIP)])
    assert found == NoFigi(
        "A",
        f"ambiguous: {SHARE_CLASS} (share class) by ISIN 'US0378331005',"
        " BBG001S5S399 (share class) by CUSIP '037833100'",
    )


def test_several_candidates_of_one_name_are_ambiguous(server, api):
    rows = [{**BOND, "figi": figi} for figi in ("BBG00G5RLYC8", "BBG000B9XRY4", "BBG000BLNNH6", "BBG001S5N8V8", "X")]
    server.known = {"BRK/B": {"data": rows}}
    (found,) = find_figis(api(), [security(SYMBOL)])
    assert found.why.startswith("ambiguous: BBG00G5RLYC8 (instrument) by SYMBOL 'BRK.B' of XNYS, ")
    assert found.why.endswith(" and 1 more")


def test_a_name_that_is_not_known_keeps_no_other_back_and_none_at_all_has_its_reasons(server, api):
    server.known = {"US0378331005": {"data": APPLE}, "BRK/B": {"error": "Invalid micCode."}}
    both = find_figis(api(), [security(ISIN, CUSIP, code="A"), security(CUSIP, SYMBOL, code="B")])
    assert list(both) == [
        Figi("A", SHARE_CLASS, "share class", "APPLE INC", (ISIN,)),
        NoFigi("B", "CUSIP '037833100': No identifier found.; SYMBOL 'BRK.B' of XNYS: Invalid micCode."),
    ]


def test_what_can_only_mislead_is_not_asked_for(server, api):
    wrong = security(SecurityName("CUSIP", "C-A"), SecurityName("CUSTODIAN", "7", "bank"), code="A")
    found = list(find_figis(api(), [wrong, security(code="B")]))
    assert [each.why for each in found] == [
        "no name of it can be asked for: an ISIN, CUSIP, SEDOL or SYMBOL, with its right check digit",
        "it has no name: an ISIN, CUSIP, SEDOL or SYMBOL, with its right check digit",
    ]
    assert server.asked == []


def test_a_figi_with_a_wrong_check_digit_is_not_believed(server, api):
    server.known = {"BRK/B": {"data": [{**BOND, "figi": "BBG00G5RLYC6"}]}}
    (found,) = find_figis(api(), [security(SYMBOL)])
    assert found.why == "OpenFIGI gives 'BBG00G5RLYC6', which ends in 6, and its check digit is 8"


@pytest.mark.parametrize(("key", "batches"), [("", [5, 5, 2]), ("s3cret", [12])])
def test_jobs_are_sent_in_batches_over_one_connection(server, api, key, batches):
    assert len(list(find_figis(api(key), many(12)))) == 12
    assert [len(asked.body) for asked in server.asked] == batches
    assert {asked.headers.get("x-openfigi-apikey", "") for asked in server.asked} == {key}
    assert server.connections == 1


def test_batches_that_are_too_large_are_halved_until_they_fit(server, api):
    server.known = {f"S{number}": {"data": [BOND]} for number in range(120)}
    answer = server.answer
    server.answer = lambda question: Reply(status=413) if len(question.body) > 30 else answer(question)
    found = list(find_figis(api("s3cret"), many(120)))
    assert [each.code for each in found] == [f"S{number}" for number in range(120)]
    assert all(isinstance(each, Figi) for each in found)
    assert [len(asked.body) for asked in server.asked] == [100, 50, 25, 25, 25, 25, 20]


def test_no_more_requests_are_sent_in_a_window_than_may_be(server, api, clock):
    list(find_figis(api(), many(5 * 30)))
    # 25 at once, and the others when a minute has passed since the first.
    assert (len(server.asked), [seconds for seconds in clock.slept if seconds]) == (30, [60.0])


def test_asked_too_often_it_waits_as_long_as_it_is_told_and_asks_again(server, api, clock):
    answer, refusals = server.answer, [Reply(status=429, headers={"Retry-After": "7"}), Reply(status=429)]
    server.answer = lambda question: refusals.pop(0) if refusals else answer(question)
    (found,) = find_figis(api(), [security(ISIN)])
    assert (found.why, clock.slept) == ("ISIN 'US0378331005': No identifier found.", [7.0, 60.0])


def test_a_server_that_goes_on_refusing_is_given_up(server, api, clock):
    server.answer = lambda _: Reply(status=429, headers={"Retry-After": "1"})
    with pytest.raises(ProviderError, match="asked too often"):
        list(find_figis(api(), [security(ISIN)]))
    assert (len(server.asked), clock.slept) == (4, [1.0, 1.0, 1.0])


@pytest.mark.parametrize(
    ("reply", "says"),
    [
        (Reply(status=401), "it refuses the keys, or what they may see (status 401). Check OPENFIGI_KEY."),
        (Reply(status=503), "it failed with status 503"),
        (Reply("Invalid JSON", status=400), "it refuses what it is asked (status 400): 'Invalid JSON'"),
        (Reply(status=413), "it says that one job is too many"),
        (Reply("<html>maintenance</html>"), "its answer is no JSON"),
        (Reply('[{"data": []}', cut_after=5), "it gave no whole answer"),
        (Reply("[]"), "its answer is not one for each of 1 jobs"),
        (Reply('{"data": []}'), "its answer is not one for each of 1 jobs"),
        (Reply('[{"data": [{"name": "no figi"}]}]'), "its answer is not one for each of 1 jobs"),
        (Reply('[{"data": [{"figi": "F", "shareClassFIGI": 7}]}]'), "its answer is not one for each of 1 jobs"),
        (Reply('[{"nothing": 1}]'), "its answer is not one for each of 1 jobs"),
    ],
)
def test_what_is_no_answer_is_an_error_with_its_reason(server, api, reply, says):
    server.answer = lambda _: reply
    with pytest.raises(ProviderError) as caught:
        list(find_figis(api("s3cret"), [security(ISIN)]))
    assert str(caught.value).startswith(f"OpenFIGI: {says}")
    assert "s3cret" not in str(caught.value)


def test_what_was_found_before_an_error_holds(server, api):
    answer = server.answer
    server.answer = lambda question: answer(question) if len(server.asked) == 1 else Reply(status=500)
    found = []
    with pytest.raises(ProviderError, match="status 500"):
        found.extend(find_figis(api(), many(12)))
    assert [each.code for each in found] == ["S0", "S1", "S2", "S3", "S4"]


# --- The book, and the command ---


@pytest.fixture
def book(session):
    """APPLE has three names, IBM one that has ended, HAS a FIGI, HAD one, and nobody tracks OLD."""
    apple = make.security(session, "APPLE", cusip="037833100")
    make.identifier(session, apple, "US0378331005", scheme="ISIN")
    make.identifier(session, apple, "AAPL", scheme="SYMBOL", namespace="XNAS")
    ibm = make.security(session, "IBM", cusip="C-IBM")
    make.identifier(session, ibm, "459200101", valid_to=date(2020, 1, 1))
    has = make.security(session, "HAS")
    make.identifier(session, has, "BBG000BLNNH6", scheme="FIGI")
    had = make.security(session, "HAD")
    make.identifier(session, had, "BBG001S5S399", scheme="FIGI", valid_to=date(2020, 1, 1))
    make.security(session, "OLD", cusip="459200101X", tracked=False)
    session.commit()


TODAY = date(2026, 3, 10)


def test_tracked_securities_without_a_figi_today_are_asked_for_by_their_names_of_today(session, book):
    found = securities_without_figi(session, today=TODAY)
    assert [(each.code, [str(name) for name in each.names]) for each in found] == [
        ("APPLE", ["CUSIP '037833100'", "ISIN 'US0378331005'", "SYMBOL 'AAPL' of XNAS"]),
        ("HAD", ["CUSIP 'C-HAD'"]),
        ("IBM", ["CUSIP 'C-IBM'"]),
    ]
    named = securities_without_figi(session, ["OLD", "HAS"], today=TODAY)
    assert [each.code for each in named] == ["OLD"]
    with pytest.raises(BadInputError, match="security OAK: there is no such security"):
        securities_without_figi(session, ["OLD", "OAK"], today=TODAY)


def test_the_command_shows_what_it_found_and_gives_the_name_only_when_it_is_told_to(session, server, book):
    server.known = {"US0378331005": {"data": APPLE}, "037833100": {"data": APPLE}, "AAPL": {"data": APPLE}}
    names = "CUSIP '037833100', ISIN 'US0378331005', SYMBOL 'AAPL' of XNAS"
    done = run("securities", "figi", "APPLE", "HAS", OPENFIGI_URL=server.url)
    assert (done.returncode, done.stderr) == (0, "Security 'HAS' has a FIGI.\n")
    assert lines(done.stdout) == [
        "security FIGI of the called there by, or why there is none",
        f"APPLE {SHARE_CLASS} share class APPLE INC {names}",
    ]
    assert make.rows(session, "SELECT count(*) FROM link_events") == [(0,)]
    session.rollback()

    done = run("securities", "figi", "--write", OPENFIGI_URL=server.url)
    assert done.returncode == 0
    assert lines(done.stdout)[-1] == "Written: 1"
    assert any(line.startswith("IBM none no name of it can be asked for") for line in lines(done.stdout))
    ((subject, reason, actor),) = make.rows(session, "SELECT subject, reason, actor FROM link_events")
    assert (subject, reason) == (f"FIGI '{SHARE_CLASS}'", f"OpenFIGI has it for {names}")
    assert actor
    assert run("securities", "figi", "APPLE", OPENFIGI_URL=server.url).stdout == "No security lacks a FIGI.\n"


def test_a_figi_that_is_another_securitys_is_refused_and_the_others_are_written(session, server, book):
    make.security(session, "TWIN", cusip="912810RW0")
    session.commit()
    server.known = {
        "037833100": {"data": APPLE},
        "912810RW0": {"data": [{**IBM, "shareClassFIGI": "BBG000BLNNH6"}]},
    }
    done = run("securities", "figi", "APPLE", "TWIN", "--write", OPENFIGI_URL=server.url)
    assert done.returncode == 1
    assert "security TWIN: name: FIGI 'BBG000BLNNH6' belongs to security 'HAS' always" in done.stderr
    assert lines(done.stdout)[-1] == "Written: 1"


def test_a_server_that_fails_ends_the_command_with_its_reason(server, book):
    server.answer = lambda _: Reply(status=500)
    done = run("securities", "figi", "--write", OPENFIGI_URL=server.url)
    assert done.returncode == 3
    assert done.stderr == "Not asked for: 3 of 3\nError: OpenFIGI: it failed with status 500\n"
    assert done.stdout == "Written: 0\n"
