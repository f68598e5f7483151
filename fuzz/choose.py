"""Chooses the inputs that a target commits: greedily, whichever adds most edges, up to a number and
a size in all. Reads the control file of a libFuzzer set cover merge, where every input has its edges.

usage: choose.py CONTROL_FILE FOLDER COUNT BYTES
"""

import hashlib
import heapq
import os
import sys


def main():
    control, folder, count, room = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    # A bit for every edge: the file has millions of numbers, and sets of them fill the memory.
    edges, places = {}, {}
    with open(control) as file:
        count_of_paths = int(next(file))
        next(file)
        paths = [next(file).rstrip("\n") for _ in range(count_of_paths)]
        for line in file:
            if line.startswith("FT "):
                _, number, *rest = line.split()
                bits = bytearray(len(places) // 8 + len(rest) // 8 + 2)
                for edge in rest:
                    place = places.setdefault(edge, len(places))
                    bits[place >> 3] |= 1 << (place & 7)
                edges[int(number)] = int.from_bytes(bits, "little")
    total = len(places)
    contents = {n: open(paths[n], "rb").read() for n in edges}
    chosen, seen = [], 0
    # What an input adds only falls as others are chosen, so most are never counted again: the next
    # is counted anew, and is the best if it still leads. The smaller of two that add as much.
    queue = [(-edges[n].bit_count(), len(contents[n]), paths[n], n) for n in edges]
    heapq.heapify(queue)
    while queue and len(chosen) < count:
        n = heapq.heappop(queue)[3]
        entry = (-(edges[n] & ~seen).bit_count(), len(contents[n]), paths[n], n)
        if entry[0] == 0 or len(contents[n]) > room:
            continue
        if queue and queue[0] < entry:
            heapq.heappush(queue, entry)
            continue
        room -= len(contents[n])
        seen |= edges[n]
        chosen.append(n)
    os.makedirs(folder, exist_ok=True)
    for name in os.listdir(folder):
        # What somebody named is there for a reason.
        if len(name) == 40:
            os.remove(os.path.join(folder, name))
    for n in chosen:
        with open(os.path.join(folder, hashlib.sha1(contents[n]).hexdigest()), "wb") as file:
            file.write(contents[n])
    size = sum(len(contents[n]) for n in chosen)
    print(f"{len(chosen)} of {len(paths)} inputs, {size} bytes, {seen.bit_count()} of {total} edges")


main()
