"""Settings come from the environment, then the environment file; a bad one is told without its secrets."""

import base64
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kombu.utils.url import parse_url
from sqlalchemy import make_url

from app.env_file import quote
from app.errors import BadInputError
from app.settings import (
    PROJECT_DIR,
    SecretUrl,
    Settings,
    env_file_path,
    env_file_warnings,
    get_settings,
    load_settings,
    masked_url,
)

NAMES = [name.upper() for name in Settings.model_fields]
MAIL = {"EMAIL_HOST": "smtp.example", "ADMIN_EMAIL": "ops@example.com", "SERVER_EMAIL": "vp@example.com"}


def load(**variables: str) -> Settings:
    return load_settings(variables, None)


def refusal(**variables: str) -> str:
    with pytest.raises(BadInputError) as refused:
        load(**variables)
    assert refused.value.__cause__ is refused.value.__context__ is None
    return str(refused.value)


def test_without_variables_the_defaults_hold() -> None:
    settings = load()

    assert settings.celery_broker_url.get_secret_value() == "redis://localhost:6379/0"
    assert settings.celery_result_backend.get_secret_value() == "redis://localhost:6379/1"
    assert settings.celery_worker_concurrency == 4
    assert settings.celery_log_level == "info"
    assert settings.email_port == 587
    assert settings.email_use_tls is True
    assert settings.log_dir == PROJECT_DIR / "logs"
    assert settings.max_statement_bytes == 64 * 1024 * 1024


def test_the_defaults_are_values_that_one_may_set() -> None:
    plain = {name.upper(): value for name, value in load().model_dump().items()}
    texts = {
        name: value.get_secret_value() if hasattr(value, "get_secret_value") else str(value)
        for name, value in plain.items()
    }

    assert load_settings(texts, None) == load()


def test_the_environment_beats_the_file_and_the_file_beats_the_default(tmp_path: Path) -> None:
    file = tmp_path / "own.env"
    file.write_text("TIMEZONE=Europe/Prague\nCELERY_WORKER_CONCURRENCY=2\nEMAIL_HOST=smtp.example\n")

    settings = load_settings({"CELERY_WORKER_CONCURRENCY": "3", "EMAIL_HOST": ""}, file)

    assert settings.timezone == "Europe/Prague"
    assert settings.celery_worker_concurrency == 3
    assert settings.email_host == ""


@given(st.text(st.characters(codec="utf-8", max_codepoint=0xFDCF, exclude_characters="\0"), min_size=1))
def test_a_password_in_the_file_is_read_as_it_is(tmp_path_factory: pytest.TempPathFactory, password: str) -> None:
    file = tmp_path_factory.getbasetemp() / "password.env"
    file.write_bytes(f"EMAIL_HOST_PASSWORD={quote(password)}\n".encode())

    assert load_settings({}, file).email_host_password.get_secret_value() == password


