"""Recent predictions: what is remembered, for how long, and that none is taken for another."""

import multiprocessing
import re
from hashlib import blake2s

import numpy as np
import pytest

from service.errors import UnknownPrediction, WrongValue
from service.feedback import recent_predictions as module
from service.feedback.recent_predictions import (
    COLUMNS,
    RECORD,
    RECORD_BYTES,
    SECRET_BYTES,
    RecentPrediction,
    RecentPredictions,
)
from tests.support.examples import examples

RNG = np.random.default_rng(0)


def pictures(rows):
    return RNG.integers(0, 256, (rows, 28, 28), np.uint8)


def answers(*digits):
    return np.eye(10, dtype=np.float32)[list(digits)]


def remembered(recent, *digits, model="lenet", version=3):
    """Pictures that were remembered with these digits, and their id."""
    images = pictures(len(digits))
    return images, recent.remember(images, answers(*digits), model=model, version=version).decode()


def is_unknown(recent, prediction, index=0):
    with pytest.raises(UnknownPrediction) as caught:
        recent.find(prediction, index)
    assert caught.value.code == "unknown_prediction"
    return str(caught.value)


@pytest.fixture(params=["in memory", "in a file"])
def recent(request, tmp_path):
    return RecentPredictions(8, 2, str(tmp_path) if request.param == "in a file" else None)


def test_a_prediction_is_found_by_its_id(recent):
    images, number = remembered(recent, 7)
    assert re.fullmatch(r"2-1-[0-9a-f]{32}", number)
    assert recent.find(number) == RecentPrediction("lenet", 3, 7, images.tobytes())


def test_each_picture_of_a_request_is_found_by_its_index(recent):
    remembered(recent, 1)
    images, number = remembered(recent, 7, 0, 9, model="mlp", version=12)
    for index, digit in enumerate((7, 0, 9)):
        assert recent.find(number, index) == RecentPrediction("mlp", 12, digit, images[index].tobytes())


@pytest.mark.parametrize(("rows", "wanted"), [(1, "0"), (3, "0 to 2")])
def test_an_index_beyond_the_request_is_refused_though_there_is_a_picture(recent, rows, wanted):
    """It would be somebody else's."""
    _, number = remembered(recent, *range(rows))
    remembered(recent, 5)
    with pytest.raises(WrongValue) as caught:
        recent.find(number, rows)
    assert str(caught.value) == f"index is {rows}, want {wanted} for prediction {number}"
    assert (caught.value.code, caught.value.field) == ("out_of_range", "index")


def test_a_request_is_found_whole_though_it_goes_over_the_end_of_the_memory(recent):
    remembered(recent, 1, 2, 3, 4, 5, 6)
    images, number = remembered(recent, 7, 0, 9, 8, 1)
    for index, digit in enumerate((7, 0, 9, 8, 1)):
        assert recent.find(number, index) == RecentPrediction("lenet", 3, digit, images[index].tobytes())


def test_a_picture_alone_and_several_are_written_alike(recent):
    assert COLUMNS.itemsize == RECORD_BYTES
    images, _ = remembered(recent, 7)
    recent.remember(np.concatenate([images, images]), answers(7, 7), model="lenet", version=3)
    records = [bytes(recent._ring[SECRET_BYTES + RECORD_BYTES * n :][:RECORD_BYTES]) for n in (1, 2, 3)]
    assert [RECORD.unpack(record)[2:6] for record in records] == [RECORD.unpack(records[0])[2:6]] * 3
    assert [RECORD.unpack(record)[:2] for record in records] == [(1, 1), (2, 2), (3, 2)]
    assert [RECORD.unpack(record)[-1] for record in records] == [1, 2, 3]


def test_only_the_last_ones_are_remembered(recent):
    numbers = [remembered(recent, n % 10)[1] for n in range(9)]
    assert is_unknown(recent, numbers[0]) == (
        f"prediction {numbers[0]!r} is not known, or not any more; the picture itself can be sent as pixels"
    )
    assert [recent.find(number).predicted for number in numbers[1:]] == [*range(1, 9)]


