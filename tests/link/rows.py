"""Prints the rows of a box's outbox, and those that a hub has of a site, as JSON.

    rows.py appliance.sqlite hub.sqlite SITE
"""

import json
import sqlite3
import sys


def read(path, sql, *values):
    with sqlite3.connect(path) as database:
        database.row_factory = sqlite3.Row
        return [dict(row) for row in database.execute(sql, values)]


box, hub, site = sys.argv[1:]
sent = read(
    box,
    "SELECT o.epoch, o.seq, o.kind, o.priority, o.sha256, o.state, coalesce(s.uid, '') AS study"
    " FROM outbox o LEFT JOIN study s ON s.id = o.study_id ORDER BY o.seq",
)
stored = read(
    hub,
    "SELECT epoch, seq, kind, sha256, ordinal FROM outbox_row WHERE site = ? ORDER BY ordinal",
    site,
)
print(json.dumps({"sent": sent, "stored": stored}))
