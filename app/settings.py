"""Every setting of the program, typed, in one place: from the environment, then `.env`, then the default.

docs/configuration.md and .env.example name the same variables for people.
"""

import base64
import binascii
import difflib
import logging
import os
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from email.utils import parseaddr
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, get_args
from urllib.parse import SplitResult, parse_qs, urlsplit
from zoneinfo import ZoneInfo

from annotated_types import Ge, Le
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    Secret,
    SecretStr,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from app import env_file
from app.currencies import is_currency
from app.errors import BadInputError

#: The folder of `run_celery.py` and `.env`; relative folders in settings start here.
PROJECT_DIR = Path(__file__).resolve().parent.parent

_REDIS_SCHEMES = ("redis", "rediss", "redis+socket", "sentinel")
_REDIS_EXAMPLE = "redis://localhost:6379/0"
_POSTGRESQL = "postgresql+psycopg"
_POSTGRESQL_EXAMPLE = f"{_POSTGRESQL}://localhost/value_partner"
#: An address that is never asked. (Empty means the default.)
_OFF = "off"
#: What pydantic takes for true.
_TRUE = {"true", "1", "yes", "y", "on", "t"}
_PERCENT_ENCODE = "in a password, / : @ # ? and % are written %2F %3A %40 %23 %3F and %25"
# To the last @, for a password that should have been percent-encoded may itself hold @ / # and ?; and where
# the @ is missing, all after a colon that no port follows.
_PASSWORD_IN_ADDRESS = re.compile(r"(?<=://)([^:/@?#\[]*):(?:.*(@)|[^\d/?#].*)", re.DOTALL)
_PASSWORD_IN_QUERY = re.compile(r"(?i)([?&][^=&]*(?:pass|secret|token)[^=&]*=)[^&]*")
#: What a key starts with that is written in base64.
_BASE64_MARK = "whsec_"
#: How long a key may be.
_WEBHOOK_KEY_BYTES = range(24, 65)
_MOST_WEBHOOK_KEYS = 2
_WEBHOOK_SCHEMES = ("https", "http")
_CHANNELS_EXAMPLE = "ops=slack://… desk=https://example.com/hook"
_SENTINEL_SEPARATOR = re.compile(r";(?=\w+://)")


def masked_url(url: str) -> str:
    """Return `url` with `***` for each password in it, fit for messages, whether or not it is a valid URL."""
    if "://" not in url:
        return "***"
    parts = (_PASSWORD_IN_ADDRESS.sub(r"\1:***\2", part) for part in _SENTINEL_SEPARATOR.split(url))
    return _PASSWORD_IN_QUERY.sub(r"\1***", ";".join(parts))


class SecretUrl(Secret[str]):
    """A URL that prints as `masked_url` gives it; `get_secret_value()` is the whole of it."""

    def _display(self) -> str:
        return masked_url(self.get_secret_value())


def _redis_url(url: str) -> str:
    parts = [_checked_url(part, _REDIS_EXAMPLE) for part in _SENTINEL_SEPARATOR.split(url)]
    for part in parts:
        scheme, _, rest = part.partition("://")
        if scheme not in _REDIS_SCHEMES:
            schemes = ", ".join(f"{scheme}://" for scheme in _REDIS_SCHEMES)
            raise ValueError(f"the address of a Redis, starting with one of {schemes}")
        path = urlsplit(f"http://{rest}").path
        if scheme == "redis+socket" and not path.strip("/"):
            raise ValueError("redis+socket:// followed by the path of Redis's socket")
        if scheme != "redis+socket" and not re.fullmatch(r"/?\d*", path):
            raise ValueError(f"an address that ends in the number of a database, such as {_REDIS_EXAMPLE}")
    if url.startswith("rediss://") and "ssl_cert_reqs" not in parse_qs(urlsplit(url).query):
        # Without it Kombu takes any certificate, and Celery's result backend refuses to start.
        url += ("&" if "?" in url else "?") + "ssl_cert_reqs=required"
    return url


def _postgresql_url(url: str) -> str:
    scheme, _, rest = _checked_url(url, _POSTGRESQL_EXAMPLE).partition("://")
    if scheme not in {"postgres", "postgresql", _POSTGRESQL}:
        raise ValueError(
            f"the address of a PostgreSQL database, starting with {_POSTGRESQL}://: no other database and no"
            " other driver will do, for statements are loaded with COPY and compared in PostgreSQL's own SQL"
        )
    if not urlsplit(f"http://{rest}").path.strip("/"):
        raise ValueError(f"an address that ends in the name of a database, such as {_POSTGRESQL_EXAMPLE}")
    return f"{_POSTGRESQL}://{rest}"


