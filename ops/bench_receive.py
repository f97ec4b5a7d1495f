#!/usr/bin/env python3
"""Throughput of receiving over DICOM: the appliance beside DCMTK's storescp and Orthanc.

The same generated slices go to each server from DCMTK's storescu, with Nagle's algorithm off and
on, over one association and over four at once. The repetitions are interleaved, so that a busy
moment of the machine hits all alike; every server starts anew with an empty folder, and the disk
is synced before each run, so that nobody pays for the writes of the one before. After each run
the objects received are counted. Only the standard library is needed.

storescp writes without ever syncing: a success of its may be lost with the power. Orthanc syncs
its files (SyncStorageArea, on by default). The appliance answers after it has synced file, folder
and index; how fast that can be is measured on the same folder in the same run, without DICOM.
"""

import argparse
import json
import os
import random
import shutil
import socket
import statistics
import struct
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

SIDE = 256
FOLDERS = 4
MR_IMAGE = "1.2.840.10008.5.1.4.1.1.4"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
# (associations, Nagle's algorithm on)
SENDERS = ((1, False), (4, False), (1, True), (4, True))
OURS, STORESCP, ORTHANC = "appliance", "storescp --fork", "Orthanc"
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
MB = 1e6


# The slices


def element(group, number, vr, value):
    """Explicit VR Little Endian; text is padded to an even length."""
    if isinstance(value, int):
        value = struct.pack("<H", value)
    elif isinstance(value, str):
        value = value.encode()
        value += (b"\0" if vr == "UI" else b" ") * (len(value) % 2)
    if vr in ("OB", "OW"):
        head = struct.pack("<HH2s2xI", group, number, vr.encode(), len(value))
    else:
        head = struct.pack("<HH2sH", group, number, vr.encode(), len(value))
    return head + value


def slice_file(series, number, pixels):
    study_uid = "2.25.7001"
    series_uid = f"{study_uid}.{series}"
    sop_uid = f"{series_uid}.{number}"
    meta = b"".join((
        element(2, 0x01, "OB", b"\0\1"),
        element(2, 0x02, "UI", MR_IMAGE),
        element(2, 0x03, "UI", sop_uid),
        element(2, 0x10, "UI", EXPLICIT_LE),
        element(2, 0x12, "UI", "2.25.7000"),
    ))  # fmt: skip
    meta = element(2, 0x00, "UL", struct.pack("<I", len(meta))) + meta
    data_set = b"".join((
        element(0x08, 0x16, "UI", MR_IMAGE),
        element(0x08, 0x18, "UI", sop_uid),
        element(0x08, 0x20, "DA", "20260101"),
        element(0x08, 0x30, "TM", "120000"),
        element(0x08, 0x60, "CS", "MR"),
        element(0x08, 0x70, "LO", "Phantom Works"),
        element(0x08, 0x103E, "LO", f"series {series}"),
        element(0x10, 0x10, "PN", "Phantom^Bench"),
        element(0x10, 0x20, "LO", "BENCH"),
        element(0x20, 0x0D, "UI", study_uid),
        element(0x20, 0x0E, "UI", series_uid),
        element(0x20, 0x11, "IS", str(series)),
        element(0x20, 0x13, "IS", str(number)),
        element(0x20, 0x32, "DS", f"0\\0\\{number}"),
        element(0x20, 0x37, "DS", "1\\0\\0\\0\\1\\0"),
        element(0x28, 0x02, "US", 1),
        element(0x28, 0x04, "CS", "MONOCHROME2"),
        element(0x28, 0x10, "US", SIDE),
        element(0x28, 0x11, "US", SIDE),
        element(0x28, 0x30, "DS", "1\\1"),
        element(0x28, 0x100, "US", 16),
        element(0x28, 0x101, "US", 16),
        element(0x28, 0x102, "US", 15),
        element(0x28, 0x103, "US", 0),
        element(0x7FE0, 0x10, "OW", pixels),
    ))  # fmt: skip
    return bytes(128) + b"DICM" + meta + data_set


def write_slices(folder, count):
    """Folders of slices, one series in each, and the bytes of all."""
    numbers = random.Random(1)
    folders = [folder / f"series{series}" for series in range(FOLDERS)]
    total = 0
    for series, place in enumerate(folders):
        place.mkdir(parents=True)
        for number in range(series, count, FOLDERS):
            content = slice_file(series, number, numbers.randbytes(SIDE * SIDE * 2))
            (place / f"{number:05}.dcm").write_bytes(content)
            total += len(content)
    return folders, total


# The bound that the disk sets


