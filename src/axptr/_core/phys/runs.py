"""Frames that nobody holds: single ones on stacks, and pieces of the memory that are given away as a whole, to whoever wants
his frames in one row.

Freed frames wait in one of two stacks threaded through `next_free`: *cached* ones still hold host memory and
old bytes, *clean* ones were given back to the host and read as zero. Past `cache_limit` half of the
cache goes back in batches.

From the top downwards the memory is cut into pieces of 512 frames (2 MiB). A piece that somebody has taken is a *run*: its
frame number n is for his page number n, and waits for it while he has it not. So pages that lie side by side have frames
that do, in whatever order they come, and who maps them (`cpu.native`) needs one mapping for many. Memory is used by
frames that somebody holds alone: the file is sparse.

A run is a preference and no promise. Where the place of a page is taken, by what a twin or a snapshot still holds, a new
run begins; where there are no pieces, or single frames have run out and runs are broken up, a frame comes from anywhere.
A run of which nobody holds a frame any more is a free piece.

Not here: who wants a run (`paging.walk` says which table stands for 512 pages, `mm.frames` which store), single frames and
how many there may be (`phys`).

Invariants, checked by `_check_stack` and `_check_runs`: a frame is on at most one stack, and has no reference and no pin
then; what a run says of its frames is so; a free piece has none that is held.

Locking: all under `lock`. Failure: no run; a frame comes from elsewhere then.
"""

import cython
from cython.cimports.axptr._core.phys.coherence import FRAME_OLD, FRAME_TABLE, FRAME_WAITING, Coherence
from cython.cimports.axptr._core.phys.hostmem import lazy
from cython.cimports.axptr._core.phys.runs import (
    PIECE_FREE,
    PIECE_LOOSE,
    PIECE_RUN,
    RUN_FRAMES,
    TRIM_BATCH,
    Piece,
    in_a_run,
)
from cython.cimports.axptr._core.words.codes import PAGE_SHIFT
from cython.cimports.libc.stdint import uint8_t, uint32_t, uint64_t
from cython.cimports.libc.stdlib import qsort
from cython.cimports.posix.mman import munmap


@cython.cfunc
@cython.nogil
@cython.exceptval(check=False)
def _compare(a: cython.pointer(cython.const[cython.void]), b: cython.pointer(cython.const[cython.void])) -> cython.int:
    x: uint32_t = cython.cast(cython.pointer(uint32_t), a)[0]
    y: uint32_t = cython.cast(cython.pointer(uint32_t), b)[0]
    return (x > y) - (x < y)


