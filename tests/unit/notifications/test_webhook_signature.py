"""A webhook's signature is that of the Standard Webhooks specification."""

import base64

from app.notifications.webhook import sign
from app.settings import Settings
from tests.webhook_receiver import is_genuine

# Of the specification's own libraries.
KEY = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID, TIMESTAMP, BODY = "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_the_published_example_has_its_published_signature() -> None:
    assert sign(base64.b64decode(KEY), ID, TIMESTAMP, BODY) == SIGNATURE


def test_so_it_does_where_the_settings_name_its_secret() -> None:
    (key,) = Settings.model_validate({"webhook_secret": f"whsec_{KEY}"}).webhook_keys

    assert sign(key, ID, TIMESTAMP, BODY) == SIGNATURE


def test_the_receiver_of_these_tests_takes_the_published_example_and_nothing_else() -> None:
    headers = {"webhook-id": ID, "webhook-timestamp": str(TIMESTAMP), "webhook-signature": f"v1a,xyz {SIGNATURE}"}

    assert is_genuine(headers, BODY, f"whsec_{KEY}")
    assert not is_genuine(headers, BODY + b" ", f"whsec_{KEY}")
    assert not is_genuine({**headers, "webhook-timestamp": "1614265331"}, BODY, f"whsec_{KEY}")
    assert not is_genuine({**headers, "webhook-id": "msg_other"}, BODY, f"whsec_{KEY}")
    assert not is_genuine(headers, BODY, KEY)
