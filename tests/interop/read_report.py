"""What highdicom and pydicom read in a structured report of ours, as one JSON object.

    read_report.py FILE
"""

import json
import sys

import highdicom
import pydicom


def code(item):
    return item.value.value


def text_of(items, name):
    return [item.TextValue for item in items if item.name.value == name]


path = sys.argv[1]
data = pydicom.dcmread(path)
report = highdicom.sr.srread(path)
groups = report.content.get_image_measurement_groups()
findings = []
for group in groups:
    numbers = {item.name.value: float(item.value) for item in group.get_measurements()}
    findings.append({
        "label": group.finding_type.value,
        "tracking": group.tracking_identifier,
        "probability": numbers.get("122157"),
        "margin": numbers.get("margin"),
    })  # fmt: skip
evaluations = [
    item
    for item in report.content[0].ContentSequence
    if item.name.value == "C0034375"
][0].ContentSequence
print(json.dumps({
    "class": report.SOPClassUID,
    "patient": str(data.PatientID),
    "study": data.StudyInstanceUID,
    "flags": [data.PreliminaryFlag, data.VerificationFlag, data.CompletionFlag],
    "findings": findings,
    "priority": [code(item) for item in evaluations if item.name.value == "priority"],
    "referrals": [code(item) for item in evaluations if item.name.value == "referral"],
    "comments": text_of(evaluations, "121106"),
}))  # fmt: skip
