"""Processes that stand for an MPS server and its clients, for a machine without a GPU.

    mps_processes.py FD...     a server, with a client on each of these sockets

What is true of MPS and is modelled: each device has one server, each client is a process of its own, and a client that
faults ends the server, which ends all other clients of the device at once, wherever they stand. Nothing here computes
on a device: a step of a job is a hash, so that a job that went on where it should not have is seen by its result.

A client answers each line that it gets: `begin` with `begun`, `step` with the number of steps and the result so far.
`fault` has no answer. Every process ends by itself after `LIFE_S`, whatever else happens.
"""

import ctypes
import hashlib
import os
import signal
import socket
import sys

LIFE_S = 120
PR_SET_PDEATHSIG = 1


def step(result: str) -> str:
    """One step of a job."""
    return hashlib.sha256(result.encode()).hexdigest()


def server(sockets: list[int]) -> None:
    """Runs its clients until nobody holds its standard input any more."""
    own, clients = os.getpid(), []
    for number in sockets:
        child = os.fork()
        if child == 0:
            # What it held of others' sockets would hide their deaths from the host.
            for other in sockets:
                if other != number:
                    os.close(other)
            client(number, own)
            os._exit(0)
        clients.append(child)
    for number in sockets:
        os.close(number)
    sys.stdin.read()
    for child in clients:
        os.kill(child, signal.SIGKILL)


def client(number: int, parent: int) -> None:
    """Does what it is told, until its server or its host is gone."""
    # As the driver does: whoever was a client of a server that died is ended, in the middle of what it does.
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.alarm(LIFE_S)
    if os.getppid() != parent:
        return
    result, steps = "", 0
    with socket.socket(fileno=number) as host, host.makefile("rw") as lines:
        print("ready", os.getpid(), file=lines, flush=True)
        for line in lines:
            word, *job = line.split()
            if word == "fault":
                os.kill(parent, signal.SIGKILL)
                signal.pause()
            elif word == "begin":
                result, steps = job[0], 0
                print("begun", file=lines, flush=True)
            else:
                result, steps = step(result), steps + 1
                print(steps, result, file=lines, flush=True)


if __name__ == "__main__":
    signal.alarm(LIFE_S)
    server([int(number) for number in sys.argv[1:]])