def test_of_a_request_that_is_larger_than_the_memory_nothing_is_mixed_up(recent):
    _, number = remembered(recent, *[n % 10 for n in range(12)])
    is_unknown(recent, number)
    is_unknown(recent, number, 11)
    assert [RECORD.unpack_from(recent._ring, SECRET_BYTES + RECORD_BYTES * (n % 8))[0] for n in range(5, 13)] == [
        *range(5, 13)
    ]
    assert recent.find(remembered(recent, 4)[1]).predicted == 4


@pytest.mark.parametrize(
    "number",
    [
        *("", "2", "2-1", "2-1-", "2-1-xyz", "../2-1-{tag}", "٢-1-{tag}", "2-1-{tag}\n", "2-1-{tag}0"),
        *("2-0-{tag}", "2-2-{tag}", "2--1-{tag}", "3-1-{tag}", "2-1-00000000000000000000000000000000"),
        *("2-999999999999999999-{tag}", "9" * 5000 + "-1-{tag}"),
    ],
)
def test_what_is_no_id_of_this_service_is_unknown(recent, number):
    _, good = remembered(recent, 7)
    is_unknown(recent, number.format(tag=good.rpartition("-")[2]))


def test_the_id_of_another_prediction_cannot_be_told_from_one_s_own(recent):
    """All predictions of a process used to share a tag: whoever had one id could correct all the others."""
    ids = [remembered(recent, *digits)[1] for digits in ((1,), (2, 3), (4,))]
    numbers, tags = [id_.split("-")[1] for id_ in ids], [id_.split("-")[2] for id_ in ids]
    assert (numbers, len(set(tags))) == (["1", "2", "4"], 3)
    for number in range(1, 5):
        for tag in tags:
            if f"2-{number}-{tag}" not in ids:
                is_unknown(recent, f"2-{number}-{tag}")  # the third one is found by the second one's id alone
    assert recent.find(ids[1], 1).predicted == 3


def test_tags_differ_from_process_to_process_and_are_compared_in_constant_time(recent, monkeypatch):
    one, other = RecentPredictions(8, 2), RecentPredictions(8, 2)
    assert remembered(one, 7)[1] != remembered(other, 7)[1]
    _, number = remembered(recent, 7)
    compared = []
    monkeypatch.setattr("hmac.compare_digest", lambda a, b: compared.append((len(a), len(b))) or a == b)
    is_unknown(recent, number[:-1] + ("0" if number[-1] != "0" else "1"))
    assert recent.find(number).predicted == 7
    assert compared == [(32, 32)] * 2


def test_a_tag_without_a_secret_opens_nothing(tmp_path):
    """The file of a process that has only begun to write it is all zeros."""
    reader = RecentPredictions(8, 1, str(tmp_path))
    (tmp_path / "predictions-0").write_bytes(bytes(SECRET_BYTES + 8 * RECORD_BYTES))
    for secret in (bytes(SECRET_BYTES), b""):
        tag = blake2s(b"1", key=secret, digest_size=16).hexdigest()
        is_unknown(reader, f"0-1-{tag}")
        is_unknown(reader, f"3-1-{tag}")


def test_who_remembers_nothing_gives_no_ids(tmp_path):
    for recent in (RecentPredictions(0), RecentPredictions(0, 0, str(tmp_path))):
        assert recent.remember(pictures(1), answers(7), model="lenet", version=3) is None
        is_unknown(recent, "0-1-0123456789abcdef0123456789abcdef")
    assert list(tmp_path.iterdir()) == []


def test_pictures_that_are_not_contiguous_are_remembered_as_they_are():
    recent, images = RecentPredictions(4), pictures(4)[::2].transpose(0, 2, 1)
    number = recent.remember(images, answers(1, 2), model="lenet", version=3).decode()
    assert recent.find(number, 1).pixels == np.ascontiguousarray(images[1]).tobytes()


# Several processes


def test_others_find_it_by_the_common_folder(tmp_path):
    one, other = RecentPredictions(8, 0, str(tmp_path)), RecentPredictions(8, 1, str(tmp_path))
    images, number = remembered(one, 7)
    assert other.find(number) == one.find(number) == RecentPrediction("lenet", 3, 7, images.tobytes())


def test_without_a_folder_others_find_nothing():
    one, other = RecentPredictions(8, 0), RecentPredictions(8, 1)
    is_unknown(other, remembered(one, 7)[1])


