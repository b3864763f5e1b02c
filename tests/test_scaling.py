"""docs/scaling.md is made of the records, and its simulations obey the laws that queues have."""

import math

import pytest
from conftest import ROOT

from benchmarks import report_scaling
from benchmarks.record import read_record
from benchmarks.scaling import DAY_S, FEWEST, TARGET, Costs, costs, latencies_s, reached, size, surge

EQUAL = Costs(tile_s=0.05, proxy_s=0.01, canvas_pixels=[100])  # each takes Triton 40 ms: 25 tiles/s an instance
MIXED = Costs(tile_s=0.05, proxy_s=0.01, canvas_pixels=[50, 100, 150])


def mean(values):
    return sum(values) / len(values)


def test_the_page_in_the_repository_is_made_of_its_records():
    records = {name: read_record(name) for name in report_scaling.RECORDS}
    assert report_scaling.render(records) == (ROOT / "docs/scaling.md").read_text()


def test_a_page_without_a_record_says_what_to_run():
    assert "*Not measured yet: `make bench-proxy`.*" in report_scaling.render({"peers": {}})


def test_the_costs_are_the_records():
    peers = {"machine": {"usable_cores": 2}, "figures": {"contenders": {"ours_json": {"images_s": 50.0}}}}
    found = costs(peers, {"figures": {"json": {"cpu_us": 2000.0}}}, [100, 300])
    assert (0.04, 0.002, 0.038, 600.0) == (found.tile_s, found.proxy_s, round(found.triton_s, 9), found.wire_bytes)


def test_few_tiles_want_the_fewest_replicas_and_ten_times_as_many_tiles_ten_times_as_many():
    assert (FEWEST, FEWEST) == size(EQUAL, 1000, 2)[1:3]
    small, large = size(EQUAL, 1e9, 2), size(EQUAL, 1e10, 2)
    assert math.isclose(2e9 / DAY_S, small.peak_s)
    assert math.ceil(small.peak_s / (TARGET * 50)) == small.tritons
    assert 10 * small.tritons - 10 < large.tritons <= 10 * small.tritons


@pytest.mark.parametrize("load", [0.3, 0.6, 0.8])
@pytest.mark.parametrize("cost", [EQUAL, MIXED])
def test_a_single_instances_mean_wait_is_pollaczeks_and_khinchines(cost, load):
    times_s = [cost.triton_s * pixels / 100 for pixels in cost.canvas_pixels]
    rate = load / mean(times_s)
    expected_s = rate * mean([time_s**2 for time_s in times_s]) / (2 * (1 - load))
    found_s = mean(latencies_s(cost, instances=1, load=load)) - mean(times_s)
    assert math.isclose(expected_s, found_s, rel_tol=0.05)


def test_many_instances_with_one_queue_hardly_wait():
    one, many = (latencies_s(EQUAL, instances=number, load=0.9) for number in (1, 1000))
    assert 2 * mean(many) < mean(one)
    assert math.isclose(EQUAL.triton_s, mean(many), rel_tol=0.01)


def test_one_triton_that_always_has_a_batch_for_each_instance_is_full():
    assert math.isclose(1, reached(EQUAL, tritons=1, in_flight=2), rel_tol=0.001)
    assert math.isclose(0.5, reached(EQUAL, tritons=1, in_flight=1), rel_tol=0.001)


def test_more_in_flight_reach_more_and_never_more_than_all():
    shares = [reached(MIXED, tritons=20, in_flight=20 * each) for each in (1, 2, 4, 8, 16, 64)]
    assert sorted(shares) == shares
    assert shares[-1] <= 1


def test_within_the_headroom_nothing_is_refused():
    run = surge(EQUAL, tritons=10, jump=0.99 / TARGET, waiting_each=None)
    assert (0, 0) == (run.refused, run.caught_up_s)


def test_what_is_refused_is_what_neither_replicas_nor_queues_took():
    run = surge(EQUAL, tritons=10, jump=4, waiting_each=4)
    arrived = run.load_s * len(run.waiting)
    answered = arrived - sum(run.refused_s) - run.waiting[-1]
    assert 0 < answered <= sum(run.capacity_s)
    assert max(run.waiting) == 64 * max(FEWEST, math.ceil(TARGET * 10 * 50 * EQUAL.proxy_s / TARGET))


@pytest.mark.parametrize("tritons", [2, 10, 100, 1000])
def test_waiting_tiles_are_never_a_reason_to_be_slower(tritons):
    by_time, by_both = (surge(EQUAL, tritons=tritons, jump=4, waiting_each=each) for each in (None, 4))
    assert by_both.caught_up_s <= by_time.caught_up_s
    assert by_both.refused <= by_time.refused


def test_replicas_are_no_more_than_may_be():
    assert 12 == max(surge(EQUAL, tritons=10, jump=8, waiting_each=1, most=12).tritons)
