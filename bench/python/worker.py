"""The tasks of the Python workers that `make bench` measures, see ../pythonpool.go."""

import procpool


@procpool.task("same")
def same(value: int) -> int:
    return value


@procpool.task("echo", codecs=("raw", "cbor"))
def echo(payload: bytes) -> bytes:
    return payload


procpool.serve()