@pytest.mark.parametrize(
    ("name", "value", "may_be"),
    [
        ("CELERY_BROKER_URL", "localhost:6379", "an address such as redis://localhost:6379/0"),
        (
            "CELERY_BROKER_URL",
            "amqp://localhost",
            "starting with one of redis://, rediss://, redis+socket://",
        ),
        ("CELERY_BROKER_URL", "redis://localhost/book", "ends in the number of a database"),
        ("CELERY_BROKER_URL", "redis+socket://", "the path of Redis's socket"),
        ("CELERY_BROKER_URL", "sentinel://a:1;amqp://b:2", "starting with one of redis://"),
        ("CELERY_RESULT_BACKEND", "redis://h:port/1", "in a password, / : @ # ? and % are written %2F"),
        ("CELERY_RESULT_BACKEND", "redis://h:1/1 ", "an address such as redis://localhost:6379/0"),
        ("CELERY_WORKER_CONCURRENCY", "0", "a whole number from 1 to 1000"),
        ("CELERY_WORKER_CONCURRENCY", "two", "a whole number from 1 to 1000"),
        ("CELERY_LOG_LEVEL", "loud", "one of debug, info, warning, error, critical"),
        ("CELERY_LOG_LEVEL", "17", "one of debug, info, warning, error, critical"),
        ("DATABASE_URL", "sqlite:///book.db", "the address of a PostgreSQL database"),
        ("DATABASE_URL", "postgresql+asyncpg://h/d", "no other database and no other driver will do"),
        ("DATABASE_URL", "postgresql://localhost", "ends in the name of a database"),
        ("EMAIL_HOST", "smtp.example:25", "the name or IP address of a host, without scheme or port"),
        ("EMAIL_PORT", "65536", "a whole number from 1 to 65535"),
        ("EMAIL_USE_TLS", "starttls", "true or false"),
        ("EMAIL_USE_SSL", "465", "true or false"),
        ("ADMIN_EMAIL", "ops", "one e-mail address"),
        ("ADMIN_EMAIL", "ops@example.com\nBcc: eve@example.com", "one e-mail address"),
        ("FLOWER_ADDRESS", "http://0.0.0.0", "the name or IP address of a host"),
        ("TIMEZONE", "Mars/Olympus", "the name of an IANA time zone"),
        ("TIMEZONE", "../../etc/passwd", "the name of an IANA time zone"),
        ("JOBS_HISTORY_DAYS", "7", "a whole number from 8 to 3650"),
        ("MAX_STATEMENT_BYTES", "64M", "a whole number from 1 to 1073741824"),
    ],
)
def test_a_bad_value_is_told_with_its_name_and_what_it_may_be(name: str, value: str, may_be: str) -> None:
    told = refusal(**{name: value})

    assert told.startswith(f'{name} (environment) is "')
    assert may_be in told.partition("; it may be ")[2]


def test_all_bad_values_are_told_at_once_each_with_its_place(tmp_path: Path) -> None:
    file = tmp_path / "own.env"
    file.write_text("# mine\nEMAIL_PORT=smtp\nTIMEZONE=UTC\n")

    with pytest.raises(BadInputError) as refused:
        load_settings({"CELERY_WORKER_CONCURRENCY": "four"}, file)

    assert str(refused.value).splitlines() == [
        'CELERY_WORKER_CONCURRENCY (environment) is "four"; it may be a whole number from 1 to 1000',
        f'EMAIL_PORT ({file} line 2) is "smtp"; it may be a whole number from 1 to 65535',
    ]


def test_a_bad_address_is_told_without_its_password() -> None:
    told = refusal(
        DATABASE_URL="mysql://clerk:sesame@db.example/book",
        CELERY_BROKER_URL="redis://:sesame#1/x@localhost:6379/0",
        CELERY_RESULT_BACKEND="sesame",
    )

    assert '"mysql://clerk:***@db.example/book"' in told
    assert '"redis://:***@localhost:6379/0"' in told
    assert "sesame" not in told


def test_settings_print_without_secrets() -> None:
    settings = load(
        CELERY_BROKER_URL="redis://:sesame@localhost:6379/0",
        DATABASE_URL="postgresql://clerk:sesame@db.example/book",
        EMAIL_HOST_PASSWORD="sesame",  # noqa: S106 - no secret
    )

    for text in (repr(settings), str(settings), settings.model_dump_json()):
        assert "sesame" not in text
        assert "clerk:***@db.example/book" in text