def _checked_url(url: str, example: str) -> str:
    problem = ValueError(f"an address such as {example} ({_PERCENT_ENCODE})")
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise problem from None
    if "://" not in url or "@" in parts.path or parts.fragment or re.search(r"\s", url):
        raise problem
    return url


def _log_level(level: str) -> str:
    # A Celery worker puts the number of its level into its children's environment, under this very variable.
    return logging.getLevelName(int(level)).lower() if level.isdecimal() else level.lower()


def _address(address: str) -> str:
    if address and not (re.fullmatch(r"[^@\s]+@[^@\s]+", parseaddr(address)[1]) and address.isprintable()):
        raise ValueError("one e-mail address")
    return address


def _only_without_starttls(use_ssl: bool, known: ValidationInfo) -> bool:
    if use_ssl and known.data.get("email_use_tls"):
        raise ValueError("false while EMAIL_USE_TLS is true: a port of a mail server speaks one or the other")
    return use_ssl


def _host(host: str) -> str:
    try:
        ip_address(host)
    except ValueError:
        if not re.fullmatch(r"[\w.-]*", host):
            raise ValueError("the name or IP address of a host, without scheme or port") from None
    return host


def _name(name: str) -> str:
    if not re.fullmatch(r"[\w.-]{1,100}", name, re.ASCII):
        raise ValueError("a name of letters, digits, dots, dashes and underscores")
    return name


def _name_or_none(name: str) -> str:
    return name and _name(name)


def _currency(code: str) -> str:
    if not is_currency(code):
        raise ValueError("the ISO 4217 code of a currency that is in use, such as USD")
    return code


def _amount(text: str) -> Decimal:
    if not re.fullmatch(r"\d{1,18}(\.\d{1,18})?", text, re.ASCII):
        raise ValueError("an amount of money that is not negative, such as 100 or 99.50")
    return Decimal(text)


def _price_providers(text: str) -> str:
    names = [name.strip() for name in text.split(",")]
    if len(set(names)) < len(names) or not all(re.fullmatch(r"[a-z-]+|[\w.]+:\w+", name, re.ASCII) for name in names):
        raise ValueError("a list of providers, each once, such as files,alpaca")
    return text


def _share(text: str) -> Decimal:
    if not re.fullmatch(r"\d(\.\d{1,6})?", text, re.ASCII) or not 0 < Decimal(text) <= 1:
        raise ValueError("a share above 0 and at most 1, such as 0.25")
    return Decimal(text)


def _share_or_none(text: str) -> Decimal:
    try:
        return Decimal(0) if text == "0" else _share(text)
    except ValueError:
        raise ValueError("a share of at most 1, such as 0.95; or 0, for no limit") from None


def _certificates(text: str) -> str:
    for name in _listed(text):
        host, _, port = name.rpartition(":")
        is_server = re.fullmatch(r"[\w.-]+|\[[0-9a-fA-F:.]+\]", host) and re.fullmatch(r"\d{1,5}", port, re.ASCII)
        if "/" not in name and not (is_server and 0 < int(port) < 2**16):
            raise ValueError(
                "a list of PEM files, with a slash, and servers, such as /etc/ssl/a.crt,db.example.com:443"
            )
    return text


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _timezone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError("the name of an IANA time zone, such as UTC or Europe/Prague") from error
    return name


def _base_url(url: str) -> str:
    parts = urlsplit(url)
    # Keys and statements pass through it.
    if not _is_private(parts) or "@" in parts.netloc or parts.query:
        raise ValueError("the address of an API, starting with https://")
    return url.rstrip("/")


def _is_private(parts: SplitResult) -> bool:
    """Whether what goes there is encrypted, or stays on this machine."""
    is_here = parts.scheme == "http" and parts.hostname in {"localhost", "127.0.0.1", "::1"}
    return bool(parts.hostname) and (parts.scheme == "https" or is_here)


def _key(key: str) -> str:
    # It stands in a header or a query.
    if not re.fullmatch(r"[!-~]{1,200}", key):
        raise ValueError("a key of letters, digits and signs, without blanks")
    return key


