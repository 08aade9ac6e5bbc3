"""What is kept of corrections, in SQLite and in a real PostgreSQL server."""

import datetime
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.corrections import SEVEN, WHOLE
from training.corrections import (
    Added,
    KeyReused,
)
from training.errors import DigitsError

NOW = datetime.datetime.now


def test_a_correction_comes_back_as_it_was_given_with_the_time_in_utc(corrections):
    before = NOW(datetime.UTC)
    added = corrections.add(**WHOLE)
    (found,) = corrections.all()
    assert added == Added(found.id, new=True)
    assert {name: getattr(found, name) for name in WHOLE} == WHOLE
    assert before <= found.received <= NOW(datetime.UTC)
    assert found.received.utcoffset() == datetime.timedelta(0)


def test_what_is_not_known_is_none(corrections):
    corrections.add(digit=0, pixels=SEVEN)
    (found,) = corrections.all()
    assert (found.client_key, found.model, found.version, found.predicted) == (None, None, None, None)


def test_the_same_key_and_content_is_the_same_correction(corrections):
    first = corrections.add(**WHOLE)
    assert corrections.add(**WHOLE) == Added(first.id, new=False)
    assert len(corrections.all()) == 1


def test_without_a_key_the_same_content_is_another_correction(corrections):
    unkeyed = WHOLE | {"client_key": None}
    assert corrections.add(**unkeyed).id < corrections.add(**unkeyed).id


@pytest.mark.parametrize(
    ("name", "other"), [("digit", 8), ("pixels", bytes(784)), ("model", None), ("version", 4), ("predicted", None)]
)
def test_the_same_key_with_other_content_is_refused(corrections, name, other):
    number = corrections.add(**WHOLE).id
    with pytest.raises(KeyReused) as caught:
        corrections.add(**WHOLE | {name: other})
    assert str(caught.value) == (
        f"key 'k' came with another correction before, which has the id {number} and differs in {name}; "
        "want a new key for a new correction"
    )
    assert len(corrections.all()) == 1


@pytest.mark.parametrize(("digit", "pixels"), [(10, SEVEN), (-1, SEVEN), (7, SEVEN[1:])])
def test_what_is_no_digit_or_no_picture_is_refused(corrections, digit, pixels):
    with pytest.raises(DigitsError, match="want 0 to 9 and 784"):
        corrections.add(digit=digit, pixels=pixels)
    assert corrections.all() == []


def test_pages_ascend_by_id_and_go_on_where_the_last_one_ended(corrections):
    ids = [corrections.add(digit=n, pixels=SEVEN).id for n in range(5)]
    assert [[c.id for c in corrections.page(after, 2)] for after in (0, ids[1], ids[3], ids[4])] == [
        ids[:2],
        ids[2:4],
        ids[4:],
        [],
    ]


def test_all_of_them_are_more_than_are_read_at_once(corrections, monkeypatch):
    monkeypatch.setattr("training.corrections.table.READ_AT_ONCE", 2)
    ids = [corrections.add(digit=n, pixels=SEVEN).id for n in range(5)]
    assert [c.id for c in corrections.all()] == ids


def test_a_purge_forgets_what_is_older_and_no_id_is_used_again(corrections):
    old = corrections.add(digit=1, pixels=SEVEN)
    between = NOW(datetime.timezone(datetime.timedelta(hours=5)))  # the same moment, by another clock
    new = corrections.add(digit=2, pixels=SEVEN)
    assert corrections.purge(between) == 1
    assert [c.id for c in corrections.all()] == [new.id]
    assert corrections.purge(NOW(datetime.UTC)) == 1
    assert corrections.add(digit=3, pixels=SEVEN).id > new.id > old.id


def test_many_threads_with_few_keys_keep_one_correction_for_each_key(corrections):
    with ThreadPoolExecutor(8) as threads:
        added = list(threads.map(lambda n: corrections.add(**WHOLE | {"client_key": f"{n % 5}"}), range(200)))
    assert sum(one.new for one in added) == len({one.id for one in added}) == len(corrections.all()) == 5


def test_who_reads_on_from_the_last_id_misses_nothing_that_is_being_written(corrections):
    """Ids once were given in one order and committed in another: a reader between the two never saw the later one."""
    seen, done = [], threading.Event()

    def follow():
        while True:
            last = done.is_set()
            seen.extend(c.id for c in corrections.page(seen[-1] if seen else 0, 10))
            if last:
                return

    follower = threading.Thread(target=follow)
    follower.start()
    with ThreadPoolExecutor(4) as threads:
        ids = list(threads.map(lambda n: corrections.add(digit=n % 10, pixels=SEVEN).id, range(100)))
    done.set()
    follower.join(30)
    while len(seen) < 100 and (page := corrections.page(seen[-1], 10)):
        seen.extend(c.id for c in page)
    assert seen == sorted(ids)