def disk_seconds(folder, size, rounds=300):
    """Mean seconds of the three steps without which an object is not safe: the file written and
    synced, its name in the folder synced, two pages appended to a log and synced."""
    os.sync()
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "to").mkdir(parents=True)
    content = random.Random(2).randbytes(size)
    pages = content[:8192]
    steps = [0.0, 0.0, 0.0]
    directory = os.open(folder / "to", os.O_RDONLY | os.O_DIRECTORY)
    with open(folder / "log", "wb", buffering=0) as log:
        for number in range(rounds):
            marks = [time.perf_counter()]
            with open(folder / "part", "wb", buffering=0) as file:
                file.write(content)
                os.fsync(file.fileno())
            marks.append(time.perf_counter())
            os.rename(folder / "part", folder / "to" / str(number))
            os.fsync(directory)
            marks.append(time.perf_counter())
            log.write(pages)
            os.fsync(log.fileno())
            marks.append(time.perf_counter())
            for step in range(3):
                steps[step] += (marks[step + 1] - marks[step]) / rounds
    os.close(directory)
    shutil.rmtree(folder)
    return steps


# The servers


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Server:
    """A receiver with an empty folder; subclasses say how it starts and what it has received."""

    ae_title = "ANY"

    def __init__(self, folder, nagle):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        self.folder, self.port = folder, free_port()
        with open(folder / "output.txt", "wb") as output:
            self.process = subprocess.Popen(
                self.command(), stdout=output, stderr=output, env=environment(nagle)
            )
        self.wait_until_ready()

    def wait_until_ready(self):
        end = time.monotonic() + 60
        echo = ["echoscu", "-aec", self.ae_title, "127.0.0.1", str(self.port)]
        while subprocess.run(echo, capture_output=True).returncode:
            if self.process.poll() is not None or time.monotonic() > end:
                self.stop()
                said = (self.folder / "output.txt").read_text()
                sys.exit(f"{self.name} does not answer:\n{said}")
            time.sleep(0.1)

    def stop(self):
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Storescp(Server):
    name = STORESCP

    def command(self):
        (self.folder / "received").mkdir()
        return ["storescp", "--fork", "-od", self.folder / "received", str(self.port)]

    def received(self):
        return sum(1 for _ in (self.folder / "received").iterdir())


class Discard(Storescp):
    """Takes slices and forgets them, which leaves the sender's own time."""

    def command(self):
        return ["storescp", "--ignore", "--fork", str(self.port)]


class Orthanc(Server):
    name = ORTHANC

    def command(self):
        self.http = free_port()
        settings = {
            "StorageDirectory": str(self.folder / "storage"),
            "IndexDirectory": str(self.folder / "storage"),
            "DicomPort": self.port,
            "HttpPort": self.http,
            "DicomCheckCalledAet": False,
            "DicomAlwaysAllowEcho": True,
            "DicomAlwaysAllowStore": True,
        }
        (self.folder / "orthanc.json").write_text(json.dumps(settings))
        return ["Orthanc", self.folder / "orthanc.json"]

    def received(self):
        with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/statistics") as answer:
            return json.load(answer)["CountInstances"]


class Appliance(Server):
    name, ae_title, program = OURS, "PRIMA", None

    def command(self):
        settings = f"""\
data.folder = "{self.folder / 'data'}"
dicom.port = {self.port}
web.listen = "127.0.0.1:0"
"""
        (self.folder / "settings.toml").write_text(settings)
        return [self.program, "serve", "--config", self.folder / "settings.toml"]

    def received(self):
        return sum(1 for _ in (self.folder / "data/archive/studies").rglob("*.dcm"))


def environment(nagle):
    """DCMTK reads TCP_NODELAY on both ends and leaves Nagle's algorithm on without it."""
    return {**os.environ, "TCP_NODELAY": "0" if nagle else "1"}


# What a run costs


def process_tree(root):
    """The stat fields of a process and of all below it."""
    stats = {}
    for entry in os.scandir("/proc"):
        if entry.name.isdigit():
            try:
                text = Path(entry.path, "stat").read_text()
            except OSError:
                continue
            # The name in brackets may hold spaces.
            stats[int(entry.name)] = text[text.rindex(")") + 2 :].split()
    found = {root}
    while more := {pid for pid, stat in stats.items() if int(stat[1]) in found} - found:
        found |= more
    return [stats[pid] for pid in found if pid in stats]


def cpu_seconds(root):
    """User and system time of the tree, children that have ended included."""
    return sum(int(ticks) for stat in process_tree(root) for ticks in stat[11:15]) / TICKS


class PeakMemory(threading.Thread):
    """The largest sum of resident memory over the process tree, sampled while it runs."""

    def __init__(self, root):
        super().__init__(daemon=True)
        self.root, self.peak, self.ended = root, 0, threading.Event()

    def run(self):
        while not self.ended.wait(0.02):
            pages = sum(int(stat[21]) for stat in process_tree(self.root))
            self.peak = max(self.peak, pages * PAGE)