def _key_pair(text: str) -> str:
    if not re.fullmatch(r"[!-9;-~]{1,200}:[!-9;-~]{1,200}", text):
        raise ValueError("a key and its secret, KEY:SECRET")
    return text


def _base_url_or_off(url: str) -> str:
    try:
        return url if url == _OFF else _base_url(url)
    except ValueError as error:
        raise ValueError(f"{error}, or {_OFF}") from None


def _named(parts: int, example: str) -> Callable[[str], str]:
    """Return what checks a list of names, each with its secrets: `name:secret,name:secret`."""
    entry = re.compile(r"([a-z0-9-]{1,40})" + r":[^:,\s]+" * parts)

    def check(text: str) -> str:
        entries = [entry.fullmatch(part.strip()) for part in text.split(",")]
        names = [found[1] for found in entries if found]
        if len(set(names)) < len(entries):
            raise ValueError(f"a list such as {example}, with names of small letters, digits and dashes, each once")
        return text

    return check


def _secrets_by_name(text: SecretStr) -> dict[str, list[str]]:
    entries = (part.strip().split(":") for part in text.get_secret_value().split(",") if part)
    return {name: secrets for name, *secrets in entries}


def _webhook_keys(text: str) -> list[bytes]:
    """Return the keys that are written in a list, as https://www.standardwebhooks.com has them, or raw.

    Raises:
        ValueError: one of them is none.
    """
    keys = []
    for secret in text.split(","):
        try:
            if secret.startswith(_BASE64_MARK):
                key = base64.b64decode(secret.removeprefix(_BASE64_MARK), validate=True)
            else:
                key = secret.encode("ascii")
        except (binascii.Error, UnicodeEncodeError):
            key = b""
        if len(key) not in _WEBHOOK_KEY_BYTES or not re.fullmatch(r"[!-~]+", secret):
            raise ValueError(
                f"a secret of {_WEBHOOK_KEY_BYTES[0]} to {_WEBHOOK_KEY_BYTES[-1]} bytes, written {_BASE64_MARK} and"
                " base64, or as it is without blanks; two, NEW,OLD, while it is changed"
            )
        keys.append(key)
    return keys


def _webhook_secret(text: str) -> str:
    if len(_webhook_keys(text)) > _MOST_WEBHOOK_KEYS:
        raise ValueError("one secret, or two, NEW,OLD, while it is changed")
    return text


def _channels(text: str) -> str:
    names = []
    for number, entry in enumerate(text.split(), start=1):
        name, equals, url = entry.partition("=")
        if not equals or not re.fullmatch(r"[a-z0-9-]{1,40}", name):
            raise ValueError(
                f"a list such as {_CHANNELS_EXAMPLE}, with names of small letters, digits and dashes and with %20 for"
                f" a blank in an address; its entry {number} is none"
            )
        if name in names:
            raise ValueError(f"a list with each name once, such as {_CHANNELS_EXAMPLE}; {name} stands in it twice")
        names.append(name)
        _check_channel(number, url)
    return text


def _check_channel(number: int, url: str) -> None:
    try:
        parts = urlsplit(url)
        is_whole = bool(re.match(r"[A-Za-z][A-Za-z0-9+.-]*://.", url))
        is_webhook = parts.scheme in _WEBHOOK_SCHEMES
        # Of the others apprise knows what they need, which takes long to ask.
        fits = is_whole and (not is_webhook or (_is_private(parts) and not parts.fragment and parts.port != 0))
    except ValueError:
        fits = False
    if not fits:
        raise ValueError(
            f"a list such as {_CHANNELS_EXAMPLE}, where a webhook starts with https:// (http:// on this machine"
            f" alone); the address of its entry {number} is none"
        )


def _signed_channels(channels: SecretStr, info: ValidationInfo) -> SecretStr:
    """Make sure that there is a secret if there is a webhook, whose receiver could not trust it otherwise."""
    secret = info.data.get("webhook_secret")
    if secret is not None and not secret.get_secret_value():
        for name, url in _urls_by_name(channels).items():
            if urlsplit(url).scheme in _WEBHOOK_SCHEMES:
                raise ValueError(f"a list with a webhook, as {name} is, only with WEBHOOK_SECRET, which signs it")
    return channels