@pytest.mark.parametrize(
    ("url", "masked"),
    [
        ("redis://localhost:6379/0", "redis://localhost:6379/0"),
        ("redis://:sesame@localhost:6379/0", "redis://:***@localhost:6379/0"),
        ("redis://clerk:sesame@[::1]:6379/0", "redis://clerk:***@[::1]:6379/0"),
        ("redis://[::1]:6379/0", "redis://[::1]:6379/0"),
        ("redis://clerk@localhost", "redis://clerk@localhost"),
        ("redis://:sesame", "redis://:***"),
        ("redis+socket:///run/redis.sock?virtual_host=0", "redis+socket:///run/redis.sock?virtual_host=0"),
        (
            "redis+socket:///run/redis.sock?password=sesame&db=1",
            "redis+socket:///run/redis.sock?password=***&db=1",
        ),
        (
            "postgresql://h/d?sslmode=require&sslpassword=sesame",
            "postgresql://h/d?sslmode=require&sslpassword=***",
        ),
        ("sentinel://:sesame@a:1/0;sentinel://:sesame@b:2/0", "sentinel://:***@a:1/0;sentinel://:***@b:2/0"),
        ("sesame", "***"),
    ],
)
def test_a_masked_url_shows_all_but_its_passwords(url: str, masked: str) -> None:
    assert masked_url(url) == masked
    assert str(SecretUrl(url)) == masked


@given(before=st.text("/:@#?%&=; 1a"), after=st.text("/:@#?%&=; 1a"))
def test_a_masked_url_hides_a_password_that_was_not_encoded(before: str, after: str) -> None:
    assert "sesame" not in masked_url(f"postgresql://clerk:{before}sesame{after}@localhost/book")


@pytest.mark.parametrize("scheme", ["postgres", "postgresql", "postgresql+psycopg"])
def test_every_name_of_postgresql_means_psycopg(scheme: str) -> None:
    settings = load(DATABASE_URL=f"{scheme}://clerk:s%40same@db.example:5433/book?sslmode=require")

    url = make_url(settings.database_url.get_secret_value())
    assert url.drivername == "postgresql+psycopg"
    assert (url.username, url.password, url.host, url.port) == ("clerk", "s@same", "db.example", 5433)
    assert (url.database, dict(url.query)) == ("book", {"sslmode": "require"})


def test_sockets_are_addresses_too() -> None:
    settings = load(
        CELERY_BROKER_URL="redis+socket:///run/redis.sock?virtual_host=0",
        DATABASE_URL="postgresql+psycopg://postgres@/value_partner?host=/run/postgresql",
    )

    assert settings.celery_broker_url.get_secret_value() == "redis+socket:///run/redis.sock?virtual_host=0"
    assert make_url(settings.database_url.get_secret_value()).query["host"] == "/run/postgresql"


def test_several_sentinels_are_one_address() -> None:
    url = "sentinel://:sesame@a:26379;sentinel://:sesame@b:26379"

    assert load(CELERY_BROKER_URL=url).celery_broker_url.get_secret_value() == url


@pytest.mark.parametrize(
    ("url", "checked"),
    [("rediss://h/0", "CERT_REQUIRED"), ("rediss://h/0?ssl_cert_reqs=none", "CERT_NONE")],
)
def test_tls_checks_the_servers_certificate_unless_told_otherwise(url: str, checked: str) -> None:
    address = load(CELERY_BROKER_URL=url).celery_broker_url.get_secret_value()

    assert parse_url(address)["ssl"]["ssl_cert_reqs"].name == checked


def test_a_log_level_may_be_the_number_that_celery_gives_its_children() -> None:
    assert load(CELERY_LOG_LEVEL="30").celery_log_level == "warning"
    assert load(CELERY_LOG_LEVEL="DEBUG").celery_log_level == "debug"


def test_lists_of_secrets_are_by_name_and_never_shown() -> None:
    settings = load(PLAID_ACCESS_TOKENS="lakebank:t-1,pine:t-2", ALPACA_KEYS="main:key:s3cret, second:key:s3cret")

    assert settings.plaid_items == {"lakebank": "t-1", "pine": "t-2"}
    assert settings.alpaca_accounts == {"main": ("key", "s3cret"), "second": ("key", "s3cret")}
    assert "t-1" not in repr(settings)
    assert (load().plaid_items, load().alpaca_accounts) == ({}, {})


