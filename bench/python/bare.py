"""A bare grpcio server, for the table of `make bench`: what grpcio costs without us.

Usage: bare.py SOCKET

It answers each message of a stream with itself, says so in a line when it listens,
and ends with its standard input.
"""

import concurrent.futures
import sys

import grpc


def pong(messages, _):
    yield from messages


def main(socket):
    # The size limits and windows are lifted as far as procpool lifts them.
    server = grpc.server(
        concurrent.futures.ThreadPoolExecutor(max_workers=2),
        options=[("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)],
    )
    handler = grpc.stream_stream_rpc_method_handler(pong)
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler("procpool.bench.StreamService", {"Pong": handler})]
    )
    server.add_insecure_port("unix:" + socket)
    server.start()
    print("listening", flush=True)
    sys.stdin.read()
    server.stop(0).wait()


main(sys.argv[1])