def _urls_by_name(channels: SecretStr) -> dict[str, str]:
    entries = (entry.partition("=") for entry in channels.get_secret_value().split())
    return {name: url for name, _, url in entries}


def _folder(path: Path) -> Path:
    return PROJECT_DIR / path


_RedisUrl = Annotated[SecretUrl, BeforeValidator(_redis_url)]
_PostgresqlUrl = Annotated[SecretUrl, BeforeValidator(_postgresql_url)]
_Address = Annotated[str, AfterValidator(_address)]
_Host = Annotated[str, AfterValidator(_host)]
_Folder = Annotated[Path, AfterValidator(_folder)]
_BaseUrl = Annotated[str, AfterValidator(_base_url)]
_BaseUrlOrOff = Annotated[str, AfterValidator(_base_url_or_off)]
_PlaidTokens = Annotated[SecretStr, BeforeValidator(_named(1, "NAME:TOKEN,NAME:TOKEN"))]
_AlpacaKeys = Annotated[SecretStr, BeforeValidator(_named(2, "NAME:KEY:SECRET,NAME:KEY:SECRET"))]
_WebhookSecret = Annotated[SecretStr, BeforeValidator(_webhook_secret)]
_Channels = Annotated[SecretStr, BeforeValidator(_channels), AfterValidator(_signed_channels)]
_Key = Annotated[SecretStr, BeforeValidator(_key)]
_KeyPair = Annotated[SecretStr, BeforeValidator(_key_pair)]
_LogLevel = Annotated[Literal["debug", "info", "warning", "error", "critical"], BeforeValidator(_log_level)]


