// Uploads a file as a program with tus-js-client would: node upload.mjs '{"endpoint": …}'
// With `storage`, a file, it goes on with what an earlier run began. Prints, as JSON, where the
// upload is, and the answers it had.
import { createReadStream } from "node:fs";
import { basename } from "node:path";

import { FileUrlStorage, Upload } from "tus-js-client";

const { endpoint, token, file, storage, giveUpAt, ...options } = JSON.parse(process.argv[2]);
const answers = [];

function end(outcome) {
  console.log(JSON.stringify({ outcome, url: upload.url, answers }));
}

const upload = new Upload(createReadStream(file), {
  endpoint,
  headers: { Authorization: `Bearer ${token}` },
  metadata: { filename: basename(file) },
  retryDelays: [0, 200, 500, 1000, 1000, 1000, 2000, 2000, 3000, 3000],
  ...(storage ? { urlStorage: new FileUrlStorage(storage) } : {}),
  ...options,
  onAfterResponse: (request, response) => {
    answers.push(`${request.getMethod()} ${response.getStatus()}`);
  },
  onProgress: async (sent, total) => {
    if (giveUpAt && sent > giveUpAt * total && !upload.isGivenUp) {
      upload.isGivenUp = true;
      await upload.abort(true);
      end("given up");
    }
  },
  onError: (error) => end(String(error)),
  onSuccess: () => end("stored"),
});

const [earlier] = storage ? await upload.findPreviousUploads() : [];
if (earlier) upload.resumeFromPreviousUpload(earlier);
upload.start();
