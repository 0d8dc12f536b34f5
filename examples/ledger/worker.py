import os
import signal
from dataclasses import dataclass

import procpool
from procpool import shared

guard = shared.Mutex("guard")
acknowledged = shared.Counter("acknowledged")
mended = shared.Counter("mended")


@dataclass
class Job:
    file: str
    increments: int
    dies: int  # in which increment, 0 for none


@procpool.task()
def count(job: Job) -> int:
    """Add one to the number in the file, again and again."""
    for i in range(1, job.increments + 1):
        with guard as held:
            if held.abandoned:  # whoever had the lock may have died while it wrote
                write(job.file, acknowledged.value())
                mended.add(1)
            number = read(job.file)
            if i == job.dies:
                write_half(job.file)
                os.kill(os.getpid(), signal.SIGKILL)
            write(job.file, number + 1)
            acknowledged.add(1)
    return job.increments


def read(path: str) -> int:
    with open(path) as file:
        return int(file.read())


def write(path: str, number: int) -> None:
    with open(path, "w") as file:
        file.write(str(number))


def write_half(path: str) -> None:
    os.truncate(path, 0)


procpool.serve()
