from __future__ import annotations

import hashlib
from pathlib import Path

from procpool import _gen
from procpool._gen import worker_pb2

PROTO = (
    Path(__file__).resolve().parents[3] / "proto" / "procpool" / "worker" / "v1" / "worker.proto"
)


def test_generated_code_is_of_the_contract_in_this_repository() -> None:
    digest = hashlib.sha256(PROTO.read_bytes()).hexdigest()
    assert digest == _gen.SOURCE_SHA256, "worker.proto has changed: run python generate.py"


def test_generated_code_encodes_the_documents_example() -> None:
    request = worker_pb2.WorkRequest(tasks=[worker_pb2.Task(seq=1, inline=b"\x07")])
    assert request.SerializeToString() == bytes.fromhex("0a 05 08 01 2a 01 07")
