// tus-js-client as a box: uploads a file, is interrupted, goes on, and is told that it is there.
//
//     node tus_client.mjs MODULES URL FILE SHA256 CA CERTIFICATE KEY
//
// MODULES is the folder that npm installed into, URL the place where uploads are made. Prints one
// JSON object: the place of the upload, where it was interrupted and where it went on, and how the
// whole is answered.

import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { resolve } from "node:path";

const [modules, endpoint, path, sha256, ...files] = process.argv.slice(2);
const [ca, cert, key] = files.map((file) => readFileSync(file));
const tus = createRequire(resolve(modules, "package.json"))("tus-js-client");
const file = readFileSync(path);

// Uploads until the end, or, with `cut`, until half of the file has been acknowledged.
function upload(options, cut) {
  const requests = [];
  return new Promise((done, failed) => {
    const upload = new tus.Upload(file, {
      endpoint,
      metadata: { sha256 },
      chunkSize: Math.ceil(file.length / 8),
      retryDelays: null,
      httpStack: new tus.DefaultHttpStack({ ca, cert, key }),
      onAfterResponse: (request, response) =>
        requests.push([request.getMethod(), response.getStatus(),
          response.getHeader("Upload-Offset")]),
      onChunkComplete: (size, accepted) => {
        if (cut && accepted >= file.length / 2) {
          upload.abort().then(() => done({ url: upload.url, accepted, requests }), failed);
        }
      },
      onSuccess: () => done({ url: upload.url, requests }),
      onError: failed,
      ...options,
    });
    upload.start();
  });
}

const first = await upload({}, true);
const second = await upload({ uploadUrl: first.url }, false);
const [method, status, offset] = second.requests[0];
// The server says how it stands before anything is sent again.
const resumed = method === "HEAD" && status === 200 ? Number(offset) : undefined;
const [, whole] = second.requests.at(-1);
const place = new URL(first.url).pathname;
console.log(JSON.stringify({ place, cut: first.accepted, resumed, whole, bytes: file.length }));
