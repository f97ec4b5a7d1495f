// A hub that knows nothing but uploads: the tus project's own server, over TLS with certificates on
// both sides.
//
//     node tus_peer.mjs MODULES FOLDER CA CERTIFICATE KEY
//
// MODULES is the folder that npm installed into; what arrives lies in FOLDER. Prints its port, and
// then for each upload that is whole one line: what its metadata calls `sha256`, and the SHA-256
// that it has. Ends with its standard input.

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:https";
import { createRequire } from "node:module";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";

const [modules, directory, ...files] = process.argv.slice(2);
const [ca, cert, key] = files.map((file) => readFileSync(file));
const resolver = createRequire(resolve(modules, "package.json"));
const load = (name) => import(pathToFileURL(resolver.resolve(name)));
const { Server, EVENTS } = await load("@tus/server");
const { FileStore } = await load("@tus/file-store");

const datastore = new FileStore({ directory });
// A whole address would begin with `http:`, whoever asks.
const tus = new Server({ path: "/v1/blobs", relativeLocation: true, datastore });
tus.on(EVENTS.POST_FINISH, (request, response, upload) => {
  const content = readFileSync(join(directory, upload.id));
  console.log(upload.metadata.sha256, createHash("sha256").update(content).digest("hex"));
});
const tls = { ca, cert, key, requestCert: true, rejectUnauthorized: true };
const server = createServer(tls, (request, response) => tus.handle(request, response));
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("end", () => process.exit()).resume();