def test_after_a_process_was_replaced_its_predictions_are_unknown(tmp_path):
    dead, other = RecentPredictions(8, 0, str(tmp_path)), RecentPredictions(8, 1, str(tmp_path))
    _, number = remembered(dead, 7)
    successor = RecentPredictions(8, 0, str(tmp_path))
    _, new = remembered(successor, 8)
    is_unknown(other, number)
    is_unknown(successor, number)
    assert other.find(new).predicted == 8


def test_the_file_is_gone_when_the_process_has_ended_well(tmp_path):
    recent = RecentPredictions(8, 0, str(tmp_path))
    _, number = remembered(recent, 7)
    recent.close()
    assert list(tmp_path.iterdir()) == []
    is_unknown(RecentPredictions(8, 1, str(tmp_path)), number)


def test_a_file_that_is_not_finished_is_unknown(tmp_path):
    recent = RecentPredictions(8, 1, str(tmp_path))
    (tmp_path / "predictions-0").touch()
    is_unknown(recent, "0-1-0123456789abcdef0123456789abcdef")


def test_there_is_room_for_the_whole_file_before_the_first_prediction(tmp_path):
    """A page that the disk had no room for, touched later, would kill the process."""
    RecentPredictions(100, 0, str(tmp_path))
    status = (tmp_path / "predictions-0").stat()
    assert status.st_size == SECRET_BYTES + 100 * RECORD_BYTES
    assert status.st_blocks * 512 >= status.st_size


def test_a_record_that_is_overwritten_while_it_is_read_is_unknown(recent, monkeypatch):
    _, number = remembered(recent, 7)
    unpack = module.RECORD.unpack

    class Slow:
        def unpack(self, copied):
            """Somebody writes between the copy and the second look at the number."""
            remembered(recent, *range(8))
            return unpack(copied)

    monkeypatch.setattr(module, "RECORD", Slow())
    is_unknown(recent, number)


def test_a_record_that_is_half_written_is_unknown(recent):
    _, number = remembered(recent, 7)
    start = SECRET_BYTES + RECORD_BYTES * 1
    recent._ring[start + RECORD_BYTES - 8 : start + RECORD_BYTES] = bytes(8)  # the number at its end is written last
    is_unknown(recent, number)


def _write(folder, telling, stop):
    recent = RecentPredictions(4, 0, folder)
    n = 0
    while not stop.is_set():
        n += 1
        images = np.full((3, 28, 28), n % 256, np.uint8)
        number = recent.remember(images, answers(*[n % 10] * 3), model=f"m{n % 256}", version=n % 256 + 1)
        if n % 500 == 0:
            telling.send(number.decode())


def test_what_another_process_overwrites_all_the_time_is_found_whole_or_not_at_all(tmp_path):
    context = multiprocessing.get_context("spawn")
    told, telling = context.Pipe(duplex=False)
    stop = context.Event()
    writer = context.Process(target=_write, args=(str(tmp_path), telling, stop))
    writer.start()
    reader, found, lost = RecentPredictions(4, 1, str(tmp_path)), 0, 0
    try:
        for _ in range(examples(200)):
            first = int(told.recv().split("-")[1])
            for number in range(first, first + 60, 3):
                try:
                    one = reader.find(f"0-{number}-{module._tag(reader._ring_of(0), number)}")
                except UnknownPrediction:
                    lost += 1
                    continue
                found += 1
                value = one.pixels[0]
                assert one == RecentPrediction(f"m{value}", value + 1, one.predicted, bytes([value]) * 784)
    finally:
        stop.set()
        while writer.is_alive():  # it may wait for somebody to listen
            if told.poll(0.05):
                told.recv()
    assert writer.exitcode == 0
    assert lost  # they were overwritten, and some were read before
    assert found


def test_a_process_that_ends_late_leaves_the_file_of_the_one_in_its_place(tmp_path):
    late = RecentPredictions(8, 2, str(tmp_path))
    recent = RecentPredictions(8, 2, str(tmp_path))
    late.close()
    _, prediction = remembered(recent, 7)
    assert RecentPredictions(8, 3, str(tmp_path)).find(prediction).predicted == 7
    recent.close()
    recent.close()
    assert [path.name for path in tmp_path.iterdir()] == ["predictions-3"]
