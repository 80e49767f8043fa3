"""Loops over single spikes on a CPU, compiled by Numba; `events.py` calls them. The only file that imports Numba.

Arrays are sample-major and channels-last: spikes [B, T, H, W, C] as bytes, currents [B, T, H, W, C]. A spike is an *event*,
and convolving it means adding the kernel's rows of its channel to the outputs around it, so the work follows the spikes. A
sample's layer is made in bands of rows, whose currents stay in the cache until its neurons have taken them.
"""

from typing import Any

import numpy as np
from llvmlite import ir
from numba import get_num_threads, njit, prange, set_num_threads, types
from numba.extending import intrinsic

MOST_THREADS = get_num_threads()
LANES = 8
# Output positions whose events are listed together: enough to use a block of weights while it is in the cache.
BAND = 256


def _row_sum(width: int) -> Any:
    """Make `sum_rows(table, rows, count, out)`: out += the sum of `count` rows of `width` floats, at these addresses.

    Written in LLVM's own language, since Numba keeps a local array in memory where this loop needs it in registers.
    """

    @intrinsic
    def sum_rows(context: Any, table: Any, rows: Any, count: Any, out: Any) -> Any:
        def generate(target: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            table, rows, count, out = arguments
            integer, vector = ir.IntType(64), ir.VectorType(ir.FloatType(), LANES)

            def constant(value: int) -> Any:
                return ir.Constant(integer, value)

            def vectors(address: Any) -> list[Any]:
                offsets = range(0, 4 * width, 4 * LANES)
                return [builder.inttoptr(builder.add(address, constant(at)), vector.as_pointer()) for at in offsets]

            before, started = builder.block, [builder.load(place, align=4) for place in vectors(out)]
            head, body, done = (builder.append_basic_block(name) for name in ("head", "body", "done"))
            builder.branch(head)
            builder.position_at_end(head)
            position = builder.phi(integer)
            sums = [builder.phi(vector) for _ in range(width // LANES)]
            builder.cbranch(builder.icmp_signed("<", position, count), body, done)

            builder.position_at_end(body)
            at = builder.add(rows, builder.mul(position, constant(4)))
            row = builder.zext(builder.load(builder.inttoptr(at, ir.IntType(32).as_pointer())), integer)
            entries = vectors(builder.add(table, builder.mul(row, constant(4 * width))))
            for total, start, entry in zip(sums, started, entries, strict=True):
                total.add_incoming(start, before)
                total.add_incoming(builder.fadd(total, builder.load(entry, align=4)), body)
            position.add_incoming(constant(0), before)
            position.add_incoming(builder.add(position, constant(1)), body)
            builder.branch(head)

            builder.position_at_end(done)
            for total, place in zip(sums, vectors(out), strict=True):
                builder.store(total, place, align=4)
            return target.get_dummy_value()

        return types.void(types.uintp, types.uintp, types.intp, types.uintp), generate

    return sum_rows


_sum_64, _sum_32, _sum_16 = _row_sum(64), _row_sum(32), _row_sum(16)
# Widths of a table's blocks, the best first.
BLOCKS = (64, 32, 16)
compiled = njit(cache=True, nogil=True)
parallel = njit(cache=True, nogil=True, parallel=True)


def use_threads(count: int) -> None:
    """Let the loops use so many threads, or as many as Numba has."""
    set_num_threads(min(count, MOST_THREADS))


@compiled
def _find(spikes, repeat):  # type: ignore[no-untyped-def]
    """List a sample's events, pixel by pixel: column · C + channel of each, and where each pixel's begin [T·H·W + 1]."""
    steps, rows, columns, channels = spikes.shape
    begins = np.zeros(steps * rows * columns + 1, np.int64)
    pixels = spikes.reshape(-1, channels)
    for pixel in range(len(pixels)):
        total = np.int64(0)
        for channel in range(channels):
            total += pixels[pixel, channel]
        begins[pixel + 1] = begins[pixel] + total
    found = np.empty(begins[-1] + 1, np.uint32)
    at = np.uint64(0)
    for pixel in range(len(pixels)):
        first = np.uint32(pixel % columns * channels)
        for channel in range(channels):
            if repeat:
                for _ in range(pixels[pixel, channel]):
                    found[at] = first + channel
                    at += np.uint64(1)
            else:
                # No branch: the place is taken again unless there was a spike.
                found[at] = first + channel
                at += np.uint64(pixels[pixel, channel])
    return found, begins


@compiled
def _gather(found, begins, shape, geometry, table, top, sums):  # type: ignore[no-untyped-def]
    """Sum the rows of a block of the table that the events around each output of a band name: sums [T, rows, W', block].

    The events of a kernel's row lie side by side in `found`. Each names the table's row for a kernel at column 0; one at
    column x starts x · C rows earlier.
    """
    _, rows, columns, channels = shape
    kernel, stride, padding = geometry
    bytes_a_row = 4 * table.shape[1]
    weights, events, out = np.int64(table.ctypes.data), np.int64(found.ctypes.data), np.int64(sums.ctypes.data)
    sums[:] = 0
    for step in range(sums.shape[0]):
        for y in range(sums.shape[1]):
            for x in range(sums.shape[2]):
                left = x * stride - padding
                first, last = max(0, left), min(columns, left + kernel)
                for j in range(kernel):
                    row = (top + y) * stride + j - padding
                    if 0 <= row < rows and first < last:
                        pixel = (step * rows + row) * columns
                        begin, end = begins[pixel + first], begins[pixel + last]
                        base = weights + (j * kernel - left) * channels * bytes_a_row
                        _sum(table.shape[1], base, events + 4 * begin, end - begin, out)
                out += bytes_a_row


@compiled
def _sum(width, table, rows, count, out):  # type: ignore[no-untyped-def]
    table, rows, out = np.uint64(table), np.uint64(rows), np.uint64(out)
    if width == 64:
        _sum_64(table, rows, count, out)
    elif width == 32:
        _sum_32(table, rows, count, out)
    else:
        _sum_16(table, rows, count, out)


@compiled
def _drive(currents, scale, bias, addend, top):  # type: ignore[no-untyped-def]
    """Make sums into currents, in place: scale · sum + bias, plus `addend`, of T steps or one, if it is not empty."""
    steps, rows, columns, _ = currents.shape
    channels = len(scale)
    for step in range(steps):
        for y in range(rows):
            for x in range(columns):
                current = currents[step, y, x]
                for c in range(channels):
                    current[c] = current[c] * scale[c] + bias[c]
                if len(addend):
                    extra = addend[0, min(step, addend.shape[1] - 1), top + y, x]
                    for c in range(channels):
                        current[c] += extra[c]


@compiled
def _integrate(currents, threshold, neurons, dropout, fired, count, first, top):  # type: ignore[no-untyped-def]
    """Run a band's neurons: the loop of `neuron.integrate_and_fire`, one neuron's steps after another.

    `currents` may have one step only, which is then every step's, and twice the size of `fired`: a 2×2 max pooling.
    dropout: (random bits [T - 1, C, H, W] or none, limit below which they drop a membrane, gain of the others); `first` is
    the block's first channel in them.
    """
    start, subtract = neurons
    bits, limit, gain = dropout
    steps = len(fired)
    channels = threshold.shape[2]
    size = 2 if currents.shape[2] >= 2 * fired.shape[2] else 1
    membrane, current = np.empty(channels, np.float32), np.empty(channels, np.float32)
    factors = np.empty((len(bits), fired.shape[2], channels), np.float32)
    for y in range(currents.shape[1] // size):
        # Turned here, a row at a time, for bits lie channels-first.
        for step in range(len(bits)):
            for c in range(channels):
                drawn = bits[step, first + c, top + y]
                for x in range(len(drawn)):
                    factors[step, x, c] = gain if drawn[x] >= limit else np.float32(0)
        for x in range(fired.shape[2]):
            v = threshold[top + y, x]
            total = count[top + y, x]
            for c in range(channels):
                membrane[c] = start * v[c]
                total[c] = 0
            for step in range(steps):
                source = currents[min(step, len(currents) - 1)]
                corner = source[size * y, size * x]
                for c in range(channels):
                    current[c] = corner[c]
                for part in range(1, size * size):
                    other = source[size * y + part // 2, size * x + part % 2]
                    for c in range(channels):
                        current[c] = max(current[c], other[c])
                spikes = fired[step, top + y, x]
                for c in range(channels):
                    charged = membrane[c] + current[c]
                    spike = charged > v[c]
                    spikes[c] = spike
                    total[c] += spike
                    after = charged - v[c] if subtract else np.float32(0)
                    membrane[c] = after if spike else charged
                if step < len(bits):
                    factor = factors[step, x]
                    for c in range(channels):
                        membrane[c] *= factor[c]


@parallel
def convolve(spikes, table, geometry, repeat, sums):  # type: ignore[no-untyped-def]
    """Convolve events: sums [B, T, H', W', C'] of spikes [B, T, H, W, C]; `repeat` where values above 1 occur.

    table: [blocks, kernel² · C, block]; geometry: (kernel, stride, padding).
    """
    samples, steps, height, width, channels = sums.shape
    block = table.shape[2]
    band = max(1, BAND // (steps * width))
    for sample in prange(samples):
        found, begins = _find(spikes[sample], repeat)
        for top in range(0, height, band):
            bottom = min(height, top + band)
            part = np.empty((steps, bottom - top, width, block), np.float32)
            for number in range(len(table)):
                first, last = number * block, min(channels, (number + 1) * block)
                _gather(found, begins, spikes.shape[1:], geometry, table[number], top, part)
                sums[sample, :, top:bottom, :, first:last] = part[..., : last - first]


@parallel
def fire(  # type: ignore[no-untyped-def]
    spikes,
    table,
    geometry,
    size,
    scale,
    bias,
    addend,
    neurons,
    threshold,
    bits,
    limit,
    gain,
    fired,
    count,
    total,
    currents,
):
    """Convolve events and run the neurons that they feed, band by band.

    size: (height, width) before pooling; neurons: (start, subtract); bits, limit, gain: membrane dropout, see `_integrate`.
    addend, bits [T - 1, B, C', H'', W''], total and currents may be empty; the last two are written: sums over time
    [B, H', W', C'] and currents [B, T, H', W', C'].
    """
    samples, steps, channels = len(spikes), spikes.shape[1], len(scale)
    height, width = size
    block = table.shape[2]
    pooling = 2 if fired.shape[3] < width else 1
    band = max(1, BAND // (steps * width * pooling)) * pooling
    for sample in prange(samples):
        found, begins = _find(spikes[sample], False)
        for top in range(0, height, band):
            bottom = min(height, top + band)
            part = np.empty((steps, bottom - top, width, block), np.float32)
            for number in range(len(table)):
                first, last = number * block, min(channels, (number + 1) * block)
                _gather(found, begins, spikes.shape[1:], geometry, table[number], top, part)
                if len(total):
                    _add_over_time(part, total[sample, top:bottom, :, first:last])
                _drive(part, scale[first:last], bias[first:last], addend[sample : sample + 1, :, :, :, first:last], top)
                if len(currents):
                    currents[sample, :, top:bottom, :, first:last] = part[..., : last - first]
                _integrate(
                    part,
                    threshold[:, :, first:last],
                    neurons,
                    (bits[:, sample], limit, gain),
                    fired[sample, :, :, :, first:last],
                    count[sample, :, :, first:last],
                    first,
                    top // pooling,
                )


@compiled
def _add_over_time(sums, total):  # type: ignore[no-untyped-def]
    steps, rows, columns, _ = sums.shape
    for y in range(rows):
        for x in range(columns):
            out = total[y, x]
            for c in range(len(out)):
                out[c] = sums[0, y, x, c]
            for step in range(1, steps):
                for c in range(len(out)):
                    out[c] += sums[step, y, x, c]


@parallel
def integrate(  # type: ignore[no-untyped-def]
    currents, scale, bias, addend, neurons, threshold, bits, limit, gain, fired, count
):
    """Run neurons on sums that are there already: [B, T or 1, H', W', C'], made into currents in place."""
    for sample in prange(len(currents)):
        _drive(currents[sample], scale, bias, addend[sample : sample + 1], 0)
        dropout = (bits[:, sample], limit, gain)
        _integrate(currents[sample], threshold, neurons, dropout, fired[sample], count[sample], 0, 0)
