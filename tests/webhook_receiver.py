"""What a receiver of webhooks does by https://www.standardwebhooks.com, written from the specification alone."""

import base64
import hmac
from collections.abc import Mapping


def is_genuine(headers: Mapping[str, str], content: bytes, secret: str) -> bool:
    """Whether one of the signatures is that of the secret, `whsec_…` or raw, over the bytes that came."""
    key = base64.b64decode(secret[len("whsec_") :]) if secret.startswith("whsec_") else secret.encode()
    signed = b".".join([headers["webhook-id"].encode(), headers["webhook-timestamp"].encode(), content])
    expected = base64.b64encode(hmac.new(key, signed, "sha256").digest()).decode()
    signatures = [part.split(",", 1) for part in headers["webhook-signature"].split(" ")]
    return any(version == "v1" and hmac.compare_digest(given, expected) for version, given in signatures)
