// An object store: s3rver with the bucket `prima-hub`, access key and secret `S3RVER`.
//
//     node s3_peer.mjs MODULES FOLDER
//
// MODULES is the folder that npm installed into, FOLDER that of the objects. Prints its port; ends
// with its standard input.

import { createRequire } from "node:module";
import { resolve } from "node:path";

const [modules, directory] = process.argv.slice(2);
const S3rver = createRequire(resolve(modules, "package.json"))("s3rver");
const server = new S3rver({
  address: "127.0.0.1", port: 0, silent: true, directory, vhostBuckets: false,
  configureBuckets: [{ name: "prima-hub" }],
});
console.log((await server.run()).port);
process.stdin.on("end", () => process.exit()).resume();
