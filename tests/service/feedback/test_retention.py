"""Retention of corrections: how long they are kept, and that deleting old ones makes no database file."""

import asyncio
import datetime
import logging
from pathlib import Path

import pytest

from tests.support.fake_predictor import picture
from tests.support.feedback import WHOLE, client_with, kept, predicts
from tests.support.waiting import eventually
from training.corrections import Corrections

pytestmark = pytest.mark.anyio


async def test_what_is_older_than_the_retention_is_forgotten_at_the_start(url, monkeypatch):
    old = Corrections(url)
    old.prepare()

    class LongAgo(datetime.datetime):
        @classmethod
        def now(cls, tz=None):
            return super().now(tz) - datetime.timedelta(days=31)

    with monkeypatch.context() as patch:
        patch.setattr("training.corrections.table.datetime.datetime", LongAgo)
        old.add(digit=1, pixels=bytes(784))
    new = old.add(digit=2, pixels=bytes(784)).id
    async with client_with(url, feedback_retention_days=30):
        await asyncio.to_thread(eventually, lambda: len(old.all()) == 1)
    assert [c.id for c in old.all()] == [new]
    old.close()


async def test_without_a_retention_nothing_is_ever_forgotten(file, monkeypatch):
    monkeypatch.setattr("service.feedback.async_corrections.PURGE_INTERVAL_S", 0)
    async with client_with(file, feedback_retention_days=0) as client:
        for n in range(20):  # as many as there are purges, if there are any
            body = WHOLE | {"pixels": picture(7, n).ravel().tolist()}
            assert (await client.post("/feedback", json=body)).status_code == 201
    assert len(kept(file)) == 20


async def test_it_is_forgotten_again_and_again(file, monkeypatch):
    monkeypatch.setattr("service.feedback.async_corrections.PURGE_INTERVAL_S", 0.01)
    purges = []
    monkeypatch.setattr(Corrections, "purge", lambda self, before: purges.append(before))
    Corrections(file).prepare()
    async with client_with(file):
        await asyncio.to_thread(eventually, lambda: len(purges) >= 3)


async def test_nothing_is_made_on_the_disk_before_there_is_a_correction(file, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    async with client_with(file) as client:
        await asyncio.to_thread(eventually, lambda: client._transport.app.service.corrections._corrections is not None)
        assert await predicts(client)
    assert list(tmp_path.iterdir()) == []
    assert "corrections" not in caplog.text


async def test_a_file_that_is_just_being_made_is_left_alone(file, monkeypatch, caplog):
    """By the first correction, on the other thread; the purge finds the file when it has looked for it in vain."""
    looks, there = [], Corrections.exist.fget

    def exist(corrections):
        looks.append(len(looks))
        if len(looks) == 1:
            return False
        Path(file.removeprefix("sqlite:///")).touch()
        return there(corrections)

    monkeypatch.setattr(Corrections, "exist", property(exist))
    async with client_with(file) as client:
        await asyncio.to_thread(eventually, lambda: looks)
        assert (await client.post("/feedback", json=WHOLE)).status_code == 201
    assert "corrections" not in caplog.text