def send(server, folders, associations, nagle):
    """Sends all folders; seconds until the last sender has ended."""
    share = FOLDERS // associations
    commands = [
        ["storescu", "-aec", server.ae_title, "+sd", "+r", "127.0.0.1", str(server.port)]
        + folders[first : first + share]
        for first in range(0, FOLDERS, share)
    ]
    start = time.perf_counter()
    senders = [
        subprocess.Popen(
            command, env=environment(nagle), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        for command in commands
    ]
    errors = [sender.communicate()[1].decode() for sender in senders]
    seconds = time.perf_counter() - start
    if any(sender.returncode for sender in senders):
        sys.exit(f"storescu to {server.name}: {''.join(errors)}")
    return seconds


def run(kind, folder, folders, count, associations, nagle):
    os.sync()
    server = kind(folder / "server", nagle)
    try:
        root = server.process.pid
        memory, cpu = PeakMemory(root), cpu_seconds(root)
        memory.start()
        seconds = send(server, folders, associations, nagle)
        memory.ended.set()
        memory.join()
        cpu = cpu_seconds(root) - cpu
        if kind is not Discard and (received := server.received()) != count:
            sys.exit(f"{server.name} received {received} of {count}")
    finally:
        server.stop()
    shutil.rmtree(folder / "server")
    return {"rate": count / seconds, "cpu_s": cpu, "rss": memory.peak}


# The table


def best(runs):
    return max(run["rate"] for run in runs)


def all_of(rates):
    return ", ".join(f"{rate:.0f}" for rate in rates)


def print_table(results, megabytes_each):
    names = list(dict.fromkeys(name for name, _, _ in results))
    row = "| {:<12} | {:<15} | {:<30} | {:>6} | {:>10} | {:>9} | {:>9} | {:>11} |"
    print(row.format("sender", "server", "img/s: best (all)", "MB/s", "of storescp", "of Orthanc",
                     "CPU s", "peak RSS MB"))  # fmt: skip
    print("|---|---|---|---:|---:|---:|---:|---:|")
    for associations, nagle in SENDERS:
        for name in names:
            runs = results[name, associations, nagle]
            ratios = [
                f"{best(runs) / best(results[peer, associations, nagle]):.2f}"
                if peer in names
                else "-"
                for peer in (STORESCP, ORTHANC)
            ]
            print(row.format(
                f"{associations}, {'Nagle' if nagle else 'no delay'}",
                name,
                f"{best(runs):.0f} ({all_of(run['rate'] for run in runs)})",
                f"{best(runs) * megabytes_each:.1f}",
                *ratios,
                f"{statistics.median(run['cpu_s'] for run in runs):.2f}",
                f"{max(run['rss'] for run in runs) / MB:.0f}",
            ))  # fmt: skip


def print_bound(shares, disk, sender):
    """The disk's own speed, and the appliance's share of it at one association. A sender prepares
    the next slice only after the answer, so that its own time comes on top of the disk's."""
    file, name, log = min(disk, key=sum)
    print(
        f"\nbound by this disk's fsync: {all_of(1 / sum(steps) for steps in disk)} img/s;"
        f" at best file {file * 1e3:.3f} ms, folder {name * 1e3:.3f} ms, log {log * 1e3:.3f} ms"
    )
    print(f"sender alone: {all_of(run['rate'] for run in sender)} img/s")
    for bound, of in zip(zip(*shares), ("the disk", "disk and sender, one after the other")):
        each = ", ".join(f"{share:.2f}" for share in bound)
        print(f"share of the appliance at 1 association of {of}: {max(bound):.2f} ({each})")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    add = parser.add_argument
    add("--appliance", required=True, help="the program")
    add("--folder", type=Path, required=True, help="for all data; on the disk to be measured")
    add("--count", type=int, default=1000, help="slices")
    add("--repeat", type=int, default=3, help="repetitions")
    add("--without", action="append", default=[], choices=(OURS, STORESCP, ORTHANC))
    args = parser.parse_args()
    args.folder = args.folder.resolve()
    Appliance.program = args.appliance
    kinds = [kind for kind in (Appliance, Storescp, Orthanc) if kind.name not in args.without]

    shutil.rmtree(args.folder, ignore_errors=True)
    folders, total = write_slices(args.folder / "slices", args.count)
    each = total // args.count
    print(f"{args.count} slices of {each} bytes, {args.repeat} repetitions")
    results, disk, sender, shares = {}, [], [], []
    for repetition in range(args.repeat):
        sender.append(run(Discard, args.folder, folders, args.count, 1, False))
        for associations, nagle in SENDERS:
            for kind in kinds:
                # A disk that others write to as well is now fast, now slow: its bound holds for
                # what runs between two looks at it.
                bound = kind is Appliance and (associations, nagle) == (1, False)
                before = disk_seconds(args.folder / "disk", each) if bound else None
                result = run(kind, args.folder, folders, args.count, associations, nagle)
                results.setdefault((kind.name, associations, nagle), []).append(result)
                if bound:
                    after = disk_seconds(args.folder / "disk", each)
                    disk.append([(a + b) / 2 for a, b in zip(before, after)])
                    alone = sum(disk[-1])
                    with_sender = alone + 1 / sender[-1]["rate"]
                    shares.append((result["rate"] * alone, result["rate"] * with_sender))
                print(
                    f"{repetition + 1}/{args.repeat} {kind.name} {associations}"
                    f" {'Nagle' if nagle else 'no delay'}: {result['rate']:.0f} img/s",
                    file=sys.stderr,
                )
    shutil.rmtree(args.folder)
    print()
    print_table(results, each / MB)
    if shares:
        print_bound(shares, disk, sender)


if __name__ == "__main__":
    main()
