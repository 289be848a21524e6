"""Has workers write numbered lines until SIGTERM, then says how many: a canary's id is in each line about it."""

import itertools
import signal

from app.tasks import celery_app

AT_ONCE = 20

asked_to_stop = []
signal.signal(signal.SIGTERM, lambda *_: asked_to_stop.append(True))
canary = celery_app.tasks["app.tasks.canary.canary"]
sent = []
for number in itertools.count():
    sent.append(canary.apply_async(task_id=f"line-{number}"))
    if number == 0:
        sent[0].get(timeout=60)
        print("writing", flush=True)
    if number >= AT_ONCE:
        sent[number - AT_ONCE].get(timeout=60)
    if asked_to_stop:
        break
for result in sent[-AT_ONCE:]:
    result.get(timeout=60)
print(len(sent), flush=True)
