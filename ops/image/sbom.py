#!/usr/bin/env python3
"""What a box is made of: CycloneDX 1.5 and a table of licences.

    ops/image/sbom.py FOLDER [DPKG_STATUS]

writes prima.cdx.json and licences.txt: the Rust packages that are linked into the programs of the box
(`cargo metadata`, checksums of Cargo.lock), and with DPKG_STATUS (var/lib/dpkg/status of the image)
Debian's packages too. A package without a licence is an error: somebody has to look.
"""

import json
import pathlib
import subprocess
import sys
import tomllib
import uuid

PROGRAMS = ["appliance", "firmware-config"]


def rust_packages():
    """Every package that the programs link, once, our own included."""
    command = ["cargo", "metadata", "--locked", "--format-version", "1",
               "--filter-platform", "x86_64-unknown-linux-gnu"]
    metadata = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    waiting = [package["id"] for package in metadata["packages"] if package["name"] in PROGRAMS]
    seen = set()
    while waiting:
        one = waiting.pop()
        if one in seen:
            continue
        seen.add(one)
        for dependency in nodes[one]["deps"]:
            # Neither tests nor build scripts are in the program.
            if any(kind["kind"] is None for kind in dependency["dep_kinds"]):
                waiting.append(dependency["pkg"])
    return sorted((packages[one] for one in seen), key=lambda one: (one["name"], one["version"]))


def checksums():
    """SHA-256 of each package as the registry has it."""
    lock = tomllib.loads(pathlib.Path("Cargo.lock").read_text())
    return {(one["name"], one["version"]): one.get("checksum") for one in lock["package"]}


def rust_component(package, known):
    licence = package["license"] or (f"see {package['license_file']}" if package["license_file"] else None)
    if licence is None:
        sys.exit(f"error: {package['name']} {package['version']} names no licence")
    component = {
        "type": "library",
        "name": package["name"],
        "version": package["version"],
        "purl": f"pkg:cargo/{package['name']}@{package['version']}",
        "bom-ref": f"pkg:cargo/{package['name']}@{package['version']}",
        "licenses": [{"license": {"name": licence}}],
    }
    checksum = known.get((package["name"], package["version"]))
    if checksum:
        component["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    return component


def debian_components(status):
    components = []
    for paragraph in pathlib.Path(status).read_text().strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in paragraph.splitlines()
                      if ": " in line and not line.startswith(" "))
        if fields.get("Status") != "install ok installed" or fields["Package"] == "prima":
            continue
        name, version, of = fields["Package"], fields["Version"], fields["Architecture"]
        purl = f"pkg:deb/debian/{name}@{version.replace('+', '%2B')}?arch={of}"
        components.append({"type": "library", "name": name, "version": version, "purl": purl,
                           "bom-ref": purl})
    if not components:
        sys.exit(f"error: {status} lists no installed package")
    return components


def main():
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__.strip())
    out = pathlib.Path(sys.argv[1])
    packages, known = rust_packages(), checksums()
    components = [rust_component(package, known) for package in packages]
    table = [f"{one['name']} {one['version']}: {one['licenses'][0]['license']['name']}"
             for one in components]
    if len(sys.argv) == 3:
        debian = debian_components(sys.argv[2])
        components += debian
        table += [f"{one['name']} {one['version']}: /usr/share/doc/{one['name']}/copyright"
                  for one in debian]
    version = next(one["version"] for one in packages if one["name"] == "appliance")
    bom = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        # Equal contents have equal serial numbers, so that two builds can be compared.
        "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, json.dumps(components))}",
        "version": 1,
        "metadata": {"component": {"type": "firmware", "name": "prima-box", "version": version}},
        "components": components,
    }
    (out / "prima.cdx.json").write_text(json.dumps(bom, indent=1) + "\n")
    (out / "licences.txt").write_text("\n".join(table) + "\n")
    print(f"{len(components)} components in {out / 'prima.cdx.json'}")


if __name__ == "__main__":
    main()
