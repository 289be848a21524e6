"""The application with the nightly schedule alone, worth making up for a day, so that it is at any hour."""

from app.tasks import celery_app

app = celery_app
nightly = app.conf.beat_schedule["reconcile-accounts-daily"]
app.conf.beat_schedule = {"reconcile-accounts-daily": {**nightly, "options": {"expires": 24 * 3600}}}
