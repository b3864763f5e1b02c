"""Which images go to Triton when (the policy, on a clock of the test's own), and who gets which answer (the driver)."""

import asyncio
import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.batch_queue import BatchQueue
from proxy.batcher import Answer, Batcher
from proxy.errors import DeadlinePassedError, QueueFullError, SegmenterSlowError
from proxy.segmentation import Segmentation
from proxy.telemetry import Telemetry

NEVER = 1e9
SMALL, LARGE = (1, 32, 32), (1, 64, 32)


@dataclass(eq=False)
class Image:
    name: str
    shape: tuple = SMALL
    deadline: float = NEVER


def queue_of(
    *images, max_in_flight=1, max_batch_size=8, max_batch_pixels=8192, limit=100, limit_pixels=65_536, in_flight=0
):
    queue = BatchQueue(
        limit=limit,
        limit_pixels=limit_pixels,
        max_in_flight=max_in_flight,
        max_batch_size=max_batch_size,
        max_batch_pixels=max_batch_pixels,
    )
    queue.in_flight = in_flight
    for image in images:
        queue.join(image)
    return queue


def names(batch):
    return "".join(image.name for image in batch)


def test_an_image_goes_at_once_while_another_batch_may_be_in_flight():
    assert "a" == names(queue_of(Image("a")).next_batch(now=0))


def test_images_that_come_one_by_one_go_alone_until_no_more_batches_may_be_in_flight():
    queue = queue_of(max_in_flight=2)
    sent = []
    for name in "abc":
        queue.join(Image(name))
        sent.append(names(queue.next_batch(now=0)))
    assert ["a", "b", ""] == sent
    assert (2, 1) == (queue.in_flight, len(queue))


def test_when_a_batch_ends_the_oldest_goes_with_all_of_its_shape_in_their_order():
    queue = queue_of(Image("a"), Image("B", LARGE), Image("c"), Image("D", LARGE), Image("e"), in_flight=1)
    assert [] == queue.next_batch(now=0)
    queue.batch_done()
    assert "ace" == names(queue.next_batch(now=0))
    queue.batch_done()
    assert "BD" == names(queue.next_batch(now=0))


def test_a_batch_is_never_larger_than_the_model_takes():
    queue = queue_of(*map(Image, "abcde"), max_batch_size=2, max_in_flight=9)
    assert ["ab", "cd", "e", ""] == [names(queue.next_batch(now=0)) for _ in range(4)]


def test_a_batch_never_has_more_pixels_than_it_may_however_few_images_that_are():
    images = [Image("a", LARGE), Image("B"), Image("c", LARGE), Image("d", LARGE), Image("E"), Image("F"), Image("G")]
    queue = queue_of(*images, max_batch_pixels=2 * 64 * 32, max_in_flight=9)
    assert ["ac", "BEFG", "d", ""] == [names(queue.next_batch(now=0)) for _ in range(4)]


def test_an_image_larger_than_a_whole_batch_goes_alone():
    queue = queue_of(Image("a", LARGE), Image("b", LARGE), max_batch_pixels=64 * 32 - 1, max_in_flight=9)
    assert ["a", "b"] == [names(queue.next_batch(now=0)) for _ in range(2)]


def test_images_of_too_many_pixels_in_sum_may_not_wait_and_a_smaller_one_still_may():
    queue = queue_of(*map(Image, "abcdefg"), limit_pixels=8 * 32 * 32, in_flight=1)
    queue.max_batch_pixels = 32 * 32
    with pytest.raises(QueueFullError, match="images of 7168 pixels are waiting already, and this one has 2048"):
        queue.join(Image("H", LARGE))
    queue.join(Image("i"))
    with pytest.raises(QueueFullError, match="8192 pixels are waiting"):
        queue.join(Image("j"))
    queue.batch_done()
    assert "a" == names(queue.next_batch(now=0))
    queue.join(Image("k"))
    assert (8, 8 * 32 * 32) == (len(queue), queue.pixels)


def test_an_empty_queue_takes_any_image():
    queue = queue_of(Image("a", LARGE), limit_pixels=1)
    assert "a" == names(queue.next_batch(now=0))


def test_a_full_queue_refuses_the_next_image_and_takes_one_again_after_one_left():
    first = Image("a")
    queue = queue_of(first, Image("b"), limit=2, in_flight=1)
    with pytest.raises(QueueFullError, match="2 images are waiting"):
        queue.join(Image("c"))
    queue.leave(first)
    queue.join(Image("c"))
    assert 2 == len(queue)


