"""How a call's arguments become a job's, which are kept by name."""

import pytest
from celery import shared_task

from app.tasks import job_task
from app.tasks.base import named_arguments


@shared_task
def plain(a, b=2, *, c=3, **more):
    """Take arguments of every kind that has a name."""


@shared_task
def nameless(*numbers):
    """Take arguments without names."""


@job_task(bind=True)
def job(self, session, a, b=2):
    """Take what a job gives beside its arguments."""


def test_positions_become_names():
    assert named_arguments(plain, (1,), {"c": 4, "d": 5}) == {"a": 1, "c": 4, "d": 5}


def test_the_session_is_no_argument_of_a_job():
    assert named_arguments(job, (1, 3), {}) == {"a": 1, "b": 3}


@pytest.mark.parametrize(
    ("task", "args", "kwargs"), [(plain, (), {}), (job, (1, 2, 3), {}), (job, (), {"x": 1}), (nameless, (1,), {})]
)
def test_a_call_that_does_not_fit_is_a_type_error(task, args, kwargs):
    with pytest.raises(TypeError):
        named_arguments(task, args, kwargs)