# As of `PhysMemory`: not for the collector, and no objects here.
@cython.no_gc
@cython.cclass
class FrameRuns(Coherence):
    def __dealloc__(self):
        if self.pieces:
            munmap(self.pieces, (self.nframes // RUN_FRAMES + 1) * cython.sizeof(Piece))

    def make_pieces(self):
        """The books of the pieces. `MemoryError` without room for them."""
        self.floor = self.nframes
        self.pieces = cython.cast(cython.pointer(Piece), lazy((self.nframes // RUN_FRAMES + 1) * cython.sizeof(Piece)))
        if self.pieces == cython.NULL:
            raise MemoryError
        return 0

    def push_free(self, pfn, old):
        """A frame that nobody holds is for anybody from now on. old: it has bytes of its last owner."""
        self.flags[pfn] = 0
        if old:
            self.next_free[pfn] = self.cached_head
            self.cached_head = cython.cast(uint32_t, pfn)
            self.ncached += 1
        else:
            self.next_free[pfn] = self.clean_head
            self.clean_head = cython.cast(uint32_t, pfn)

    def trim(self, keep):
        """Give cached frames back to the host, in runs, until at most `keep` are left."""
        batch: uint32_t[TRIM_BATCH]
        count: cython.int
        i: cython.int
        first: cython.int
        pfn: uint64_t
        while self.ncached > keep:
            count = 0
            while self.ncached > keep and count < TRIM_BATCH:
                batch[count] = self.cached_head
                self.cached_head = self.next_free[self.cached_head]
                self.ncached -= 1
                count += 1
            qsort(batch, count, 4, _compare)
            first = 0
            for i in range(1, count + 1):
                if i < count and batch[i] == batch[i - 1] + 1:
                    continue
                pfn = batch[first]
                self.give_back(pfn << PAGE_SHIFT, cython.cast(uint64_t, i - first) << PAGE_SHIFT)
                first = i
            for i in range(count):
                self.next_free[batch[i]] = self.clean_head
                self.clean_head = batch[i]

    def is_spare(self, pfn):
        """Whether a frame, which is not fresh, is one that anybody may have."""
        if self.refs[pfn] or self.pins[pfn] or self.flags[pfn] & FRAME_WAITING:
            return False
        return pfn < self.next_fresh or (pfn >= self.floor and self.pieces[pfn // RUN_FRAMES].state == PIECE_LOOSE)

    def take_piece(self, owner):
        """A piece of which nobody holds a frame, for `owner`; 0 if there is none: single frames have their part too."""
        pfn: uint64_t
        at: uint64_t
        piece: uint32_t = self.free_pieces
        if piece:
            self.free_pieces = self.pieces[piece].next
        else:
            if self.floor < 2 * RUN_FRAMES:
                return 0
            at = (self.floor // RUN_FRAMES - 1) * RUN_FRAMES
            if at < self.next_fresh + self.nframes // 4:
                return 0
            if self.floor != at + RUN_FRAMES:  # the end of the memory is no whole piece
                self.pieces[self.floor // RUN_FRAMES].state = PIECE_LOOSE
                for pfn in range(at + RUN_FRAMES, self.floor):
                    self.push_free(pfn, False)
            self.floor = at
            piece = cython.cast(uint32_t, at // RUN_FRAMES)
        self.pieces[piece].owner = owner
        self.pieces[piece].state = PIECE_RUN
        return piece

    def place_in_run(self, run, owner, index):
        """The frame of number `index` of an owner's run, which is free; 0 if it cannot be had.

        `*run` is the piece that the owner had last, and has now.
        """
        pfn: uint64_t
        piece: uint32_t = run[0]
        if piece == 0 or self.pieces[piece].owner != owner or self.pieces[piece].state != PIECE_RUN:
            piece = self.take_piece(owner)
            if piece == 0:
                return 0
            run[0] = piece
        pfn = cython.cast(uint64_t, piece) * RUN_FRAMES + index
        if self.flags[pfn] & FRAME_WAITING:
            return 0
        if self.refs[pfn] or self.pins[pfn]:
            # A twin or a snapshot has what was there: one's own pages have a new row from here on.
            piece = self.take_piece(owner)
            if piece == 0:
                return 0
            self.pieces[run[0]].owner = 0
            run[0] = piece
            pfn = cython.cast(uint64_t, piece) * RUN_FRAMES + index
        return pfn

    def take_row(self, run, owner, index, count):
        """`count` frames side by side of an owner's run, from number `index` on, each with one reference and what bytes it had;
        0 where one of them is not free, or they would not all be in it."""
        pfn: uint64_t
        first: uint64_t
        piece: cython.pointer(Piece)
        if index + count > RUN_FRAMES:
            return 0
        if run[0] == 0 or self.pieces[run[0]].owner != owner or self.pieces[run[0]].state != PIECE_RUN:
            run[0] = self.take_piece(owner)
            if run[0] == 0:
                return 0
        piece = self.pieces + run[0]
        first = cython.cast(uint64_t, run[0]) * RUN_FRAMES + index
        for pfn in range(first, first + count):
            if self.refs[pfn] or self.pins[pfn] or self.flags[pfn] & FRAME_WAITING:
                return 0
        for pfn in range(first, first + count):
            if self.flags[pfn] & FRAME_OLD:
                piece.old -= 1
                self.nold -= 1
            self.refs[pfn] = 1
            self.flags[pfn] = 0
        piece.used += count
        return first

    def back_to_run(self, pfn):
        """Nobody holds this frame of a run any more."""
        number: uint32_t = cython.cast(uint32_t, pfn // RUN_FRAMES)
        piece: cython.pointer(Piece) = self.pieces + number
        self.flags[pfn] = FRAME_OLD
        piece.old += 1
        self.nold += 1
        piece.used -= 1
        if piece.used == 0:
            piece.owner = 0
            piece.state = PIECE_FREE
            piece.next = self.free_pieces
            self.free_pieces = number

    def break_a_run(self):
        """Single frames have run out: those of a free piece, or the free ones of a run, are for anybody. False: none is."""
        pfn: uint64_t
        first: uint64_t
        number: uint32_t = self.free_pieces
        piece: cython.pointer(Piece)
        if number:
            self.free_pieces = self.pieces[number].next
        else:
            number = cython.cast(uint32_t, self.floor // RUN_FRAMES)
            while (
                self.pieces[number].state != PIECE_RUN or self.pieces[number].used == RUN_FRAMES
            ) and number < self.nframes // RUN_FRAMES:
                number += 1
            if number >= self.nframes // RUN_FRAMES:
                return False
        piece = self.pieces + number
        piece.state = PIECE_LOOSE
        piece.owner = 0
        self.nold -= piece.old
        piece.old = 0
        first = cython.cast(uint64_t, number) * RUN_FRAMES
        for pfn in range(first, first + RUN_FRAMES):
            if self.refs[pfn] == 0 and self.pins[pfn] == 0 and not self.flags[pfn] & FRAME_WAITING:
                self.push_free(pfn, (self.flags[pfn] & FRAME_OLD) != 0)
        return True

    def find_free_run(self, count, align):
        """A run among the freed frames, taken off the stacks. Only when no fresh frames are left: costs O(frames)."""
        pfn: uint64_t
        first: uint64_t = 0
        run: uint64_t = 0
        pfn = 1
        while pfn < self.nframes and first == 0:
            if pfn == self.next_fresh and pfn < self.floor:
                pfn = self.floor  # what lies between was never made
                run = 0
                continue
            if not self.is_spare(pfn):
                run = 0
            elif run or pfn % align == 0:
                run += 1
                if run == count:
                    first = pfn + 1 - count
            pfn += 1
        if first == 0:
            return 0
        self.cached_head = self.clean_head = 0
        self.ncached = 0
        for pfn in range(1, self.next_fresh):
            if self.is_spare(pfn) and not first <= pfn < first + count:
                self.push_free(pfn, True)
        for pfn in range(self.floor, self.nframes):
            if self.is_spare(pfn) and not first <= pfn < first + count:
                self.push_free(pfn, True)
        return first

    def give_old_back(self, keep):
        """Give the host back what frames of runs hold that nobody holds, until at most `keep` are left."""
        pfn: uint64_t
        first: uint64_t
        end: uint64_t
        number: uint64_t
        piece: cython.pointer(Piece)
        for number in range(self.floor // RUN_FRAMES, self.nframes // RUN_FRAMES):
            if self.nold <= keep:
                return
            piece = self.pieces + number
            if piece.old == 0:
                continue
            self.nold -= piece.old
            piece.old = 0
            pfn = number * RUN_FRAMES
            end = pfn + RUN_FRAMES
            while pfn < end:
                first = pfn
                while pfn < end and self.flags[pfn] & FRAME_OLD:
                    self.flags[pfn] &= ~cython.cast(uint8_t, FRAME_OLD)
                    pfn += 1
                if pfn > first:
                    self.give_back(first << PAGE_SHIFT, (pfn - first) << PAGE_SHIFT)
                else:
                    pfn += 1

    def _check_stack(self, head, seen):
        """How many frames are on a free stack; all of them free, and on no other."""
        pfn: uint64_t = head
        count: uint64_t = 0
        while pfn:
            if self.next_fresh <= pfn < self.floor or in_a_run(self, pfn) or seen[pfn]:
                raise AssertionError(f"frame {pfn:#x} is on a free stack twice, or was never made")
            if self.refs[pfn] or self.pins[pfn] or self.flags[pfn] & (FRAME_TABLE | FRAME_WAITING):
                raise AssertionError(f"free frame {pfn:#x} is held")
            seen[pfn] = 1
            count += 1
            pfn = self.next_free[pfn]
        return count

    def _check_runs(self):
        """How many frames of runs and free pieces nobody holds. Raises `AssertionError` if an invariant does not hold."""
        pfn: uint64_t
        number: uint64_t
        piece: cython.pointer(Piece)
        free_frames: uint64_t = 0
        all_old: uint64_t = 0
        listed = set()
        number = self.free_pieces
        while number:
            if number in listed or self.pieces[number].state != PIECE_FREE:
                raise AssertionError(f"piece {number} is on the list of free ones and is none, or twice")
            listed.add(number)
            number = self.pieces[number].next
        for number in range(self.floor // RUN_FRAMES, self.nframes // RUN_FRAMES):
            piece = self.pieces + number
            if piece.state == PIECE_LOOSE:
                continue
            if (piece.state == PIECE_FREE) != (number in listed):
                raise AssertionError(f"piece {number} is free and on no list")
            used: uint64_t = 0
            old: uint64_t = 0
            for pfn in range(number * RUN_FRAMES, (number + 1) * RUN_FRAMES):
                used += self.refs[pfn] != 0 or self.pins[pfn] != 0 or self.flags[pfn] & FRAME_WAITING != 0
                old += self.flags[pfn] & FRAME_OLD != 0
                if self.flags[pfn] & FRAME_OLD and (self.refs[pfn] or self.pins[pfn]):
                    raise AssertionError(f"frame {pfn:#x} is held and marked as left")
            if (used, old) != (piece.used, piece.old):
                raise AssertionError(f"piece {number} has {used} frames, {old} old; noted {piece.used}, {piece.old}")
            if used and piece.state != PIECE_RUN:
                raise AssertionError(f"piece {number} is nobody's and {used} of its frames are held")
            free_frames += RUN_FRAMES - used
            all_old += old
        if all_old != self.nold:
            raise AssertionError(f"{all_old} frames of runs are old, noted {self.nold}")
        return free_frames