class Settings(BaseModel):
    """The settings of one process; .env.example says what each does.

    A field is named like its variable, in lower case. Folders are absolute, `database_url` is SQLAlchemy's
    for psycopg, and secrets print as `***`.
    """

    model_config = ConfigDict(frozen=True, hide_input_in_errors=True)

    celery_broker_url: _RedisUrl = SecretUrl(_REDIS_EXAMPLE)
    celery_result_backend: _RedisUrl = SecretUrl("redis://localhost:6379/1")
    celery_queue: Annotated[str, AfterValidator(_name)] = "celery"
    #: Of the tasks that value portfolios; `celery_queue` where it is empty.
    analytics_queue: Annotated[str, AfterValidator(_name_or_none)] = ""
    celery_worker_concurrency: int = Field(4, ge=1, le=1000)
    celery_log_level: _LogLevel = "info"
    celery_visibility_timeout_s: int = Field(3600, ge=60, le=604_800)
    worker_reconnect_tolerance_s: int = Field(3600, ge=1, le=604_800)

    database_url: _PostgresqlUrl = SecretUrl(_POSTGRESQL_EXAMPLE)

    email_host: _Host = ""
    email_port: int = Field(587, ge=1, le=65535)
    #: STARTTLS; off where only EMAIL_USE_SSL is given.
    email_use_tls: bool = True
    #: TLS from the first byte.
    email_use_ssl: Annotated[bool, AfterValidator(_only_without_starttls)] = False
    email_host_user: str = ""
    email_host_password: SecretStr = SecretStr("")
    admin_email: _Address = ""
    server_email: _Address = ""

    webhook_secret: _WebhookSecret = SecretStr("")
    # After the secret, which it may need.
    notification_channels: _Channels = SecretStr("")

    plaid_base_url: _BaseUrl = "https://production.plaid.com"
    plaid_client_id: str = ""
    plaid_secret: SecretStr = SecretStr("")
    plaid_access_tokens: _PlaidTokens = SecretStr("")
    alpaca_base_url: _BaseUrl = "https://api.alpaca.markets"
    alpaca_keys: _AlpacaKeys = SecretStr("")

    alpha_vantage_url: _BaseUrl = "https://www.alphavantage.co"
    alpha_vantage_key: _Key = SecretStr("")
    alpha_vantage_per_day: int = Field(25, ge=0, le=10_000_000)
    alpha_vantage_per_minute: int = Field(5, ge=1, le=100_000)
    alpaca_data_url: _BaseUrl = "https://data.alpaca.markets"
    alpaca_data_key: _KeyPair = SecretStr("")
    alpaca_data_feed: Literal["iex", "sip"] = "sip"
    alpaca_data_per_minute: int = Field(200, ge=1, le=100_000)
    yahoo_url: _BaseUrl = "https://query2.finance.yahoo.com"

    flower_address: _Host = "127.0.0.1"

    log_dir: _Folder = PROJECT_DIR / "logs"
    statements_dir: _Folder = PROJECT_DIR / "inbox"
    statement_mappings_dir: _Folder = PROJECT_DIR / "mappings"
    prices_dir: _Folder = PROJECT_DIR / "prices"
    price_providers: Annotated[str, AfterValidator(_price_providers)] = "files"
    price_jump_limit: Annotated[Decimal, BeforeValidator(_share)] = Decimal("0.25")
    price_coverage_limit: Annotated[Decimal, BeforeValidator(_share_or_none)] = Decimal("0.95")
    reference_rates_file: str = ""
    ecb_url: _BaseUrlOrOff = "https://www.ecb.europa.eu/stats/eurofxref"
    openfigi_url: _BaseUrl = "https://api.openfigi.com"
    openfigi_key: _Key = SecretStr("")
    timezone: Annotated[str, AfterValidator(_timezone)] = "UTC"

    base_currency: Annotated[str, AfterValidator(_currency)] = "USD"
    write_off_limit: Annotated[Decimal, BeforeValidator(_amount)] = Decimal(100)
    reconciliation_shard_size: int = Field(10_000, ge=1, le=1_000_000)
    jobs_max_attempts: int = Field(5, ge=1, le=1000)
    jobs_idle_timeout_s: int = Field(60, ge=1, le=86400)
    # Above the longest visibility timeout: a message that comes again by then must find its job.
    jobs_history_days: int = Field(30, ge=8, le=3650)
    max_statement_bytes: int = Field(64 * 1024 * 1024, ge=1, le=1024**3)

    @model_validator(mode="before")
    @classmethod
    def _starttls_unless_ssl(cls, values: Any) -> Any:
        if "email_use_tls" in values or str(values.get("email_use_ssl", "")).lower() not in _TRUE:
            return values
        return {**values, "email_use_tls": False}

    @property
    def channels(self) -> dict[str, str]:
        """The addresses of the channels, which hold secrets, by the names that `NOTIFICATION_CHANNELS` gives them."""
        return _urls_by_name(self.notification_channels)

    @property
    def webhook_keys(self) -> list[bytes]:
        """The keys that webhooks are signed with, the one that stays first."""
        text = self.webhook_secret.get_secret_value()
        return _webhook_keys(text) if text else []

    disk_free_limit: Annotated[Decimal, BeforeValidator(_share)] = Decimal("0.1")
    disk_paths: str = ""
    certificates: Annotated[str, AfterValidator(_certificates)] = ""
    certificate_days: int = Field(21, ge=1, le=3650)
    jobs_late_after_s: int = Field(1800, ge=60, le=604_800)
    reconciliation_deadline_s: int = Field(7200, ge=60, le=86_400)
    doctor_repeat_s: int = Field(14_400, ge=60, le=604_800)
    doctor_state_file: str = ""

    @property
    def plaid_items(self) -> dict[str, str]:
        """The access tokens of Plaid's items, by the names that `PLAID_ACCESS_TOKENS` gives them."""
        return {name: token for name, (token,) in _secrets_by_name(self.plaid_access_tokens).items()}

    @property
    def alpaca_accounts(self) -> dict[str, tuple[str, str]]:
        """Key and secret of Alpaca's accounts, by the names that `ALPACA_KEYS` gives them."""
        return {name: (key, secret) for name, (key, secret) in _secrets_by_name(self.alpaca_keys).items()}

    @property
    def price_provider_names(self) -> list[str]:
        """What prices come from, the one that counts most first."""
        return [name.strip() for name in self.price_providers.split(",")]

    @property
    def reference_rates_path(self) -> Path | None:
        """The file of reference rates; None is the installed one."""
        return PROJECT_DIR / self.reference_rates_file if self.reference_rates_file else None

    @property
    def further_disk_paths(self) -> list[Path]:
        """Folders whose disks the doctor looks at beside the program's own."""
        return [PROJECT_DIR / path for path in _listed(self.disk_paths)]

    @property
    def certificate_names(self) -> list[str]:
        """Where the doctor looks for certificates beside the servers': files (with a slash), and HOST:PORT."""
        return _listed(self.certificates)

    @property
    def doctor_state_path(self) -> Path:
        """The file in which `doctor --alert` remembers what it told."""
        return PROJECT_DIR / self.doctor_state_file if self.doctor_state_file else self.log_dir / "doctor.json"

    @property
    def ecb_folder_url(self) -> str | None:
        """Where the European Central Bank's files are; None if it is not to be asked."""
        return None if self.ecb_url == _OFF else self.ecb_url

    @property
    def mail_domain(self) -> str:
        """The domain of `SERVER_EMAIL`, in which mails and mailing lists have their names."""
        return _domain_of(self.server_email)

    @property
    def mail_off_reason(self) -> str | None:
        """Why no mail is sent, for a person to read; None when mail is on."""
        for variable in ("EMAIL_HOST", "ADMIN_EMAIL", "SERVER_EMAIL"):
            if not getattr(self, variable.lower()):
                return f"{variable} is empty"
        if self.email_host_user and not self.email_host_password.get_secret_value():
            return "EMAIL_HOST_USER is set, but EMAIL_HOST_PASSWORD is empty"
        return None


