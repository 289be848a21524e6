"""Yahoo without `yfinance`, which a usual installation does not have."""

import subprocess
import sys

import pytest

from app.errors import BadInputError
from app.market_data.providers.yahoo import YAHOO_URL, Yahoo
from app.settings import Settings


def test_without_yfinance_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    # As Python marks a module that can't be imported.
    monkeypatch.setitem(sys.modules, "yfinance", None)
    with pytest.raises(BadInputError) as refused:
        Yahoo()
    assert str(refused.value) == (
        "the provider yahoo: yfinance is not installed."
        " pip install --require-hashes -r requirements-yahoo.txt, or take yahoo out of the settings."
    )


def test_importing_the_providers_does_not_import_yfinance() -> None:
    program = "import sys, app.market_data.providers.yahoo; print(sorted({'yfinance', 'curl_cffi'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_the_settings_name_yahoos_own_address() -> None:
    assert Settings().yahoo_url == YAHOO_URL
