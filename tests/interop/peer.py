"""pynetdicom as a scanner, and as a workstation.

    peer.py PORT [--tls CA CERT KEY VERSION] store              sends pydicom's own test files
    peer.py PORT [--tls ...] commit LISTEN UID...               asks to commit MR images
    peer.py PORT [--tls ...] find CHARACTER_SET KEYWORD=VALUE...    asks for what is there
    peer.py PORT [--tls ...] get STUDY_UID                      gets the MR images of a study
    peer.py PORT [--tls ...] cancel STUDY_UID                   the same, cancelled at the first

LISTEN is the port for a report on an association of its own; 0 waits on that of the request.
Prints one JSON object: what was answered.
"""

import faulthandler
import hashlib
import json
import queue
import ssl
import sys
import time
import warnings
from pathlib import Path

import pydicom
import pydicom.data
from pydicom.dataset import Dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import AE, _config, build_context, build_role, evt
from pynetdicom.sop_class import (
    MRImageStorage,
    StorageCommitmentPushModel,
    StudyRootQueryRetrieveInformationModelFind,
    StudyRootQueryRetrieveInformationModelGet,
)

COMMITMENT_INSTANCE = "1.2.840.10008.1.20.1.1"

# A file given as a path goes out as it is, in pieces, and is not encoded again.
_config.STORE_SEND_CHUNKED_DATASET = True
warnings.simplefilter("ignore")
# The thread of an association outlives an error in the main one.
faulthandler.dump_traceback_later(120, exit=True)


def park(association):
    """Stops pynetdicom's reader of requests before one is sent: it may otherwise pass its
    checkpoint in the moment in which that closes, and take the answer away."""
    association._reactor_checkpoint.clear()
    time.sleep(0.02)


def test_files():
    """Files that say what they are: without UIDs there is nothing to announce."""
    for path in sorted(Path(pydicom.data.__file__).parent.joinpath("test_files").rglob("*.dcm")):
        try:
            file = pydicom.dcmread(path, stop_before_pixels=True)
            meta = file.file_meta
            context = build_context(file.SOPClassUID, meta.TransferSyntaxUID)
        except (AttributeError, pydicom.errors.InvalidDicomError):
            continue
        # The announcement is made from the file meta information.
        if meta.get("MediaStorageSOPInstanceUID") == file.get("SOPInstanceUID"):
            yield path, context


def store(associate):
    files = list(test_files())
    contexts = {str(context): context for _, context in files}
    association = associate(list(contexts.values()))
    answers = {}
    for path, _ in files:
        park(association)
        answer = association.send_c_store(path)
        answers[path.name] = [answer.get("Status"), answer.get("ErrorComment", "")]
    association.release()
    return answers


def commit(ae, associate, listen, uids):
    reports = queue.Queue()

    def on_report(event):
        report = event.event_information
        failed = report.get("FailedSOPSequence") or ()
        good = report.get("ReferencedSOPSequence") or ()
        reports.put({
            "same_transaction": report.TransactionUID == request.TransactionUID,
            "event_type": event.event_type,
            "good": sorted(item.ReferencedSOPInstanceUID for item in good),
            "failed": {item.ReferencedSOPInstanceUID: item.FailureReason for item in failed},
        })  # fmt: skip
        return 0x0000, None

    def reference(uid):
        item = Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = MRImageStorage, uid
        return item

    request = Dataset()
    request.TransactionUID = generate_uid()
    request.ReferencedSOPSequence = [reference(uid) for uid in uids]
    handlers = [(evt.EVT_N_EVENT_REPORT, on_report)]
    if listen:
        # The daemon opens the second association and reports as the SCP (PS3.4 J.3.3).
        ae.add_supported_context(StorageCommitmentPushModel, scu_role=False, scp_role=True)
        server = ae.start_server(("127.0.0.1", listen), block=False, evt_handlers=handlers)
    association = associate([build_context(StorageCommitmentPushModel)], handlers)
    park(association)
    status, _ = association.send_n_action(
        request, 1, StorageCommitmentPushModel, COMMITMENT_INSTANCE
    )
    if listen:
        association.release()
    report = reports.get(timeout=20)
    if listen:
        server.shutdown()
    else:
        association.release()
    return {"status": status.Status, **report}


def find(associate, character_set, keys):
    model = StudyRootQueryRetrieveInformationModelFind
    identifier = Dataset()
    identifier.SpecificCharacterSet = character_set
    for key in keys:
        keyword, value = key.split("=")
        setattr(identifier, keyword, value)
    association = associate([build_context(model)])
    park(association)
    answers = [
        [status.Status, {element.keyword: str(element.value) for element in answer or ()}]
        for status, answer in association.send_c_find(identifier, model)
    ]
    association.release()
    return answers


def get(associate, study_uid, cancels):
    model = StudyRootQueryRetrieveInformationModelGet
    received = {}

    def on_store(event):
        digest = hashlib.sha256(event.encoded_dataset(include_meta=False))
        received[event.request.AffectedSOPInstanceUID] = digest.hexdigest()
        if cancels and len(received) == 1:
            event.assoc.send_c_cancel(7, query_model=model)
        return 0x0000

    identifier = Dataset()
    identifier.QueryRetrieveLevel, identifier.StudyInstanceUID = "STUDY", study_uid
    contexts = [build_context(model), build_context(MRImageStorage, ExplicitVRLittleEndian)]
    roles = [build_role(MRImageStorage, scp_role=True)]
    association = associate(contexts, [(evt.EVT_C_STORE, on_store)], roles)
    park(association)
    *_, (status, _) = association.send_c_get(identifier, model, msg_id=7)
    association.release()
    counts = [
        status.get(f"NumberOf{kind}Suboperations") for kind in ("Remaining", "Completed", "Failed")
    ]
    return {"status": status.Status, "counts": counts, "received": received}


def tls_context(ca, certificate, key, version):
    context = ssl.create_default_context(cafile=ca)
    context.check_hostname = False
    context.load_cert_chain(certificate, key)
    context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
    return context


def main():
    port, *words = sys.argv[1:]
    tls = None
    if words[0] == "--tls":
        tls = (tls_context(*words[1:5]), None)
        words = words[5:]
    ae = AE("PYNETDICOM")

    def associate(contexts, handlers=(), roles=()):
        association = ae.associate(
            "127.0.0.1",
            int(port),
            contexts,
            ae_title="PRIMA",
            ext_neg=list(roles),
            evt_handlers=list(handlers),
            tls_args=tls,
        )
        if not association.is_established:
            sys.exit("the association was refused")
        return association

    if words[0] == "store":
        answer = store(associate)
    elif words[0] == "find":
        answer = find(associate, words[1], words[2:])
    elif words[0] in ("get", "cancel"):
        answer = get(associate, words[1], words[0] == "cancel")
    else:
        answer = commit(ae, associate, int(words[1]), words[2:])
    print(json.dumps(answer))


main()
