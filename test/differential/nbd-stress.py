"""Writes data that occurs nowhere else over four connections at once, and reads it over any: URI SEED ROUNDS.

In a round every byte of the export is written, zeroed or read by one request; requests of one range never overlap in
time. What a request has written is read as soon as it is answered, and everything again at the end of the round.
"""
import random
import sys

import nbd

uri, seed, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
DEPTH = 24
chance = random.Random(seed)
connections = []
for _ in range(4):
    connections.append(nbd.NBD())
    connections[-1].connect_uri(uri)
size = connections[0].get_size()
content = bytearray(connections[0].pread(size, 0))
in_flight = []


def pump(limit):
    """Waits until at most `limit` requests are under way."""
    while len(in_flight) > limit:
        for connection in connections:
            if connection.aio_in_flight() > 0:
                connection.poll(1)
        rest, answered = [], []
        for request in in_flight:
            connection, cookie, _ = request
            (answered if connection.aio_command_completed(cookie) else rest).append(request)
        in_flight[:] = rest
        for _, _, then in answered:
            then()


def read(start, end):
    connection = chance.choice(connections)
    buffer = nbd.Buffer(end - start)

    def check():
        got, expected = buffer.to_bytearray(), content[start:end]
        if got != expected:
            wrong = next(at for at in range(end - start) if got[at] != expected[at])
            sys.exit(f"{end - start} bytes at {start} are wrong from {start + wrong} on (seed {seed})")

    in_flight.append((connection, connection.aio_pread(buffer, start), check))


def change(start, end):
    connection = chance.choice(connections)
    length = end - start
    if chance.random() < 0.9:
        data = bytearray(chance.randbytes(length))
        flags = nbd.CMD_FLAG_FUA if chance.random() < 0.05 else 0
        cookie = connection.aio_pwrite(nbd.Buffer.from_bytearray(data), start, flags=flags)
    else:
        data = bytes(length)
        flags = nbd.CMD_FLAG_NO_HOLE if chance.random() < 0.5 else 0
        cookie = connection.aio_zero(length, start, flags=flags)
    content[start:end] = data
    in_flight.append((connection, cookie, lambda: read(start, end)))


for _ in range(rounds):
    sectors = [512 * chance.randrange(size // 512) for _ in range(200)]
    cuts = sorted({0, size, *sectors, *(chance.randrange(size) for _ in range(20))})
    ranges = list(zip(cuts, cuts[1:]))
    chance.shuffle(ranges)
    for start, end in ranges:
        (read if chance.random() < 0.1 else change)(start, end)
        pump(DEPTH)
    pump(0)
    for start, end in ranges:
        read(start, end)
        pump(DEPTH)
    pump(0)
print("all as written")
