"""dicomweb-client as a viewer and a gateway.

    viewer.py URL TOKEN FOLDER    stores the files of FOLDER, searches for them, and retrieves them

Prints one JSON object: what came of it.
"""

import json
import sys
from pathlib import Path

import pydicom
import requests
from dicomweb_client.api import DICOMwebClient

SEQUENCES = ("ReferencedSOPSequence", "FailedSOPSequence")


def counts(answer):
    return [len(answer.get(name) or ()) for name in SEQUENCES]


def number(found, tag):
    return found[tag]["Value"][0]


def metadata_agree(metadata, sent):
    """Every element but pixels is there, or was too long to be."""
    read = pydicom.Dataset.from_json(metadata, bulk_data_uri_handler=lambda *_: b"")
    left_out = {"PixelData", "SpecificCharacterSet"}
    keywords = {element.keyword for element in sent if element.keyword} - left_out
    return all(keyword in read and read[keyword].value == sent[keyword].value
               for keyword in keywords if sent[keyword].VR not in ("OB", "OW", "UN", "SQ"))


def main(url, token, folder):
    sent = [pydicom.dcmread(path) for path in sorted(Path(folder).glob("*.dcm"))]
    by_uid = {file.SOPInstanceUID: file for file in sent}
    study, series, first = sent[0].StudyInstanceUID, sent[0].SeriesInstanceUID, sent[0]
    session = requests.Session()
    session.auth = ("tester", token)
    client = DICOMwebClient(url, session=session)
    report = {"stored": counts(client.store_instances(sent, study_instance_uid=study))}
    report["stored_again"] = counts(client.store_instances(sent))
    found = client.search_for_studies(search_filters={"StudyInstanceUID": study})
    report["studies"] = [number(found[0], "0020000D") == study, number(found[0], "00201208")]
    found = client.search_for_series(study, search_filters={"Modality": "MR"})
    report["series"] = [number(entry, "0020000E") == series for entry in found]
    found = client.search_for_instances(study, series, limit=7, get_remaining=True)
    report["instances"] = len({number(entry, "00080018") for entry in found})
    report["nothing"] = client.search_for_studies(search_filters={"PatientID": "nobody"})
    try:
        client.search_for_studies(search_filters={"StationName": "x"})
    except requests.HTTPError as error:
        report["refused"] = error.response.status_code

    # A file is equal when all its elements are; its meta group is the archive's own.
    got = list(client.iter_study(study))
    report["study"] = sum(file == by_uid[file.SOPInstanceUID] for file in got)
    uids = (study, series, first.SOPInstanceUID)
    report["instance"] = client.retrieve_instance(*uids) == first
    metadata = client.retrieve_study_metadata(study)
    report["metadata"] = sum(
        metadata_agree(entry, by_uid[number(entry, "00080018")]) for entry in metadata)
    frames = client.retrieve_instance_frames(*uids, frame_numbers=[1])
    report["frame"] = frames == [first.PixelData]
    bulk = next(entry for entry in metadata if number(entry, "00080018") == uids[2])
    octets = ("application/octet-stream",)
    pixels = client.retrieve_bulkdata(bulk["7FE00010"]["BulkDataURI"], media_types=octets)
    report["bulk"] = pixels == [first.PixelData]
    picture = client.retrieve_instance_rendered(*uids, media_types=("image/jpeg",))
    report["picture"] = picture[:2] == b"\xff\xd8"
    return report


json.dump(main(*sys.argv[1:]), sys.stdout)