@pytest.mark.parametrize(
    ("name", "value", "may_be"),
    [
        ("ALPHA_VANTAGE_KEY", "s3cret s3cret", "a key of letters"),
        ("ALPHA_VANTAGE_KEY", "s3cret\N{ACUTE ACCENT}", "a key of letters"),
        ("ALPACA_DATA_KEY", "s3cret", "KEY:SECRET"),
        ("ALPACA_DATA_KEY", "main:key:s3cret", "KEY:SECRET"),
        ("ALPACA_DATA_KEY", "key:", "KEY:SECRET"),
    ],
)
def test_a_bad_key_of_a_provider_of_prices_is_told_without_it(name: str, value: str, may_be: str) -> None:
    with pytest.raises(BadInputError) as caught:
        load(**{name: value})

    assert str(caught.value).startswith(f'{name} (environment) is "***"; it may be ')
    assert may_be in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("name", ["PLAID_ACCESS_TOKENS", "ALPACA_KEYS"])
@pytest.mark.parametrize(
    "value", ["s3cret", "Main:s3cret:s3cret:x", "a:s3cret,a:s3cret", "a:s3cret:s3cret,", "a::", "../a:s3cret"]
)
def test_a_bad_list_of_secrets_is_told_without_them(name: str, value: str) -> None:
    with pytest.raises(BadInputError, match=r'is "\*\*\*"; it may be a list such as NAME:') as caught:
        load(**{name: value})

    assert "s3cret" not in str(caught.value)


RAW = "s3cret-s3cret-s3cret-s3cret"
ENCODED = f"whsec_{base64.b64encode(RAW.encode()).decode()}"


def test_channels_are_by_name_and_never_shown() -> None:
    channels = "ops=slack://s3cret/a=b/#c  desk=https://example.com/hook?k=s3cret\there=http://127.0.0.1:8080/s3cret"
    settings = load(NOTIFICATION_CHANNELS=channels, WEBHOOK_SECRET=f"{ENCODED},{RAW}")

    assert settings.channels == {
        "ops": "slack://s3cret/a=b/#c",
        "desk": "https://example.com/hook?k=s3cret",
        "here": "http://127.0.0.1:8080/s3cret",
    }
    assert settings.webhook_keys == [RAW.encode()] * 2
    assert "s3cret" not in repr(settings)
    assert (load().channels, load().webhook_keys) == ({}, [])


@pytest.mark.parametrize(
    ("channels", "why"),
    [
        ("s3cret", "its entry 1 is none"),
        ("ops=slack://s3cret https://s3cret.example", "its entry 2 is none"),
        ("ops=slack://a s3cret=b", "the address of its entry 2 is none"),
        ("Ops=slack://s3cret", "its entry 1 is none"),
        ("ops=", "the address of its entry 1 is none"),
        ("ops=s3cret", "the address of its entry 1 is none"),
        ("ops=://s3cret", "the address of its entry 1 is none"),
        ("ops=slack://", "the address of its entry 1 is none"),
        ("ops=slack://s3cret ops=json://s3cret", "ops stands in it twice"),
        ("desk=http://s3cret.example/hook", "http:// on this machine alone); the address of its entry 1 is none"),
        ("desk=https:///s3cret", "the address of its entry 1 is none"),
        ("desk=https://s3cret.example:port/", "the address of its entry 1 is none"),
        ("desk=https://[s3cret/", "the address of its entry 1 is none"),
        ("desk=https://example.com/#s3cret", "the address of its entry 1 is none"),
    ],
)
def test_a_bad_list_of_channels_is_told_without_their_addresses(channels: str, why: str) -> None:
    told = refusal(NOTIFICATION_CHANNELS=channels, WEBHOOK_SECRET=RAW)

    assert told.startswith('NOTIFICATION_CHANNELS (environment) is "***"; it may be a list ')
    assert told.endswith(why)
    assert "s3cret" not in told


