"""Prints what a database of the appliance holds, as JSON.

Python's own SQLite reads it, and so tells nothing of what the appliance's code would overlook.
usage: audit.py COPY (a copy, because opening it writes beside it)
"""

import json
import sqlite3
import sys

database = sqlite3.connect(sys.argv[1])


def rows(query):
    return [list(row) for row in database.execute(query)]


json.dump(
    {
        "integrity": rows("PRAGMA integrity_check") + rows("PRAGMA foreign_key_check"),
        "studies": rows("SELECT uid FROM study"),
        "instances": rows("SELECT sop_uid, lower(hex(sha256)), path FROM instance"),
        "quarantine": rows("SELECT sop_uid, reason FROM quarantine"),
        "inferences": rows(
            "SELECT s.uid, i.generation, i.model_digest, i.context, i.mode"
            " FROM inference i JOIN study s ON s.id = i.study_id"
        ),
        # Box time must not follow the wall clock's jumps.
        "received_at": rows("SELECT received_at FROM instance ORDER BY id"),
        "wall_at": rows("SELECT wall_at FROM audit ORDER BY seq"),
    },
    sys.stdout,
)