@cache
def _domain_of(address: str) -> str:
    return parseaddr(address)[1].rpartition("@")[2]


@cache
def get_settings() -> Settings:
    """Return this process's settings, read once; after `get_settings.cache_clear()` they are read anew.

    Raises:
        BadInputError: as `load_settings`.
    """
    return load_settings(os.environ, env_file_path(os.environ))


def env_file_path(environ: Mapping[str, str]) -> Path | None:
    """Return the environment file to read: what `ENV_FILE` names (empty: none), else the project's `.env`."""
    if (named := environ.get("ENV_FILE")) is not None:
        return Path(named) if named else None
    path = PROJECT_DIR / ".env"
    return path if path.exists() else None


def load_settings(environ: Mapping[str, str], path: Path | None) -> Settings:
    """Read settings from `environ`, then from the environment file at `path`, then from the defaults.

    A variable of `environ` beats the file's even when it is empty; an empty one means the default.

    Raises:
        BadInputError: variables with bad values, each on a line that names it, where it was set, what it was
            (masked if it is secret) and what it may be; or the file can't be read.
    """
    variables = env_file.read(path).variables if path else {}
    values: dict[str, str] = {}
    origins: dict[str, str] = {}
    for field in Settings.model_fields:
        name = field.upper()
        if name in environ:
            values[field], origins[field] = environ[name], "environment"
        elif name in variables:
            values[field], origins[field] = variables[name].value, f"{path} line {variables[name].line}"
    try:
        return Settings.model_validate({field: value for field, value in values.items() if value})
    except ValidationError as error:
        problems = error.errors(include_url=False, include_input=False)
    # Outside the except block, for the validation error knows the secrets and would be shown as the cause.
    raise BadInputError("\n".join(_sentence(problem, values, origins) for problem in problems))


def env_file_warnings(path: Path | None) -> list[str]:
    """Return what a person should know of the file at `path`: lines without effect, names nearly right.

    Raises:
        BadInputError: the file can't be read.
    """
    if path is None:
        return []
    content = env_file.read(path)
    warnings = [f"{path} line {line}: not NAME=value, so it has no effect" for line in content.ignored_lines]
    known = [field.upper() for field in Settings.model_fields]
    for name, variable in content.variables.items():
        near = difflib.get_close_matches(name.upper(), known, n=1, cutoff=0.8)
        if near and name not in known:
            warnings.append(f"{path} line {variable.line}: {name} is no setting; is it {near[0]}?")
    return warnings


def _sentence(problem: ErrorDetails, values: Mapping[str, str], origins: Mapping[str, str]) -> str:
    name = str(problem["loc"][0])
    field = Settings.model_fields[name]
    value = masked_url(values[name]) if field.annotation is SecretUrl else values[name]
    if field.annotation is SecretStr:
        value = "***"
    return f'{name.upper()} ({origins[name]}) is "{value}"; it may be {_may_be(field, problem)}'


def _may_be(field: FieldInfo, problem: ErrorDetails) -> str:
    if field.annotation is int:
        low = next(bound.ge for bound in field.metadata if isinstance(bound, Ge))
        high = next(bound.le for bound in field.metadata if isinstance(bound, Le))
        return f"a whole number from {low} to {high}"
    if field.annotation is bool and "error" not in problem.get("ctx", {}):
        return "true or false"
    if levels := get_args(field.annotation):
        return f"one of {', '.join(levels)}"
    return str(problem["ctx"]["error"])
