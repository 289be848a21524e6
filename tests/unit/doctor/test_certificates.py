"""Reading the last moment of a certificate."""

import ssl
from datetime import UTC, datetime

import pytest
import trustme
from cryptography import x509

from app.doctor.certificates import not_after


def pem(expires: datetime) -> bytes:
    authority = trustme.CA()
    chain = authority.issue_cert("db.example.com", not_after=expires).cert_chain_pems
    return chain[0].bytes()


@pytest.mark.parametrize(
    "expires",
    [
        datetime(2031, 7, 5, 23, 59, 58, tzinfo=UTC),
        datetime(2049, 12, 31, 23, 59, 59, tzinfo=UTC),
        datetime(2050, 1, 1, tzinfo=UTC),  # from here on written otherwise
        datetime(2187, 2, 3, 4, 5, 6, tzinfo=UTC),
    ],
)
def test_the_last_moment_is_what_the_certificate_says(expires: datetime) -> None:
    der = ssl.PEM_cert_to_DER_cert(pem(expires).decode())
    assert not_after(der) == expires == x509.load_der_x509_certificate(der).not_valid_after_utc


def test_those_of_authorities_are_read_as_well() -> None:
    text = trustme.CA().cert_pem.bytes()
    assert (
        not_after(ssl.PEM_cert_to_DER_cert(text.decode())) == x509.load_pem_x509_certificate(text).not_valid_after_utc
    )


def test_what_is_cut_off_before_its_last_moment_is_no_certificate() -> None:
    expires = datetime(2187, 2, 3, 4, 5, 6, tzinfo=UTC)
    der = ssl.PEM_cert_to_DER_cert(pem(expires).decode())
    for length in range(der.index(b"21870203040506Z") + len(b"21870203040506")):
        with pytest.raises(ValueError, match=r"ends in the middle|no time where|does not match"):
            not_after(der[:length])
