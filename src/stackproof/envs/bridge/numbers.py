"""The fixed parts of messages: numbers, and the head of a call."""

import struct

NUMBER = struct.Struct("<Q")
CALL = struct.Struct("<QHI")
"""The number of the object called, how deep in calls it is made, and how many numbers follow."""


def packed(target: int, depth: int, returned: list[int]) -> bytes:
    """The head of a call or an answer; `returned` are the receiver's own objects that it names."""
    return CALL.pack(target, depth, len(returned)) + b"".join(NUMBER.pack(number) for number in returned)


def unpacked(content: bytearray) -> tuple[int, int, list[int], memoryview]:
    """Target, depth, the receiver's own objects that are named, and the rest."""
    target, depth, named = CALL.unpack_from(content)
    start = CALL.size + named * NUMBER.size
    numbers = [number for (number,) in NUMBER.iter_unpack(memoryview(content)[CALL.size : start])]
    return target, depth, numbers, memoryview(content)[start:]
