"""An account at a custodian, and a run over it."""

import pytest

from app.reconciliation import reconcile_account
from tests import factories as make
from tests.factories import NOW


@pytest.fixture
def account(session):
    return make.account(session, "A1")


@pytest.fixture
def custody(session, account):
    return make.custodian_account(session, account, number="C1")


@pytest.fixture
def reconcile(session, account):
    def reconcile(now=NOW, account_id=account):
        counts = reconcile_account(session, account_id, f"run-{next(make._numbers)}", now=now)
        session.expire_all()
        return counts

    return reconcile
