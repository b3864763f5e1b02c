"""Which connections may stay: the policy alone, at times that the test chooses."""

from dataclasses import dataclass

from proxy.connection_limits import Connections, Limits


@dataclass(eq=False)
class Connection:
    address: str = "a"
    waiting_since: float | None = None
    head_since: float | None = None
    unread: int = 0


def opened(*connections, **changes):
    limits = {"connections": 3, "address_connections": 0, "head_s": 10, "unread_s": 5, "byte_rate": 100}
    policy = Connections(Limits(**(limits | {"unread_bytes": 10_000} | changes)))
    for each in connections:
        policy.add(each)
    return policy


def test_the_one_that_has_waited_longest_for_its_client_makes_room():
    slowest = Connection(waiting_since=1)
    policy = opened(Connection(waiting_since=5), slowest, Connection(waiting_since=None))
    assert policy.is_full()
    assert slowest is policy.longest_waiting(now=9)
    policy.remove(slowest)
    assert not policy.is_full()


def test_nobody_makes_room_while_it_is_worked_on_or_has_just_come():
    assert opened(Connection(), Connection(waiting_since=8.9)).longest_waiting(now=9) is None


def test_an_address_has_a_limit_of_its_own_if_one_is_set():
    first = Connection(address="a")
    policy = opened(first, Connection(address="b"), address_connections=1)
    assert "1 connections" in policy.refusal("a")
    assert policy.refusal("c") is None
    policy.remove(first)
    policy.remove(first)
    assert policy.refusal("a") is None


def test_a_head_may_take_so_long_and_no_longer():
    slow, quick = Connection(head_since=1, waiting_since=1), Connection(head_since=2, waiting_since=2)
    behind_one_that_is_worked_on = Connection(head_since=1)
    assert [slow] == opened(slow, quick, behind_one_that_is_worked_on, Connection()).slow_heads(now=11.5)


def test_a_reader_that_takes_less_than_the_rate_is_slow_and_one_that_takes_more_is_not():
    slow, quick = Connection(unread=2000), Connection(unread=2000)
    policy = opened(slow, quick)
    assert [] == policy.slow_readers(now=0)
    slow.unread, quick.unread = 1999, 1400
    assert [slow] == policy.slow_readers(now=5)
    policy.remove(slow)
    assert [] == policy.slow_readers(now=9.9)
    assert [quick] == policy.slow_readers(now=10)


def test_a_new_answer_gives_new_time():
    reader = Connection(unread=100)
    policy = opened(reader)
    policy.slow_readers(now=0)
    reader.unread = 300
    assert [] == policy.slow_readers(now=5)
    assert [reader] == policy.slow_readers(now=10)


def test_answers_that_take_too_much_memory_together_are_given_up_from_the_largest_on():
    large, small = Connection(unread=9000), Connection(unread=2000)
    policy = opened(small, large)
    assert [] == policy.slow_readers(now=0), "they have just been written"
    assert [large] == policy.slow_readers(now=1)