def test_an_image_that_left_is_not_sent():
    gone = Image("b")
    queue = queue_of(Image("a"), gone, Image("c"))
    queue.leave(gone)
    assert "ac" == names(queue.next_batch(now=0))


def test_an_image_whose_deadline_has_passed_is_not_sent_and_takes_no_place():
    queue = queue_of(Image("a", deadline=5), Image("b", deadline=9))
    assert "b" == names(queue.next_batch(now=5))
    queue = queue_of(Image("a", deadline=5))
    assert [] == queue.next_batch(now=6)
    assert (0, 0) == (queue.in_flight, len(queue))


def test_more_places_let_more_batches_go():
    queue = queue_of(Image("a"), in_flight=1)
    assert [] == queue.next_batch(now=0)
    queue.max_in_flight = 2
    assert "a" == names(queue.next_batch(now=0))


SHAPES = [SMALL, LARGE, (1, 96, 64)]  # 1, 2 and 6 times SMALL's pixels
steps = st.lists(st.tuples(st.sampled_from(["join", "leave", "done", "wait"]), st.integers(0, 30)), max_size=80)


@given(
    steps=steps,
    max_in_flight=st.integers(1, 3),
    max_batch_size=st.integers(1, 4),
    max_batch_pixels=st.integers(1, 12).map(lambda images: images * 32 * 32),
    limit=st.integers(1, 20),
    limit_pixels=st.integers(8, 96).map(lambda images: images * 32 * 32),
)
def test_whatever_happens_no_place_is_idle_while_an_image_waits_and_no_image_is_sent_twice(
    steps, max_in_flight, max_batch_size, *, max_batch_pixels, limit, limit_pixels
):
    queue = queue_of(
        max_in_flight=max_in_flight,
        max_batch_size=max_batch_size,
        max_batch_pixels=max_batch_pixels,
        limit=limit,
        limit_pixels=limit_pixels,
    )
    now, waiting, sent = 0, [], []
    for number, (step, value) in enumerate(steps):
        if step == "join":
            image = Image(str(number), SHAPES[value % 3], now + 1 + value)
            try:
                queue.join(image)
                waiting.append(image)
            except QueueFullError:
                assert limit == len(waiting) or pixels([*waiting, image]) > limit_pixels
        elif step == "leave" and waiting:
            queue.leave(waiting.pop(value % len(waiting)))
        elif step == "done" and queue.in_flight:
            queue.batch_done()
        elif step == "wait":
            now += value
        waiting = [image for image in waiting if image.deadline > now]
        while batch := queue.next_batch(now):
            assert [image for image in waiting if image.shape == waiting[0].shape][: len(batch)] == batch
            room = (max_batch_size - len(batch), (max_batch_pixels - pixels(batch)) // pixels(batch[:1]))
            assert min(room) >= 0 or len(batch) == 1
            waiting = [image for image in waiting if image not in batch]
            assert min(room) <= 0 or batch[0].shape not in {image.shape for image in waiting}, (
                "it could have been larger"
            )
            sent += batch
        assert queue.in_flight <= max_in_flight
        assert queue.in_flight == max_in_flight or not waiting
        assert (len(waiting), pixels(waiting)) == (len(queue), queue.pixels)
        assert len(waiting) <= limit
        assert pixels(waiting) <= limit_pixels or len(waiting) == 1
    assert len(sent) == len(set(sent))


def pixels(images):
    return sum(math.prod(image.shape) for image in images)


class HeldSegmenter:
    """Answers a batch when the test says so: probability is the canvas itself, type is 1."""

    def __init__(self):
        self.batches = []

    async def infer(self, canvases):
        end = asyncio.get_running_loop().create_future()
        self.batches.append((canvases, end))
        await end
        return Segmentation(canvases, np.ones_like(canvases), np.zeros((len(canvases), 1), np.float32), None)

    def finish(self, number, error=None):
        end = self.batches[number][1]
        end.set_exception(error) if error else end.set_result(None)


def canvas_of(grey, shape=SMALL):
    return np.full(shape, grey, np.uint8)


class Desk:
    """A batcher on a held segmenter, and the tasks that wait at it."""

    def __init__(self, **settings):
        self.segmenter = HeldSegmenter()
        self.telemetry = Telemetry()
        self.batcher = Batcher(self.segmenter.infer, queue_limit=100, queue_pixels=65_536, telemetry=self.telemetry)
        self.batcher.resize(**{"max_in_flight": 1, "max_batch_size": 8, "max_batch_pixels": 8192} | settings)

    async def submit(self, grey, wait_s=60):
        deadline = asyncio.get_running_loop().time() + wait_s
        task = asyncio.create_task(self.batcher.submit(canvas_of(grey), deadline=deadline))
        await asyncio.sleep(0)  # it reaches the queue in its first step, a batch starts in the next
        await asyncio.sleep(0)
        return task

    def sizes(self):
        return [len(canvases) for canvases, _ in self.segmenter.batches]

    def waiting(self):
        return self.telemetry.registry.get_sample_value("proxy_waiting_images")


async def test_each_member_of_a_batch_gets_its_own_part_of_the_answer():
    desk = Desk()
    tasks = [await desk.submit(grey) for grey in (10, 20, 30)]
    desk.segmenter.finish(0)
    await tasks[0]
    await asyncio.sleep(0)
    desk.segmenter.finish(1)
    answers = await asyncio.gather(*tasks)
    assert [1, 2] == desk.sizes()
    for grey, answer in zip((10, 20, 30), answers, strict=True):
        np.testing.assert_array_equal(canvas_of(grey), answer.segmentation.probability)
        assert answer.queue_s >= 0
        assert answer.infer_s > 0


async def test_a_failed_batch_fails_all_its_members_and_only_them():
    desk = Desk(max_in_flight=2, max_batch_size=2)
    tasks = [await desk.submit(grey) for grey in range(5)]  # batches: 0 | 1 | 2 and 3 | 4
    for number, error in ((0, None), (2, SegmenterSlowError("slow")), (1, None), (3, None)):
        desk.segmenter.finish(number, error)
        for _ in range(5):
            await asyncio.sleep(0)
    ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert [False, False, True, True, False] == [isinstance(end, SegmenterSlowError) for end in ends]


async def test_a_batch_that_cannot_be_put_together_fails_as_any_other_and_frees_its_place(monkeypatch):
    desk = Desk()
    with monkeypatch.context() as patch:
        patch.setattr(np, "stack", raiser(MemoryError()))
        tasks = [
            await desk.submit(grey) for grey in range(3)
        ]  # batches: 0 | 1 and 2, of which only the latter are joined
        desk.segmenter.finish(0)
        ends = await asyncio.gather(*tasks, return_exceptions=True)
    assert [Answer, MemoryError, MemoryError] == list(map(type, ends))
    task = await desk.submit(3)
    desk.segmenter.finish(1)
    assert 3 == int((await task).segmentation.probability[0, 0, 0])


def raiser(error):
    def fail(*_):
        raise error

    return fail


async def test_a_batch_of_the_driver_is_bounded_by_pixels_too():
    desk = Desk(max_batch_size=16)
    tasks = [await desk.submit(grey) for grey in range(10)]  # 8192 pixels are eight images
    for number in range(3):
        desk.segmenter.finish(number)
        for _ in range(5):
            await asyncio.sleep(0)
    await asyncio.gather(*tasks)
    assert [1, 8, 1] == desk.sizes()


async def test_a_cancelled_caller_leaves_the_queue_and_the_others_stay():
    desk = Desk()
    first, gone, other = [await desk.submit(grey) for grey in range(3)]
    assert 2 == desk.waiting()
    gone.cancel()
    await asyncio.wait([gone])
    assert 1 == desk.waiting()
    desk.segmenter.finish(0)
    await first
    await asyncio.sleep(0)
    desk.segmenter.finish(1)
    assert 2 == int((await other).segmentation.probability[0, 0, 0])
    assert [1, 1] == desk.sizes()


async def test_a_caller_that_leaves_a_batch_in_flight_does_not_end_it_for_the_others():
    desk = Desk()
    first, gone, other = [await desk.submit(grey) for grey in range(3)]
    desk.segmenter.finish(0)
    await first
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.wait([gone])
    desk.segmenter.finish(1)
    assert 2 == int((await other).segmentation.probability[0, 0, 0])


async def test_an_image_is_refused_at_its_deadline_and_its_place_in_the_queue_is_free():
    desk = Desk()
    in_flight = await desk.submit(0)
    with pytest.raises(DeadlinePassedError, match="deadline"):
        await (await desk.submit(1, wait_s=0.01))
    assert 0 == desk.waiting()
    desk.segmenter.finish(0)
    await in_flight
    assert [1] == desk.sizes()


async def test_an_image_that_comes_too_late_is_never_sent():
    desk = Desk()
    with pytest.raises(DeadlinePassedError):
        await (await desk.submit(1, wait_s=-1))
    assert [] == desk.sizes()


async def test_closing_ends_what_is_in_flight():
    desk = Desk()
    task = await desk.submit(1)
    await desk.batcher.close()
    await asyncio.wait([task])
    assert task.cancelled()
