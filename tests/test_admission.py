"""Which images are taken on: the policy alone, with a clock that the test sets."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.admission import LEARNING_IMAGES, Admission
from proxy.errors import QueueFullError, UploadTooLargeError
from proxy.upload_memory import ADDRESS_SHARE, LARGE_SHARE, SMALL_BYTES, UploadMemory

PIXELS = 1000


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def learnt(clock, *, image_s, max_wait_s=1.0):
    """An admission that has seen images answered, one every image_s."""
    admission = Admission(max_wait_s=max_wait_s, clock=clock)
    for _ in range(LEARNING_IMAGES):
        with admission.admit(PIXELS):
            clock.now += image_s
    return admission


def test_as_many_images_are_admitted_as_are_answered_within_the_wait():
    clock = Clock()
    admission = learnt(clock, image_s=0.1)
    with contextlib.ExitStack() as held:
        for _ in range(11):
            held.enter_context(admission.admit(PIXELS))
        with pytest.raises(QueueFullError, match="try again"):
            admission.refuse_if_busy()
    admission.refuse_if_busy()


def test_large_images_count_by_their_pixels():
    admission = learnt(Clock(), image_s=0.1)
    with admission.admit(10 * PIXELS), admission.admit(PIXELS), pytest.raises(QueueFullError):
        admission.refuse_if_busy()


def test_as_many_images_as_keep_triton_busy_are_admitted_however_slow_they_are():
    admission = learnt(Clock(), image_s=5.0)
    admission.always = 3
    with admission.admit(PIXELS), admission.admit(PIXELS):
        admission.refuse_if_busy()
        with admission.admit(PIXELS), pytest.raises(QueueFullError):
            admission.refuse_if_busy()


def test_before_anything_was_answered_nothing_is_refused():
    admission = Admission(max_wait_s=0.1, clock=Clock())
    with contextlib.ExitStack() as held:
        for _ in range(1000):
            held.enter_context(admission.admit(PIXELS))


def test_idle_time_does_not_make_the_service_look_slow():
    clock = Clock()
    admission = learnt(clock, image_s=0.1)
    for _ in range(20):
        clock.now += 60
        with admission.admit(PIXELS):
            clock.now += 0.1
    with contextlib.ExitStack() as held:
        for _ in range(10):
            held.enter_context(admission.admit(PIXELS))


def test_images_that_fail_are_no_measure_of_speed():
    clock = Clock()
    admission = learnt(clock, image_s=0.1)
    for _ in range(100):
        with pytest.raises(ValueError, match="bad"), admission.admit(PIXELS):
            raise ValueError("bad")
    with contextlib.ExitStack() as held:
        for _ in range(11):
            held.enter_context(admission.admit(PIXELS))
        with pytest.raises(QueueFullError):
            admission.refuse_if_busy()


LIMIT = 8 * SMALL_BYTES


def test_an_upload_that_sends_next_to_nothing_takes_next_to_nothing():
    memory = UploadMemory(LIMIT)
    with contextlib.ExitStack() as stack:
        for _ in range(500):
            stack.enter_context(memory.hold("slow")).grow(1)
        stack.enter_context(memory.hold("good")).grow(SMALL_BYTES)


def test_large_uploads_leave_room_for_small_ones_and_one_address_for_the_others():
    memory = UploadMemory(LIMIT)
    with memory.hold("a") as first, memory.hold("a") as second, memory.hold("b") as third, memory.hold("a") as small:
        first.grow(int(ADDRESS_SHARE * LIMIT))
        with pytest.raises(QueueFullError, match="try again"):
            second.grow(SMALL_BYTES + 1)
        third.grow(int((LARGE_SHARE - ADDRESS_SHARE) * LIMIT))
        with pytest.raises(QueueFullError):
            third.grow(1)
        small.grow(SMALL_BYTES)


def test_what_could_never_be_held_is_refused_for_good_and_not_for_now():
    memory = UploadMemory(LIMIT)
    most = int(ADDRESS_SHARE * LIMIT)
    with memory.hold("a") as alone, pytest.raises(UploadTooLargeError, match=rf"have {most} together.*UPLOAD_MEMORY"):
        alone.grow(most + 1)
    with contextlib.ExitStack() as stack:
        of_one_request = []
        for size in (SMALL_BYTES, most - SMALL_BYTES):
            of_one_request.append(stack.enter_context(memory.hold("a", of_one_request)))
            of_one_request[-1].grow(size)
        last = stack.enter_context(memory.hold("a", of_one_request))
        last.grow(SMALL_BYTES)
        with pytest.raises(UploadTooLargeError, match="fewer or smaller"):
            last.grow(1)
    with contextlib.ExitStack() as stack:
        small = []
        for _ in range(LIMIT // SMALL_BYTES):
            small.append(stack.enter_context(memory.hold("a", small)))
            small[-1].grow(SMALL_BYTES)
        with pytest.raises(UploadTooLargeError, match=rf"answers to them {LIMIT} "):
            stack.enter_context(memory.hold("a", small)).grow(1)
    with memory.hold("a") as all_of_it:
        all_of_it.grow(most)


@given(steps=st.lists(st.tuples(st.sampled_from("abc"), st.lists(st.integers(1, SMALL_BYTES), max_size=9)), max_size=9))
def test_all_bytes_are_given_back(steps):
    memory = UploadMemory(LIMIT)
    with contextlib.ExitStack() as stack:
        for address, chunks in steps:
            held = stack.enter_context(memory.hold(address))
            with contextlib.suppress(QueueFullError, UploadTooLargeError):
                for chunk in chunks:
                    held.grow(chunk)
    with memory.hold("a") as all_of_it:
        all_of_it.grow(int(ADDRESS_SHARE * LIMIT))
