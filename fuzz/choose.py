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
    with open(control) as file:
        lines = file.read().splitlines()
    paths = lines[2 : 2 + int(lines[0])]
    edges = {}
    for line in lines[2 + len(paths) :]:
        kind, number, *rest = line.split()
        if kind == "FT":
            edges[int(number)] = set(map(int, rest))
    total = len(set().union(*edges.values()))
    contents = {n: open(paths[n], "rb").read() for n in edges}
    chosen, seen = [], set()
    # What an input adds only falls as others are chosen, so most are never counted again: the next
    # is counted anew, and is the best if it still leads. The smaller of two that add as much.
    queue = [(-len(edges[n]), len(contents[n]), paths[n], n) for n in edges]
    heapq.heapify(queue)
    while queue and len(chosen) < count:
        n = heapq.heappop(queue)[3]
        entry = (-len(edges[n] - seen), len(contents[n]), paths[n], n)
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
    print(f"{len(chosen)} of {len(paths)} inputs, {size} bytes, {len(seen)} of {total} edges")


main()