@pytest.mark.parametrize("address", ["https://example.com/hook", "HTTPS://example.com/hook", "http://localhost/"])
def test_a_webhook_needs_a_secret_that_it_is_signed_with(address: str) -> None:
    told = refusal(NOTIFICATION_CHANNELS=f"ops=slack://a desk={address}")

    assert told == (
        'NOTIFICATION_CHANNELS (environment) is "***"; it may be a list with a webhook, as desk is, only with'
        " WEBHOOK_SECRET, which signs it"
    )
    assert load(NOTIFICATION_CHANNELS="ops=slack://a").channels == {"ops": "slack://a"}


@pytest.mark.parametrize(
    ("secret", "may_be"),
    [
        ("s3cret", "a secret of 24 to 64 bytes"),
        ("s3cret" * 11, "a secret of 24 to 64 bytes"),
        ("whsec_s3cret", "a secret of 24 to 64 bytes"),
        ("whsec_" + "s3cret" * 5 + "!!", "a secret of 24 to 64 bytes"),
        (RAW + " ", "a secret of 24 to 64 bytes"),
        (RAW + "\N{ACUTE ACCENT}", "a secret of 24 to 64 bytes"),
        (f"{RAW},", "a secret of 24 to 64 bytes"),
        (f"{RAW},{RAW},{RAW}", "one secret, or two"),
    ],
)
def test_a_bad_secret_of_webhooks_is_told_without_it(secret: str, may_be: str) -> None:
    told = refusal(WEBHOOK_SECRET=secret, NOTIFICATION_CHANNELS="desk=https://example.com/")

    assert told.startswith(f'WEBHOOK_SECRET (environment) is "***"; it may be {may_be}')
    assert "s3cret" not in told


@pytest.mark.parametrize(
    "url", ["http://example.com", "api.example.com", "https://", "https://key@example.com", "ftp://127.0.0.1"]
)
def test_an_api_is_asked_over_tls_unless_it_is_on_this_machine(url: str) -> None:
    with pytest.raises(BadInputError, match="starting with https://"):
        load(ALPACA_BASE_URL=url)

    assert load(ALPACA_BASE_URL="http://127.0.0.1:8080/").alpaca_base_url == "http://127.0.0.1:8080"


def test_folders_start_at_the_projects_own() -> None:
    settings = load(LOG_DIR="var/log", STATEMENTS_DIR="/srv/inbox")

    assert settings.log_dir == PROJECT_DIR / "var/log"
    assert settings.statements_dir == Path("/srv/inbox")


@pytest.mark.parametrize(
    ("variables", "reason"),
    [
        ({}, None),
        ({"EMAIL_HOST": ""}, "EMAIL_HOST is empty"),
        ({"ADMIN_EMAIL": ""}, "ADMIN_EMAIL is empty"),
        ({"SERVER_EMAIL": ""}, "SERVER_EMAIL is empty"),
        ({"EMAIL_HOST_USER": "apikey"}, "EMAIL_HOST_USER is set, but EMAIL_HOST_PASSWORD is empty"),
        ({"EMAIL_HOST_USER": "apikey", "EMAIL_HOST_PASSWORD": "sesame"}, None),
    ],
)
def test_mail_is_off_while_something_for_it_is_missing(variables: dict[str, str], reason: str | None) -> None:
    assert load(**{**MAIL, **variables}).mail_off_reason == reason


def test_the_environment_file_is_the_projects_unless_another_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.settings.PROJECT_DIR", tmp_path)

    assert env_file_path({}) is None
    (tmp_path / ".env").touch()
    assert env_file_path({}) == tmp_path / ".env"
    assert env_file_path({"ENV_FILE": ""}) is None
    assert env_file_path({"ENV_FILE": "/etc/own.env"}) == Path("/etc/own.env")


