"""Uploads a file as a program with tuspy would: python upload.py '{"endpoint": …}'

In a process of its own, because tuspy leaves files open. With `storage`, a file, it goes on with
what an earlier run began. Prints, as JSON, where the upload is, and where it began to send.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from tusclient.client import TusClient
from tusclient.exceptions import TusCommunicationError
from tusclient.storage.filestorage import FileStorage

given = json.loads(sys.argv[1])
path = Path(given.pop("file"))
client = TusClient(given.pop("endpoint"), {"Authorization": f"Bearer {given.pop('token')}"})
options = {"retries": 12, "retry_delay": 0.5, "metadata": {"filename": path.name}}
if storage := given.pop("storage", ""):
    options |= {"store_url": True, "url_storage": FileStorage(storage)}
try:
    uploader = client.uploader(str(path), **options | given)
    begun = uploader.offset
    uploader.upload()
except TusCommunicationError as error:
    answer = json.loads(error.response_content or "{}")
    print(json.dumps({"outcome": "refused", "status": error.status_code, "answer": answer}))
else:
    print(json.dumps({"outcome": "stored", "url": uploader.url, "begun": begun}))
