"""Jobs: thousands of photos that are handed over, and fetched when they are done (docs/jobs.md).

    documents.py   what is written down about a job, and the message that stands for a chunk of it
    store.py       JobStore: where that lies, and which write may happen only once
    worker.py      Worker: does one chunk, brings a job to its end, cancels it
    queues/        what carries the messages: this process, SQS, Pub/Sub
    webhooks.py    tells a caller that its job has ended

A message may come twice, late, out of order, or to a worker that dies. Nothing is held in memory that matters: whoever
gets a message looks at what lies in the store, and does what is missing.
"""