def test_a_named_environment_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match="can't be read"):
        load_settings({}, tmp_path / "nowhere.env")


def test_a_process_reads_its_settings_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ENV_FILE", "")
    monkeypatch.setenv("TIMEZONE", "Europe/Prague")
    get_settings.cache_clear()
    first = get_settings()
    monkeypatch.setenv("TIMEZONE", "Europe/Vienna")

    assert get_settings() is first
    get_settings.cache_clear()
    assert get_settings().timezone == "Europe/Vienna"
    get_settings.cache_clear()


@pytest.mark.parametrize(
    ("given", "starttls", "implicit"),
    [
        ({}, True, False),
        ({"EMAIL_USE_SSL": "true"}, False, True),
        ({"EMAIL_USE_SSL": "true", "EMAIL_USE_TLS": "false"}, False, True),
        ({"EMAIL_USE_SSL": "false", "EMAIL_USE_TLS": "false"}, False, False),
    ],
)
def test_mail_is_encrypted_by_starttls_unless_the_other_way_is_asked_for(given, starttls, implicit) -> None:
    settings = load_settings(given, None)
    assert (settings.email_use_tls, settings.email_use_ssl) == (starttls, implicit)


def test_mail_can_not_be_encrypted_in_both_ways() -> None:
    with pytest.raises(BadInputError) as caught:
        load_settings({"EMAIL_USE_SSL": "true", "EMAIL_USE_TLS": "true"}, None)
    assert str(caught.value) == (
        'EMAIL_USE_SSL (environment) is "true"; it may be false while EMAIL_USE_TLS is true:'
        " a port of a mail server speaks one or the other"
    )


def test_names_that_are_nearly_right_and_lines_without_effect_are_told(tmp_path: Path) -> None:
    file = tmp_path / "own.env"
    file.write_text("CELERY_BROKER_URl=x\nexport TIMEZONE=UTC\nPGAPPNAME=book\nLOG_DIR=logs\nEMAIL_USE_TSL=true\n")

    assert env_file_warnings(file) == [
        f"{file} line 2: not NAME=value, so it has no effect",
        f"{file} line 1: CELERY_BROKER_URl is no setting; is it CELERY_BROKER_URL?",
        f"{file} line 5: EMAIL_USE_TSL is no setting; is it EMAIL_USE_TLS?",
    ]
    assert env_file_warnings(None) == []


def test_the_ecb_is_asked_at_its_address_unless_that_is_off() -> None:
    assert load().ecb_folder_url == load(ECB_URL="").ecb_folder_url == "https://www.ecb.europa.eu/stats/eurofxref"
    assert load(ECB_URL="http://127.0.0.1:8080/rates/").ecb_folder_url == "http://127.0.0.1:8080/rates"
    assert load(ECB_URL="off").ecb_folder_url is None
    with pytest.raises(BadInputError, match="it may be the address of an API, starting with https://, or off"):
        load(ECB_URL="none")


def test_the_example_names_every_setting_and_fits_the_defaults() -> None:
    example = PROJECT_DIR / ".env.example"
    settings = load_settings({}, example)

    assert re.findall(r"^(\w+)=", example.read_text(), re.MULTILINE) == NAMES
    assert env_file_warnings(example) == []
    assert settings.email_host_password.get_secret_value() == ""
    # Mail has an example instead of a default, which stays off until there is a password.
    assert settings.mail_off_reason is not None
    mail = {name: getattr(load(), name) for name in Settings.model_fields if "email" in name}
    assert settings.model_copy(update=mail) == load()


def test_the_documentation_names_every_setting_with_its_default() -> None:
    text = (PROJECT_DIR / "docs/configuration.md").read_text()
    defaults = dict(re.findall(r"^\| `([A-Z_]+)` \|(?: `(.*?)`)? \|", text, re.MULTILINE))

    assert list(defaults) == NAMES
    assert load_settings(defaults, None) == load()
